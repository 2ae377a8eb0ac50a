"""The log: what stands in its lines, and what does not."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from satupeta_server import database, logs
from satupeta_server.database import hash_of_plan
from satupeta_server.logs import JsonFormatter, configure_logging
from satupeta_server.settings import Settings
from tests.conftest import Api

Lines = list[dict[str, Any]]


class Heard:
    """What was written since, a JSON object a line."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def lines(self, logger: str = "") -> Lines:
        found = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [one for one in found if one["logger"].startswith(logger)]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    heard, handler = Heard(), logging.StreamHandler()
    handler.setStream(heard.stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    monkeypatch.setattr(logs._limits, "slow_seconds", float("inf"))
    monkeypatch.setattr(logs._limits, "persons", ("user_id",))
    yield heard
    root.removeHandler(handler)
    root.setLevel(level)


async def test_a_request_is_one_line_with_all_that_explains_it(api: Api, heard: Heard) -> None:
    answer = await api.get("/mapsets", user="pengelola", search="Batas Rahasia")
    (line,) = heard.lines("satupeta_server.requests")
    assert line["route"] == line["path"] == "/api/mapsets"
    assert (line["method"], line["status"], line["level"]) == ("GET", 200, "INFO")
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert line["user_id"] == str(api.world.users["pengelola"])
    assert line["statements"] >= 2
    assert 0 < line["statement_milliseconds"] <= line["milliseconds"]
    assert "Rahasia" not in heard.stream.getvalue()
    assert "127.0.0.1" not in heard.stream.getvalue()


@pytest.mark.usefixtures("listening")
async def test_statements_of_a_shared_answer_count_for_who_asked_first(
    api: Api, heard: Heard
) -> None:
    for _ in range(2):
        await api.get("/categories")
    first, second = heard.lines("satupeta_server.requests")
    assert (first["kept"], second["kept"]) == (False, True)
    assert first["statements"] > 0
    assert (second["statements"], second["route"]) == (0, "/api/categories")


@pytest.mark.parametrize(
    ("allowed", "shown"),
    [("none", set()), ("ids", {"user_id"}), ("addresses", {"user_id", "address"})],
)
async def test_persons_stand_in_a_line_as_far_as_the_setting_says(
    api: Api, heard: Heard, monkeypatch: pytest.MonkeyPatch, allowed: str, shown: set[str]
) -> None:
    monkeypatch.setattr(logs._limits, "persons", logs._PERSONS[allowed])
    await api.get("/me", user="pengelola")
    (line,) = heard.lines("satupeta_server.requests")
    assert {"user_id", "address"} & line.keys() == shown
    assert ("127.0.0.1" in line.values()) == ("address" in shown)


async def test_a_slow_request_is_a_warning(
    api: Api, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs._limits, "slow_seconds", 0.0)
    await api.get("/categories")
    (line,) = heard.lines("satupeta_server.requests")
    assert (line["level"], line["slow"]) == ("WARNING", True)


async def test_a_slow_statement_is_told_without_its_values_and_with_its_plan(
    api: Api, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database.database, "slow_seconds", 0.0)
    monkeypatch.setattr(database.database, "_quiet_until", 0.0)
    answer = await api.get("/mapsets", search="RahasiaSekali")
    # What explains it is done in the background, before the next statement of the test.
    for _ in range(50):
        await api.get("/health/ready")
        lines = heard.lines("satupeta_server.database")
        if told := [one for one in lines if one["plan_hash"]]:
            break
    assert told[0]["request_id"] == answer.headers["X-Request-Id"]
    assert told[0]["statement"].startswith("SELECT")
    assert len(told[0]["plan_hash"]) == 12
    assert "RahasiaSekali" not in heard.stream.getvalue()
    # A minute in which all is slow brings no plan for each, and each statement all the same.
    assert len(told) == 1
    assert len(lines) > len(told)
    assert all(one["statement"] for one in lines)


async def test_a_slow_statement_of_a_transaction_is_told_with_its_text(
    api: Api, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database.database, "slow_seconds", 0.0)
    async with database.database.whole():
        await database.database.aio_execute_sql("UPDATE users SET position = %s", ["Rahasia"])
    (line,) = (
        one for one in heard.lines("satupeta_server.database") if "UPDATE" in one["statement"]
    )
    assert (line["statement"], line["plan_hash"]) == ("UPDATE users SET position = %s", None)
    assert "Rahasia" not in heard.stream.getvalue()


def test_the_hash_of_a_plan_changes_with_the_plan_and_not_with_values(settings: Settings) -> None:
    assert settings.database_url is not None
    with psycopg2.connect(settings.database_url.get_secret_value()) as connection:
        cursor = connection.cursor()

        def plan(value: int) -> str:
            cursor.execute(
                "EXPLAIN (FORMAT JSON) SELECT * FROM numbers WHERE number = %s", (value,)
            )
            return hash_of_plan(cursor.fetchone()[0])

        cursor.execute(
            "CREATE TEMPORARY TABLE numbers AS SELECT generate_series(1, 9999) AS number"
        )
        cursor.execute("CREATE INDEX numbers_number ON numbers (number)")
        cursor.execute("ANALYZE numbers")
        by_index = plan(1)
        assert plan(2) == by_index
        cursor.execute("DROP INDEX numbers_number")
        assert plan(1) != by_index
        connection.rollback()


def test_a_line_is_one_object_whatever_is_logged() -> None:
    record = logging.makeLogRecord(
        {
            "name": "satupeta_server.example",
            "msg": "line\nend \x1b[2J \x9b2J\x7f\u202e\u2028 %s",
            "args": ("\udcff",),
            "exc_info": (ValueError, ValueError("a\nb"), None),
            "fields": {"path": "/\udc80"},
        }
    )
    text = JsonFormatter().format(record)
    assert text.isprintable()
    line = json.loads(text)
    assert line["message"].startswith("line\nend")
    assert line["traceback"] == "ValueError: a\nb"


@pytest.mark.parametrize(
    ("environment", "form", "is_json"),
    [
        ("production", None, True),
        ("development", None, False),
        ("production", "text", False),
        ("development", "json", True),
    ],
)
def test_production_logs_json_unless_told_otherwise(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    form: str | None,
    is_json: bool,
) -> None:
    made: list[logging.Handler] = []
    monkeypatch.setattr(logging, "basicConfig", lambda **given: made.extend(given["handlers"]))
    changed = settings.model_copy(update={"environment": environment, "log_format": form})
    configure_logging(changed)
    assert isinstance(made[0].formatter, JsonFormatter) == is_json
