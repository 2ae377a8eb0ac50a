"""The real Prometheus, with the files that are deployed, reads what several processes count."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from satupeta_server.settings import Settings
from tests.deployment.test_prometheus import ALERTS, FOLDER, asked, of_panels
from tests.running import free_port
from tests.serving import Start, wait_until

TOKEN = "kunci-pemantauan-yang-panjang-sekali-2026"
REQUESTS = 40
ROUTE = 'sum(satupeta_http_request_duration_seconds_count{route="/api/categories"})'
NEEDS_MORE = ("satupeta_storage", "satupeta_jobs", "satupeta_mapsets", "satupeta_logins")
"""Of what nothing has happened there are no figures."""


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, expression: str) -> list[Any]:
        """What an expression gives now."""
        answer = httpx.get(f"{self.address}/api/v1/query", params={"query": expression})
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json()["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The one value of an expression; None while there is none."""
        with contextlib.suppress(httpx.TransportError, AssertionError):
            found = self.ask(expression)
            return float(found[0]["value"][1]) if found else None
        return None

    def rules(self) -> set[str]:
        """The names of the alerts that it watches."""
        groups = httpx.get(f"{self.address}/api/v1/rules").json()["data"]["groups"]
        return {rule["name"] for group in groups for rule in group["rules"]}


@contextlib.contextmanager
def scraping(folder: Path, target: int) -> Iterator[Prometheus]:
    """Prometheus with our files, which asks a port each second."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus (Debian's package) is not installed")
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = configuration["scrape_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{target}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    shutil.copy(FOLDER / "alerts.yml", folder)
    (folder / "metrics-token").write_text(TOKEN)
    port = free_port()
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [
                program,
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=folder,
            stdout=said,
            stderr=said,
        )
        try:
            yield Prometheus(port)
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.long
def test_prometheus_scrapes_all_processes_and_answers_every_panel(
    start: Start, settings: Settings, tmp_path: Path
) -> None:
    served = start(settings, WORKERS="2", METRICS_TOKEN=TOKEN)
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with scraping(folder, served.port) as prometheus:
        wait_until(lambda: prometheus.value('up{job="satupeta"}') == 1, 30)
        for _ in range(REQUESTS):
            headers = {"Connection": "close"}
            address = f"http://127.0.0.1:{served.port}/api/categories"
            assert httpx.get(address, headers=headers).status_code == 200
        wait_until(lambda: prometheus.value(ROUTE) == REQUESTS, 30)
        assert prometheus.rules() == {alert["alert"] for alert in ALERTS}
        for expression in asked():
            prometheus.ask(expression.replace("$__rate_interval", "1m"))
        silent = [
            expression
            for expression in of_panels()
            if not prometheus.ask(expression.replace("$__rate_interval", "1m"))
        ]
        assert [one for one in silent if not any(name in one for name in NEEDS_MORE)] == []
        served.end()
        wait_until(lambda: prometheus.value('up{job="satupeta"}') == 0, 30)
        wait_until(lambda: bool(prometheus.ask('ALERTS{alertname="SatuPetaDown"}')), 30)
