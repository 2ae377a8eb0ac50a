"""Headers that answers carry whichever way they are made."""

import re

from tornado.httputil import HTTPHeaders

from satupeta_server.models.base import new_id

EXPOSED_HEADERS = "ETag, Link, Retry-After, X-Request-Id"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id_of(headers: HTTPHeaders) -> str:
    """Give the id that a request brings, or a new one where it has none or a malformed one."""
    given = headers.get("X-Request-Id")
    return given if given is not None and _REQUEST_ID.fullmatch(given) else new_id().hex


def origin_headers(headers: HTTPHeaders, allowed: frozenset[str]) -> dict[str, str]:
    """Give what lets a page of an allowed origin read the answer (Fetch standard, CORS)."""
    origin = headers.get("Origin")
    if origin is None or origin not in allowed:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": EXPOSED_HEADERS,
    }
