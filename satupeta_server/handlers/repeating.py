"""Requests to create something that a client may send again, with an Idempotency-Key."""

from collections.abc import Awaitable, Callable

from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.bodies import JsonReader, MultipartReader
from satupeta_server.services.records import Document
from satupeta_server.services.repeats import Attempt


def attempt_of(handler: BaseHandler, reader: JsonReader | MultipartReader) -> Attempt | None:
    """Give what the request tries under which key, if it has one.

    The body must have arrived. Raises BadRequestError for a key that is none.
    """
    key = handler.request.headers.get("Idempotency-Key")
    if key is None:
        return None
    path = handler.request.path.encode()
    return handler.services.repeats.attempt(key, b"POST", path, reader.digest)


async def created_once(handler: BaseHandler, create: Callable[[], Awaitable[Document]]) -> Document:
    """Create what a JSON body asks for, or give what an earlier request with its key created."""
    attempt = attempt_of(handler, handler.arrived(JsonReader))
    return await handler.services.repeats.once(handler.caller, attempt, create)
