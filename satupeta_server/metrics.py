"""Figures for Prometheus.

With several API processes each writes its own into files of a folder that they share, which
PROMETHEUS_MULTIPROC_DIR names before this is imported; whichever is asked adds them up.
"""

import os
import resource
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from satupeta_server import __version__
from satupeta_server.observing import Finished

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_REGISTRY = CollectorRegistry()
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_REQUESTS = Histogram(
    "satupeta_http_request_duration_seconds",
    "Requests that were answered, by the time that they took.",
    ("method", "route", "status"),
    buckets=_SECONDS,
    registry=_REGISTRY,
)
_KEPT = Counter(
    "satupeta_kept_answers_total",
    "Public reads that were answered from what is kept (hit) or not (miss).",
    ("outcome",),
    registry=_REGISTRY,
)
_STATEMENTS = Counter("satupeta_statements_total", "Statements of requests.", registry=_REGISTRY)
_STATEMENT_SECONDS = Counter(
    "satupeta_statement_seconds_total",
    "Time of statements of requests, waiting for a connection included.",
    registry=_REGISTRY,
)
_FAILED_STATEMENTS = Counter(
    "satupeta_failed_statements_total",
    "Statements that the database did not answer in time, or at all.",
    registry=_REGISTRY,
)
_STORAGE = Histogram(
    "satupeta_storage_call_duration_seconds",
    "Calls of the object store, by the time that they took.",
    ("operation", "outcome"),
    buckets=_SECONDS,
    registry=_REGISTRY,
)
_LOGINS = Counter("satupeta_logins_total", "Logins.", ("outcome",), registry=_REGISTRY)
_CONNECTIONS = Gauge(
    "satupeta_database_connections",
    "Connections to the database of all API processes.",
    ("state",),
    multiprocess_mode="livesum",
    registry=_REGISTRY,
)
_MOST_CONNECTIONS = Gauge(
    "satupeta_database_connections_limit",
    "Connections to the database that all API processes may have.",
    multiprocess_mode="livesum",
    registry=_REGISTRY,
)
_REFUSALS = Counter(
    "satupeta_refusals_total",
    "Requests and connections that were too many, too slow or too large.",
    ("reason",),
    registry=_REGISTRY,
)
_UNDER_WAY = Gauge(
    "satupeta_http_requests_under_way",
    "Requests that are being answered.",
    multiprocess_mode="livesum",
    registry=_REGISTRY,
)
_MEMORY = Gauge(
    "satupeta_process_most_resident_memory_bytes",
    "The most memory that the largest API process ever had.",
    multiprocess_mode="livemax",
    registry=_REGISTRY,
)
_METHODS = {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"}


@lru_cache(maxsize=2000)
def _request(method: str, route: str, status: int) -> Any:
    # Finding the labels' series takes longer than writing into it.
    return _REQUESTS.labels(method if method in _METHODS else "other", route, str(status))


def note_request(finished: Finished) -> None:
    """Count an answered request."""
    _request(finished.method, finished.route, finished.status).observe(finished.seconds)
    if finished.spent is not None and finished.spent.statements:
        _STATEMENTS.inc(finished.spent.statements)
        _STATEMENT_SECONDS.inc(finished.spent.seconds)


def note_state(under_way: int, pool: Any) -> None:
    """Note how a process stands; ``pool`` is that of its connections, once there is one."""
    _UNDER_WAY.set(under_way)
    _MEMORY.set(_most_memory())
    if pool is not None:
        _CONNECTIONS.labels("idle").set(pool.freesize)
        _CONNECTIONS.labels("used").set(pool.size - pool.freesize)
        _MOST_CONNECTIONS.set(pool.maxsize)


def note_refusal(reason: str) -> None:
    """Count a request or a connection that was refused, or cut off, for being too much."""
    _REFUSALS.labels(reason).inc()


def note_kept(*, is_hit: bool) -> None:
    """Count a public read."""
    _KEPT.labels("hit" if is_hit else "miss").inc()


def note_failed_statement() -> None:
    """Count a statement that the database did not answer."""
    _FAILED_STATEMENTS.inc()


def note_storage_call(operation: str, seconds: float, *, is_done: bool) -> None:
    """Count a call of the object store."""
    _STORAGE.labels(operation, "done" if is_done else "failed").observe(seconds)


def note_login(*, is_done: bool) -> None:
    """Count a login."""
    _LOGINS.labels("done" if is_done else "refused").inc()


class Figures(Collector):
    """What the database says of itself; each value by name and labels."""

    def __init__(self, figures: Iterable[tuple[str, str, dict[str, str], float]]) -> None:
        self._figures = tuple(figures)

    def collect(self) -> Iterator[Metric]:
        """Give a family for each name."""
        families: dict[str, GaugeMetricFamily] = {}
        for name, help_text, labels, value in self._figures:
            family = families.setdefault(
                name, GaugeMetricFamily(name, help_text, labels=tuple(labels))
            )
            family.add_metric(tuple(labels.values()), value)
        yield from families.values()


def exposition(figures: Collector, accept: str) -> tuple[bytes, str]:
    """Give all figures in the format that is asked for, and its media type."""
    registry = CollectorRegistry()
    if FOLDER_VARIABLE in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_REGISTRY)
    registry.register(figures)
    version = ("satupeta_info", "The version that runs.", {"version": __version__}, 1.0)
    registry.register(Figures([version]))
    encoder, media_type = choose_encoder(accept)
    return encoder(registry), media_type


def _most_memory() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
