"""What Prometheus and Grafana are given: it can be read, and asks for figures that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from satupeta_server import metrics
from satupeta_server.services import metrics as of_database
from tests.running import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())
DOCS = (ROOT / "docs" / "metrics.md").read_text()
NAME = re.compile(r"\bsatupeta_\w+")
CHECKS = (
    ("check", "config", "--syntax-only", "prometheus.yml"),
    ("check", "rules", "alerts.yml"),
    ("test", "rules", "alerts.test.yml"),
)


def exported() -> set[str]:
    of_requests = {
        one.name + ("_total" if one.type == "counter" else "")
        for one in metrics._REGISTRY.collect()
    }
    return of_requests | of_database._HELP.keys() | {"satupeta_database_up", "satupeta_info"}


def asked() -> list[str]:
    """All expressions of the alerts and of the dashboard."""
    return [*(alert["expr"] for alert in ALERTS), *of_panels()]


def of_panels() -> list[str]:
    """All expressions of the dashboard."""
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_every_figure_is_documented_and_every_documented_one_exists() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", DOCS, re.MULTILINE)) == exported()


def test_alerts_and_dashboard_ask_for_figures_that_exist() -> None:
    names = {name for expression in asked() for name in NAME.findall(expression)}
    known = exported() | {
        f"{one}{end}" for one in exported() for end in ("_bucket", "_count", "_sum")
    }
    assert len(names) > 10
    assert names - known == set()


def test_the_dashboard_is_whole() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert len(rows) == 6
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


def test_the_docs_say_what_to_do_about_every_alert() -> None:
    told = (ROOT / "docs" / "operation.md").read_text()
    for alert in ALERTS:
        assert re.search(rf"^\|.*\b{alert['alert']}\b", told, re.MULTILINE), alert["alert"]
        assert alert["annotations"]["runbook"] == "docs/operation.md#seeing-trouble"


@pytest.mark.parametrize("check", CHECKS, ids=lambda one: " ".join(one[:2]))
def test_prometheus_takes_its_files(check: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian's package prometheus) is not installed")
    ended = subprocess.run(
        [promtool, *check], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_prometheus_can_ask_all_of_it(tmp_path: Path) -> None:
    """Each expression is a rule, so that promtool reads it."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian's package prometheus) is not installed")
    rules = [
        {"record": f"asked:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(asked())
    ]
    file = tmp_path / "asked.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    subprocess.run([promtool, "check", "rules", str(file)], check=True, capture_output=True)
