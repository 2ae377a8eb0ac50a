"""Traces for OpenTelemetry, when its own variables name a collector.

A request is told of once it is answered, and a job once it has ended, so nothing of this is in the
way of either; without a collector not even the library is loaded.
"""

import importlib
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from satupeta_server import __version__, observing
from satupeta_server.errors import StartError
from satupeta_server.observing import Finished, Spent
from satupeta_server.settings import Settings

logger = logging.getLogger(__name__)

EXPORT_SECONDS = 2
"""How long the collector may take for what it is sent; what it does not take is lost."""
_SECOND = 1_000_000_000


class Tracing:
    """Sends a span for each request and job, with one inside it for each statement and call.

    Names and attributes follow the semantic conventions of OpenTelemetry (HTTP, database,
    messaging).
    """

    def __init__(self, settings: Settings, address: str) -> None:
        try:
            sdk = importlib.import_module("opentelemetry.sdk.trace")
            export = importlib.import_module("opentelemetry.sdk.trace.export")
            otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
            resources = importlib.import_module("opentelemetry.sdk.resources")
            trace = importlib.import_module("opentelemetry.trace")
            propagation = importlib.import_module("opentelemetry.trace.propagation.tracecontext")
        except ImportError as error:
            raise StartError(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, and the extra `tracing` is not installed: "
                "pip install 'satupeta[tracing]'."
            ) from error
        described = {"service.name": settings.otel_service_name, "service.version": __version__}
        self._provider = sdk.TracerProvider(resource=resources.Resource.create(described))
        exporter = otlp.OTLPSpanExporter(endpoint=address, timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("satupeta", __version__)
        self._trace = trace
        self._propagator = propagation.TraceContextTextMapPropagator()
        # It tells of each attempt that fails, as often as it tries.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)

    def tell(self, finished: Finished) -> str:
        """Make the spans of an answered request, and give the id of their trace."""
        attributes = {
            "http.request.method": finished.method,
            "http.route": finished.route,
            "http.response.status_code": finished.status,
            "url.path": finished.path,
            "satupeta.request_id": finished.request_id,
        }
        return self._span(
            f"{finished.method} {finished.route}",
            self._trace.SpanKind.SERVER,
            attributes,
            finished.seconds,
            finished.spent,
            traceparent=finished.traceparent,
            is_failed=finished.status >= 500,
        )

    def tell_job(
        self, number: int, name: str, seconds: float, spent: Spent, *, is_failed: bool
    ) -> None:
        """Make the spans of a job that has ended, in a trace of its own."""
        attributes = {
            "messaging.system": "procrastinate",
            "messaging.operation.type": "process",
            "messaging.destination.name": name,
            "messaging.message.id": str(number),
        }
        kind = self._trace.SpanKind.CONSUMER
        self._span(f"process {name}", kind, attributes, seconds, spent, is_failed=is_failed)

    def _span(
        self,
        name: str,
        kind: Any,
        attributes: Mapping[str, Any],
        seconds: float,
        spent: Spent | None,
        *,
        traceparent: str = "",
        is_failed: bool,
    ) -> str:
        end = time.time_ns()
        parent = self._propagator.extract({"traceparent": traceparent})
        span = self._tracer.start_span(
            name,
            context=parent,
            kind=kind,
            start_time=end - int(seconds * _SECOND),
            attributes=attributes,
        )
        if is_failed:
            span.set_status(self._trace.StatusCode.ERROR)
        inside = self._trace.set_span_in_context(span, parent)
        for part in spent.parts if spent else ():
            self._part(part, inside)
        span.end(end)
        return f"{span.get_span_context().trace_id:032x}"

    def _part(self, part: observing.Part, inside: Any) -> None:
        is_statement = part.kind == "statement"
        attributes = (
            {"db.system.name": "postgresql", "db.query.text": part.name}
            if is_statement
            else {"rpc.system": "s3", "rpc.method": part.name}
        )
        span = self._tracer.start_span(
            part.name.partition(" ")[0] if is_statement else f"s3 {part.name}",
            context=inside,
            kind=self._trace.SpanKind.CLIENT,
            start_time=part.begin,
            attributes=attributes,
        )
        span.end(part.begin + int(part.seconds * _SECOND))

    def close(self) -> None:
        """Send what is left, as far as the collector takes it in time."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(EXPORT_SECONDS / 2)


def make_tracing(settings: Settings) -> Tracing | None:
    """Give what sends traces, where a collector is named; raises StartError without its library."""
    address = settings.otel_exporter_otlp_traces_endpoint
    if address is None and settings.otel_exporter_otlp_endpoint is not None:
        # As the OTLP specification has it.
        address = f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces"
    if address is None or settings.otel_sdk_disabled:
        return None
    observing.keeps_parts = True
    return Tracing(settings, address)
