"""What all handlers share: who calls, what they may, CORS, ETag, errors, bodies."""

import asyncio
import hashlib
import http
import logging
import re
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from tornado import httputil
from tornado.web import Finish, HTTPError, RequestHandler, stream_request_body

from satupeta_server.caching import Cache
from satupeta_server.errors import (
    STATUS,
    AppError,
    BadRequestError,
    MethodNotAllowedError,
    NotAuthenticatedError,
    NotFoundError,
    UnavailableError,
    UnsupportedTypeError,
    invalid,
)
from satupeta_server.handlers.bodies import BodyReader, IgnoringReader, JsonReader
from satupeta_server.handlers.headers import origin_headers, request_id_of
from satupeta_server.handlers.kept import OF_CONTENT, Answer
from satupeta_server.handlers.refusing import RefusingHandler
from satupeta_server.messages import Language, Message, preferred_language
from satupeta_server.metrics import note_kept
from satupeta_server.observing import Finished, Spent, spent
from satupeta_server.queries.values import ValueProblem, is_storable, parse_uuid
from satupeta_server.security.callers import Caller
from satupeta_server.security.permissions import ANONYMOUS, PUBLIC_ACCESS, granted_scope
from satupeta_server.services.api_tokens import PREFIX as TOKEN_PREFIX
from satupeta_server.services.records import Document, Revisions

if TYPE_CHECKING:
    from satupeta_server.services.container import Services

logger = logging.getLogger(__name__)

Reader = TypeVar("Reader")
Result = TypeVar("Result")

ALLOWED_HEADERS = (
    "Authorization, Content-Type, Accept, Accept-Language, If-Match, If-None-Match, "
    "Idempotency-Key, X-Request-Id"
)
PREFLIGHT_SECONDS = 7200
RETRY_AFTER_SECONDS = 5
GIVE_UP_SECONDS = 1
"""How long a read goes on whose client has gone."""

_ENTITY_TAG = re.compile(r'(?:W/)?"?(\d+)(?:-[0-9a-f]*)?"?')


@dataclass(frozen=True)
class Access:
    """What a route grants: for each method the permission that it needs, or "public"."""

    permissions: Mapping[str, str]
    pattern: str = "-"
    """The path of the route, with the names of its parts that vary."""

    @property
    def methods(self) -> list[str]:
        """The methods that the route knows, HEAD and OPTIONS included."""
        head = ["HEAD"] if "GET" in self.permissions else []
        return [*self.permissions, *head, "OPTIONS"]

    def permission(self, method: str | None) -> str | None:
        """Give what a method needs, if the route knows it; HEAD needs what GET does."""
        return self.permissions.get("GET" if method == "HEAD" else method or "")


class RequestsUnderWay:
    """Knows whether any request is being answered, so that the end can wait for it."""

    def __init__(self) -> None:
        self._handlers: set[RequestHandler] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.is_ending = False
        """Whether the process ends once they are answered."""

    @property
    def number(self) -> int:
        """How many are under way."""
        return len(self._handlers)

    def begin(self, handler: RequestHandler) -> None:
        """Note a request that has begun."""
        self._handlers.add(handler)
        self._idle.clear()

    def end(self, handler: RequestHandler) -> None:
        """Note a request that was answered, or whose client has gone."""
        self._handlers.discard(handler)
        if not self._handlers:
            self._idle.set()

    async def finished(self) -> None:
        """Wait until no request is under way."""
        await self._idle.wait()


