"""The measurements work; how fast things are they tell by hand."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.databases import Databases
from benchmarks.serving import against_reference
from benchmarks.serving.load import Load, Plan, Request
from benchmarks.serving.options import Options
from benchmarks.serving.report import Section, document
from benchmarks.serving.stage import REFERENCE_SUFFIX, Stage, name_of
from satupeta_server.embedded import Addresses
from tests.cli.program import ROOT


def test_the_measurement_of_imports_compares_with_a_bare_copy() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.imports", "--mapsets", "300", "--no-regions"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert "of the rate of a bare COPY." in ended.stdout
    assert "mapsets, first: {'created': 300}" in ended.stdout
    assert "mapsets, again: {'unchanged': 300}" in ended.stdout


def test_the_measurement_prints_a_ratio_for_each_command() -> None:
    few = ["--small", "4", "--large", "1", "--large-bytes", "9000000", "--rounds", "1"]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.bucket", *few],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()[2:]
    names = ["verify", "mirror to a store", "mirror to a folder"]
    assert [line[:24].strip() for line in lines] == names
    assert all(float(line.split()[-1]) > 0 for line in lines)


def test_the_reference_and_the_server_are_measured_after_giving_the_same_json(
    addresses: Addresses, tmp_path: Path
) -> None:
    databases = Databases(addresses, tmp_path)
    with databases.own(name_of(120), 120):
        few = Options(mapsets=120, sizes=(), rounds=1, seconds=0.1)
        [section] = against_reference.measure(Stage(tmp_path, databases), few)
        databases.execute(f"DROP DATABASE {name_of(120)}{REFERENCE_SUFFIX} WITH (FORCE)")
    assert [row.bar.partition(",")[0] for row in section.rows if row.bar] == ["≥ 3", *["≥ 2.5"] * 5]
    rates_and_errors = [(float(row[2].replace(",", "")), row[-1]) for row in section.figures]
    assert len(rates_and_errors) == 12
    assert all(rate > 0 and errors == "0" for rate, errors in rates_and_errors)


def test_other_json_of_the_reference_ends_the_measurement() -> None:
    class Fixed:
        def __init__(self, **members: object) -> None:
            self.body = json.dumps(members).encode()

        def ask(self, _path: str) -> tuple[bytes, dict[str, str]]:
            return self.body, {}

    same = Fixed(at="2025-01-01T07:00:00+07:00", next_cursor="abc")
    against_reference.compare(same, Fixed(at="2025-01-01T00:00:00Z", next_cursor="d"), "/")
    with pytest.raises(AssertionError, match=r"/ differs: .at"):
        against_reference.compare(same, Fixed(at="2025-01-01T00:00:01Z", next_cursor="d"), "/")
    with pytest.raises(AssertionError, match=r".next_cursor: True and False"):
        against_reference.compare(same, Fixed(at="2025-01-01T00:00:00Z", next_cursor=None), "/")


def test_the_table_says_which_bars_are_met_and_an_error_misses_one() -> None:
    section = Section("Reads")
    section.at_least("fast", 3, 4.5, aim=5)
    section.at_least("faster", 3, 5.5, aim=5)
    section.at_most("late", 1.5, 1.6)
    section.at_most("broken", 1.5, 1.0, errors=2)
    text = document([section], ["A fact"])
    assert "**2 of 4 bars are met.**" in text
    assert "| fast | ≥ 3, aim 5 | 4.50 | met |" in text
    assert "| faster | ≥ 3, aim 5 | 5.50 | met, and the aim |" in text
    assert "| late | ≤ 1.5 | 1.60 | **not met** |" in text
    assert "| broken | ≤ 1.5 | 1.00, 2 errors | **not met** |" in text


class Pages(BaseHTTPRequestHandler):
    """Answers one path, and keeps its connections."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"here" if self.path == "/here" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def test_the_load_sends_so_many_requests_and_counts_other_statuses_as_errors() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        requests = [Request("/here"), Request("/gone", kind="write"), Request("/gone", 404)]
        report = Load(Plan(server.server_port, 2, 10, requests, most=30)).run()
        server.shutdown()
        thread.join()
    reads, writes = report.of("read"), report.of("write")
    assert (reads.count, reads.errors, writes.count, writes.errors) == (20, 0, 10, 10)
    assert report.statuses == {"404": 10}
    assert 0 < reads.p50 <= reads.p95 <= reads.p99 <= reads.worst
