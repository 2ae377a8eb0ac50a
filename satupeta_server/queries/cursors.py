"""Cursors: the place after which a page of a list begins, as a token that means nothing else.

Clients get it and give it back. It holds the name of the order, the values of the row's keys
and its id; a checksum tells what was cut off or mistyped.
"""

import base64
import zlib
from typing import Any

import orjson

from satupeta_server.queries.ordering import Ordering
from satupeta_server.queries.values import ValueProblem

_CHECKSUM_BYTES = 4


def write_cursor(ordering: Ordering, position: list[Any]) -> str:
    """Make the token of a place in an order."""
    content = orjson.dumps([ordering.name, position])
    return base64.urlsafe_b64encode(_checksum(content) + content).rstrip(b"=").decode()


def read_cursor(ordering: Ordering, text: str) -> tuple[Any, ...]:
    """Read the place from a token.

    Raises ValueProblem for one that is broken or that belongs to another order.
    """
    name, position = _content(text)
    if name != ordering.name:
        raise ValueProblem("cursor_of_other_order")
    try:
        return ordering.read_position(position)
    except ValueProblem:
        raise ValueProblem("must_be_cursor") from None


def _content(text: str) -> tuple[str, list[Any]]:
    try:
        padded = text + "=" * (-len(text) % 4)
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True)
        checksum, content = decoded[:_CHECKSUM_BYTES], decoded[_CHECKSUM_BYTES:]
        value = orjson.loads(content) if checksum == _checksum(content) else None
    except ValueError:
        value = None
    match value:
        case [str(name), list(position)]:
            return name, position
    raise ValueProblem("must_be_cursor")


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big")