@stream_request_body
class BaseHandler(RefusingHandler):
    """A request, from its headers to its answer; knows no subject."""

    caller: Caller = Caller()
    request_id: str = ""
    is_client_gone = False
    deadline: asyncio.Timeout | None = None
    """Of what is under way for the request, while it is."""

    def initialize(self, services: "Services", access: Access, **options: Any) -> None:
        """Take the route's part; Tornado calls this before anything else."""
        self.services = services
        self.access = access
        self.options_of_route = options
        self.reader: BodyReader = IgnoringReader(services.settings.max_body_size)
        self._revision: int | None = None
        self._version: int | None = None
        self._tag: str | None = None
        self.settings["requests"].begin(self)
        self.spent = Spent(self.request_id)

    # Before the handler's method

    def set_default_headers(self) -> None:
        """Set what every answer carries, errors too: Tornado calls this again for them."""
        self.clear_header("Server")
        self.request_id = self.request_id or request_id_of(self.request.headers)
        self.set_header("X-Request-Id", self.request_id)
        for name, value in self.settings["security_headers"].items():
            self.set_header(name, value)
        self.set_header("Vary", "Origin, Authorization")
        self.set_header("Cache-Control", "no-store")
        origins = self.settings["allowed_origins"]
        for name, value in origin_headers(self.request.headers, origins).items():
            self.set_header(name, value)

    async def prepare(self) -> None:
        """Find out who calls and whether they may, before any of the body is read."""
        if self.request.method == "OPTIONS":
            return
        spent.set(self.spent)
        permission = self.access.permission(self.request.method)
        if permission is None:
            raise MethodNotAllowedError
        self._set_cache_control()
        await self._find_caller(permission)
        if permission != PUBLIC_ACCESS:
            self.caller.scope(permission)
            self.services.sessions.follow(self.caller, is_read=self._is_read)
        if self.request.method in ("POST", "PATCH"):
            self.reader = self.make_reader()
        self.reader.check_length(self.content_length())

    async def _find_caller(self, permission: str) -> None:
        address, token = self.request.remote_ip, self.bearer_token()
        self.caller = Caller(address=address, request_id=self.request_id)
        if token is None or permission == PUBLIC_ACCESS:
            return
        is_machine = token.startswith(TOKEN_PREFIX)
        try:
            known = self.services.tokens if is_machine else self.services.sessions
            self.caller = await known.authenticate(token, address, self.request_id)
        except NotAuthenticatedError:
            # The portal goes on sending its first token after a refresh (contract, 2.9), so
            # what everybody may read is answered to it as to everybody. A machine would take
            # the public part for all that there is.
            is_public = granted_scope(ANONYMOUS, permission) is not None
            if is_machine or not self._is_read or not is_public:
                raise

    @property
    def _is_of_everybody(self) -> bool:
        return self._is_read and "Authorization" not in self.request.headers

    @property
    def _is_read(self) -> bool:
        return self.request.method in ("GET", "HEAD")

    @property
    def _is_write(self) -> bool:
        needed = self.access.permission(self.request.method)
        return not self._is_read and needed not in (None, PUBLIC_ACCESS)

    def bearer_token(self) -> str | None:
        """Give the token of the Authorization header (RFC 6750, 2.1), if there is one."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    def _set_cache_control(self) -> None:
        """Let what is the same for everybody be stored, if it is asked for anew each time."""
        if self._is_of_everybody:
            self.set_header("Cache-Control", "public, no-cache")

    async def head(self, *path: str) -> None:
        """Answer as GET does; Tornado leaves the content out (RFC 9110, 9.3.2)."""
        answer = self.get(*path)
        if answer is not None:
            await answer

    def options(self, *_path: str) -> None:
        """Answer a preflight request (Fetch standard, CORS protocol)."""
        self.set_status(204)
        self.set_header("Allow", ", ".join(self.access.methods))
        self.set_header("Cache-Control", f"max-age={PREFLIGHT_SECONDS}")
        if "Access-Control-Allow-Origin" in self._headers:
            self.set_header("Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE, OPTIONS")
            self.set_header("Access-Control-Allow-Headers", ALLOWED_HEADERS)
            self.set_header("Access-Control-Max-Age", str(PREFLIGHT_SECONDS))

    # The body

    def make_reader(self) -> BodyReader:
        """Choose how the body is read; JSON unless a handler says otherwise.

        Raises UnsupportedTypeError for a body that says to be something else.
        """
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind and kind != "application/json":
            expected = Message("unsupported_type", {"expected": "application/json"})
            raise UnsupportedTypeError(expected)
        return JsonReader(self.services.settings.max_body_size)

    def data_received(self, chunk: bytes) -> None:
        """Take a piece of the body; a bad one is answered at once, not when it has arrived."""
        super().data_received(chunk)
        if self.is_refused:
            return
        try:
            self.reader.feed(chunk)
        except AppError as error:
            self._answer_error(error)
            self.reader.close()

    def json_body(self) -> dict[str, Any]:
        """Give the body as an object; raises BadRequestError or InvalidError."""
        return self.arrived(JsonReader).value()

    def arrived(self, kind: type[Reader]) -> Reader:
        """Give the reader of a body that has arrived whole and was not refused."""
        if self.is_refused:
            raise Finish
        if not isinstance(self.reader, kind):
            raise BadRequestError
        return self.reader

    def on_finish(self) -> None:
        """Let go of the body."""
        self.settings["requests"].end(self)
        self.reader.close()

    def on_connection_close(self) -> None:
        """Let go of a body that will never be whole."""
        super().on_connection_close()
        self.is_client_gone = True
        self._give_up_soon()
        self.settings["requests"].end(self)
        self.reader.close()

    def _give_up_soon(self) -> None:
        """Let a read that nobody waits for any more end; what is written, is to its end.

        Not at once: each statement that is given up costs its connection, so who comes and goes
        all the time would use up those of the server.
        """
        if self.deadline is None or not self._is_read or self.deadline.expired():
            return
        soon = asyncio.get_running_loop().time() + GIVE_UP_SECONDS
        self.deadline.reschedule(min(soon, self.deadline.when() or soon))

    # Parameters

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Give the query parameters as texts; raises BadRequestError or InvalidError."""
        decoded: dict[str, list[str]] = {}
        for name, values in self.request.query_arguments.items():
            try:
                decoded[name] = [value.decode() for value in values]
            except UnicodeDecodeError:
                raise BadRequestError from None
            if not all(is_storable(value) for value in decoded[name]):
                raise invalid(name if name.isidentifier() else "query", "not_text_safe")
        return decoded

    def last(self, name: str) -> str:
        """Give a parameter; of one that is given several times the last counts."""
        return (self.parameters().get(name) or [""])[-1]

    def record_id(self, text: str) -> uuid.UUID:
        """Read an id of the path; raises NotFoundError for what cannot be one."""
        try:
            return parse_uuid(text)
        except ValueProblem:
            raise NotFoundError from None

    def expected_revisions(self) -> Revisions:
        """Read If-Match (RFC 9110, 13.1.1): revisions, or ETags, which begin with one.

        None means any revision; a tag that names none matches none.
        """
        header = self.request.headers.get("If-Match")
        if header is None or header.strip() == "*":
            return None
        matches = (_ENTITY_TAG.fullmatch(tag.strip()) for tag in header.split(","))
        return {int(match[1][:9]) for match in matches if match}

    # The answer

    async def shared(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Do what is the same for everybody once for all who ask for it, and keep the answer.

        ``work`` must depend on nothing but the address and what stands in the database.
        """
        if not self._is_of_everybody:
            return await work()
        cache: Cache[Answer] = self.settings["answers"]

        async def accounted() -> Result:
            # It is done in a task of its own, for all that wait; this request is the first.
            spent.set(self.spent)
            return await work()

        result, self._version = await cache.once(self._key, accounted)
        note_kept(is_hit=False)
        return result

    def write_kept(self) -> bool:
        """Write what was kept since the request came; tells whether there is anything."""
        cache: Cache[Answer] = self.settings["answers"]
        kept = cache.get(self._key) if self._is_of_everybody else None
        if kept is None:
            return False
        for name in OF_CONTENT & kept.headers.keys():
            self.set_header(name, kept.headers[name])
        self._tag = kept.tag
        note_kept(is_hit=True)
        self.write(kept.body)
        return True

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> "asyncio.Future[None]":
        """Send what was written, and keep it where everybody gets the same."""
        if self._version is not None and self.get_status() == http.HTTPStatus.OK:
            self._keep()
        if self._is_write and self.get_status() < http.HTTPStatus.BAD_REQUEST:
            # Who has written sees it at once, before the notification comes.
            self.settings["changes"].note()
        return super().finish(chunk)

    def _keep(self) -> None:
        cache: Cache[Answer] = self.settings["answers"]
        body = b"".join(self._write_buffer)
        if cache.has_room(self._key, len(body), self._version):
            self._tag = self._tag_of_content()
            answer = Answer(self._headers, body, self._tag, self.access.pattern)
            cache.keep(self._key, answer)

    @property
    def _key(self) -> str:
        return self.request.uri or ""

    @property
    def language(self) -> Language:
        """The language that the reader of an error prefers."""
        return preferred_language(self.request.headers.get("Accept-Language"))

    def write_text(self, text: str | bytes) -> None:
        """Write JSON that is text already."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.write(text)

    def write_json(self, value: object) -> None:
        """Write a value as JSON."""
        self.write_text(orjson.dumps(value))

    def write_document(self, document: Document, status: int = 200) -> None:
        """Write a record, with an ETag that begins with its revision."""
        self.set_status(status)
        self._revision = document.revision
        self.write_text(document.json)
        if not self._is_read:
            # Tornado sets the tag of a GET by itself, where there is none yet.
            self.set_etag_header()

    def compute_etag(self) -> str | None:
        """Make a weak tag of the body: PostgreSQL may build the same JSON in other words."""
        return self._tag or self._tag_of_content()

    def _tag_of_content(self) -> str:
        digest = hashlib.blake2b(digest_size=12)
        for part in self._write_buffer:
            digest.update(part)
        prefix = "" if self._revision is None else f"{self._revision}-"
        return f'W/"{prefix}{digest.hexdigest()}"'

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write an error in the one shape that all have."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        self._write_app_error(as_app_error(error, status_code))

    def _answer_error(self, error: AppError) -> None:
        self._write_app_error(error)
        self.finish()

    def _write_app_error(self, error: AppError) -> None:
        status = status_of(error)
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.add_header("Vary", "Accept-Language")
        if status == http.HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(self.access.methods))
        if status == http.HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", "Bearer")
        if status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            self.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
        self.write_json(error_body(error, self.language, self.request_id))

    def finished(self) -> Finished:
        """Tell what became of the request."""
        user_id = self.caller.user_id
        return Finished(
            self.request.method or "",
            self.access.pattern,
            self.request.path,
            self.get_status(),
            self.request.request_time(),
            self.request_id,
            None if user_id is None else str(user_id),
            self.request.remote_ip,
            self.spent,
            agent=self.request.headers.get("User-Agent", ""),
            traceparent=self.request.headers.get("traceparent", ""),
        )

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what is our own fault; a refusal is none."""
        if status_of(as_app_error(value, 500)) == http.HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("request %s failed", self.request_id, exc_info=(typ, value, tb))

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer an error, with the status of our own table."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        super().send_error(status_of(as_app_error(error, status_code)), **kwargs)


def as_app_error(error: BaseException | None, status_code: int) -> AppError:
    """Turn whatever ended a request into one of our errors."""
    if isinstance(error, AppError):
        return error
    status = error.status_code if isinstance(error, HTTPError) else status_code
    if isinstance(error, httputil.HTTPInputError):
        status = 400
    if isinstance(error, asyncio.CancelledError):
        status = 503
    return {
        400: BadRequestError(),
        404: NotFoundError("path_not_found"),
        405: MethodNotAllowedError(),
        503: UnavailableError(),
    }.get(status, AppError())


def status_of(error: AppError) -> int:
    """Give the status code of an error by the one table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def error_body(error: AppError, language: Language, request_id: str) -> dict[str, object]:
    """Make the body of an error, in the one shape that all have."""
    message = error.message.text(language)
    errors = {
        field: [one.text(language) for one in messages] for field, messages in error.errors.items()
    }
    detail = "; ".join(f"{field}: {' '.join(texts)}" for field, texts in errors.items())
    return {
        "code": error.message.key,
        "message": message,
        "detail": detail or message,
        "errors": errors,
        "request_id": request_id,
    }


class NotFoundHandler(BaseHandler):
    """Answers every path that no route knows."""

    async def prepare(self) -> None:
        """Refuse all but a preflight, so that a browser gets to see the refusal."""
        if self.request.method == "OPTIONS":
            return
        raise NotFoundError("path_not_found")
