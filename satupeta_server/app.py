"""Wiring: settings become services, routes become an application."""

import asyncio
import contextlib
from typing import Any

import tornado.web
from tornado import httputil

from satupeta_server import database
from satupeta_server.caching import Cache
from satupeta_server.changes import Changes
from satupeta_server.errors import StartError
from satupeta_server.handlers.base import Access, BaseHandler, NotFoundHandler, RequestsUnderWay
from satupeta_server.handlers.headers import security_headers
from satupeta_server.handlers.kept import Answer, Front
from satupeta_server.handlers.metrics import MetricsHandler
from satupeta_server.handlers.pages import HomeHandler
from satupeta_server.logs import log_finished
from satupeta_server.metrics import note_kept, note_request, note_state
from satupeta_server.observing import Finished
from satupeta_server.openapi import make_document
from satupeta_server.proxies import Forwarded, Proxies
from satupeta_server.routes import PREFIX, ROUTES, Route
from satupeta_server.security.permissions import GRANTS, PUBLIC_ACCESS
from satupeta_server.services.container import Services, make_services
from satupeta_server.services.hits import Hits
from satupeta_server.settings import Settings, require_servers
from satupeta_server.storage import Storage
from satupeta_server.tasks import spawn
from satupeta_server.tracing import make_tracing
from satupeta_server.turns import Turns

_HITS_SECONDS = 0.25
_STATE_SECONDS = 5.0
_MEGABYTE = 1024 * 1024


class Application(tornado.web.Application):
    """The API, with what must be closed when it ends."""

    def __init__(
        self, settings: Settings, services: Services, storage: Storage, changes: Changes
    ) -> None:
        self.services = services
        self.storage = storage
        document = make_document(settings.project_name)
        requests = RequestsUnderWay()
        self.changes = changes
        self.hits = Hits(settings)
        self.tracing = make_tracing(settings)
        self.answers = Cache[Answer](settings.response_cache_megabytes * _MEGABYTE, changes)
        self._proxies = Proxies(settings.trusted_proxies)
        self._origins = frozenset(settings.allowed_origins)
        super().__init__(
            [_rule(route, services, PREFIX) for route in ROUTES]
            + [
                _rule(route, services, "")
                for route in ROUTES
                if route.handler in (HomeHandler, MetricsHandler)
            ],
            default_handler_class=NotFoundHandler,
            default_handler_args={"services": services, "access": Access({})},
            compress_response=True,
            allowed_origins=self._origins,
            security_headers=security_headers(settings.base_url),
            answers=self.answers,
            changes=changes,
            # Half of the connections stay for the others.
            turns=Turns(max(1, settings.database_pool_size // 2)),
            document=document,
            requests=requests,
            log_function=tell_of_request,
        )
        self.requests = requests

    def start_request(
        self, server_conn: object, request_conn: httputil.HTTPConnection
    ) -> httputil.HTTPMessageDelegate:
        """Take a request: Tornado calls this for each."""
        behind = super().start_request(server_conn, request_conn)
        front = Front(request_conn, behind, self.answers, self._origins, self._tell_kept)
        return Forwarded(request_conn, front, self._proxies)

    def tell(self, finished: Finished) -> None:
        """Tell the log and the figures of an answered request."""
        self.hits.note(finished)
        log_finished(finished, self.tracing.tell(finished) if self.tracing else "")
        note_request(finished)

    def tell_state(self) -> None:
        """Tell the figures how it stands."""
        note_state(self.requests.number, database.database.pool_backend.pool)

    async def _tell_state_for_ever(self) -> None:
        while True:
            self.tell_state()
            await asyncio.sleep(_STATE_SECONDS)

    def _tell_kept(self, finished: Finished) -> None:
        note_kept(is_hit=True)
        self.tell(finished)

    def start(self) -> None:
        """Begin to listen for changes; without that nothing is kept. Needs the running loop."""
        self.hits.start()
        spawn(self._tell_state_for_ever())
        if self.answers.room:
            self.changes.start()

    async def close(self) -> None:
        """Close the connections to the database and to the store."""
        try:
            await self.changes.close()
            # Nothing else waits for what is approximate.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HITS_SECONDS):
                    await self.hits.close()
            await database.database.aio_close()
        finally:
            self.storage.close()
            if self.tracing is not None:
                self.tracing.close()


def make_app(settings: Settings) -> Application:
    """Build the application; nothing is connected yet.

    Raises StartError for a route that names no permission, or one that the table lacks.
    """
    check_routes(ROUTES)
    database.connect(settings)
    storage = Storage(settings)
    changes = Changes(require_servers(settings.direct(), object_store=False))
    services = make_services(settings, storage)
    services.suggestions.prepare()
    return Application(settings, services, storage, changes)


def check_routes(routes: tuple[Route, ...]) -> None:
    """Hold the rule that every method names its permission or says that it is public.

    Raises StartError that names the route.
    """
    for route in routes:
        if not route.operations:
            raise StartError(f"The route {route.path} names no permission.")
        for method, operation in route.operations.items():
            if operation.permission not in GRANTS and operation.permission != PUBLIC_ACCESS:
                raise StartError(
                    f"{method} {route.path} names the unknown permission {operation.permission!r}."
                )
            if getattr(route.handler, method.lower()) is _unimplemented(method):
                raise StartError(f"{method} {route.path} has no handler's method.")


def _unimplemented(method: str) -> Any:
    return getattr(tornado.web.RequestHandler, method.lower())


def _rule(route: Route, services: Services, prefix: str) -> tuple[str, Any, dict[str, Any]]:
    arguments = {"services": services, "access": route.access, **route.options}
    # Nothing redirects, so the page answers with and without the slash at its end.
    pattern = "/?" if route.path == "/" else route.pattern
    return f"{prefix}{pattern}", route.handler, arguments


def tell_of_request(handler: tornado.web.RequestHandler) -> None:
    """Tell of a request that a handler has answered."""
    if isinstance(handler, BaseHandler):
        handler.application.tell(handler.finished())  # type: ignore[attr-defined]
