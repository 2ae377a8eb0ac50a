"""Writers that try again until they are answered, and what they were told."""

import contextlib
import http.client
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator

import psycopg2

from satupeta_server.settings import Settings
from tests.faults.figures import Figure, figures
from tests.world import PASSWORD

PAUSE_SECONDS = 0.05


class Writers:
    """Threads that create news, each piece under a name and an Idempotency-Key of its own.

    News may share a name, so one that was created twice is seen.
    """

    def __init__(self, settings: Settings, port: int, number: int = 6) -> None:
        self.settings, self.port = settings, port
        self.acknowledged: dict[str, str] = {}
        self.given_up: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()
        self.faults: list[float] = []
        """When each fault was over."""
        self._served: list[float] = []
        self._before = set(stored_news(settings))
        self._token = self._login()
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._write) for _ in range(number)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a writer hangs"

    def _login(self) -> str:
        with contextlib.closing(self._connect()) as connection:
            body = json.dumps({"username": "walidata", "password": PASSWORD})
            connection.request(
                "POST", "/api/auth/login", body, {"Content-Type": "application/json"}
            )
            answer = json.load(connection.getresponse())
            return str(answer["access_token"])

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def _write(self) -> None:
        connection = self._connect()
        while not self._is_over.is_set():
            name = secrets.token_hex(8)
            while not self._try(connection, name):
                if self._is_over.is_set():
                    self.given_up.add(name)
                    break
                time.sleep(PAUSE_SECONDS)
        connection.close()

    def _try(self, connection: http.client.HTTPConnection, name: str) -> bool:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Idempotency-Key": f'"{name}"',
        }
        body = json.dumps({"name": name, "description": "<p>Berita</p>"})
        try:
            connection.request("POST", "/api/news", body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.failures[type(error).__name__] += 1
            connection.close()
            return False
        self.statuses[answer.status] += 1
        if answer.status == 201:
            self.acknowledged[name] = json.loads(content)["id"]
            self._served.append(time.monotonic())
        return answer.status == 201

    def fault_is_over(self) -> None:
        """Note that from now on all should be served again."""
        self.faults.append(time.monotonic())

    def check(self, fault: str) -> None:
        """Each acknowledged piece is there once, under the id that was told, and no other twice."""
        stored = stored_news(self.settings)
        told = {name: [key] for name, key in self.acknowledged.items()}
        lost = [name for name, keys in told.items() if stored.get(name) != keys]
        requests = self.statuses.total() + self.failures.total()
        counts = (max(1, len(self.faults)), requests, len(told), len(lost))
        figures.append(Figure(fault, *counts, self._longest_recovery()))
        assert not lost
        others = stored.keys() - self.acknowledged.keys() - self._before
        assert others <= self.given_up
        assert all(len(keys) == 1 for keys in stored.values())

    def _longest_recovery(self) -> float | None:
        times = (
            min((one - fault for one in list(self._served) if one >= fault), default=None)
            for fault in self.faults
        )
        return max((one for one in times if one is not None), default=None)


def stored_news(settings: Settings) -> dict[str, list[str]]:
    """The ids of all news by their names."""
    assert settings.database_url is not None
    with (
        contextlib.closing(psycopg2.connect(settings.database_url.get_secret_value())) as one,
        one.cursor() as cursor,
    ):
        cursor.execute("SELECT name, array_agg(id::text) FROM news GROUP BY name")
        return dict(cursor.fetchall())


@contextlib.contextmanager
def writing(fault: str, settings: Settings, port: int) -> Iterator[Writers]:
    """Writers at work; at the end they have stopped, and what they were told is true.

    ``fault`` names, for the figures, what is done to the server meanwhile.
    """
    writers = Writers(settings, port)
    writers.start()
    try:
        yield writers
    finally:
        writers.stop()
    writers.check(fault)
