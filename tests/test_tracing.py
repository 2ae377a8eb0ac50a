"""Traces: what a collector gets, and that nobody waits for it."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from satupeta_server.server import parent_environment
from satupeta_server.settings import Settings
from tests.conftest import execute
from tests.running import ROOT, SATUPETA, free_port
from tests.serving import Start, wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """A collector that takes traces by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.spans: list[object] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip  # noqa: PLC0415

            body = gzip.decompress(body)
        for one in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in one.scope_spans:
                self.server.spans.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector
        collector.shutdown()


def test_a_request_is_a_span_in_the_trace_of_its_caller_with_its_statements_inside(
    start: Start, settings: Settings, collector: Collector
) -> None:
    address = f"http://127.0.0.1:{collector.server_address[1]}"
    served = start(settings, OTEL_EXPORTER_OTLP_ENDPOINT=address, LOG_FORMAT="json")
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    secret = "RahasiaSekali"
    url = f"http://127.0.0.1:{served.port}/api/mapsets?search={secret}"
    assert httpx.get(url, headers=headers).status_code == 200
    served.end()
    wait_until(lambda: any(one.name == "GET /api/mapsets" for one in collector.spans))  # type: ignore[attr-defined]
    (request,) = (one for one in collector.spans if one.name == "GET /api/mapsets")  # type: ignore[attr-defined]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, CALLER)
    inside = [one for one in collector.spans if one.parent_span_id == request.span_id]  # type: ignore[attr-defined]
    assert len(inside) >= 2
    for one in inside:
        assert request.start_time_unix_nano <= one.start_time_unix_nano + 2_000_000
        assert one.end_time_unix_nano <= request.end_time_unix_nano + 2_000_000
    texts = str(collector.spans)
    assert "db.query.text" in texts
    assert secret not in texts
    assert TRACE in served.said.read_text()


def test_a_collector_that_is_not_there_is_no_trouble(start: Start, settings: Settings) -> None:
    served = start(settings, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    for _ in range(20):
        url = f"http://127.0.0.1:{served.port}/api/categories"
        assert httpx.get(url, timeout=5).status_code == 200
    assert served.end() < 6


@pytest.mark.usefixtures("api")
def test_a_job_is_a_trace_with_its_statements_inside(
    settings: Settings, collector: Collector, tmp_path: Path
) -> None:
    address = f"http://127.0.0.1:{collector.server_address[1]}"
    environment = parent_environment(settings) | {"OTEL_EXPORTER_OTLP_ENDPOINT": address}
    job = "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('default', 'count_ahead')"
    assert settings.database_url is not None
    execute(settings.database_url.get_secret_value(), job)
    with subprocess.Popen(
        [*SATUPETA, "worker"], env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL
    ) as process:
        wait_until(lambda: any(one.name == "process count_ahead" for one in collector.spans), 30)  # type: ignore[attr-defined]
        process.terminate()
        assert process.wait(30) == 0
    # It is due every ten minutes, too.
    span = next(one for one in collector.spans if one.name == "process count_ahead")  # type: ignore[attr-defined]
    assert span.status.code != 2
    assert [one for one in collector.spans if one.parent_span_id == span.span_id]  # type: ignore[attr-defined]


def test_an_api_process_loads_one_driver(start: Start, settings: Settings) -> None:
    served = start(settings, WORKERS="2")
    for one in served.all():
        loaded = [file.path for file in one.memory_maps()]
        assert any("psycopg2" in path for path in loaded)
        assert not [path for path in loaded if "psycopg_binary" in path]


def test_without_the_variables_the_library_is_not_even_loaded() -> None:
    program = "import sys, satupeta_server.server; print('opentelemetry' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "False"
