"""Headers that answers carry whichever way they are made."""

import re

from tornado.httputil import HTTPHeaders

from satupeta_server.models.base import new_id

EXPOSED_HEADERS = "ETag, Link, Retry-After, X-Request-Id"

_HSTS_SECONDS = 365 * 24 * 3600
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # A browser that is led to an answer itself runs nothing of it and shows it in no frame.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # The portal reads by CORS, to which this does not apply.
    "Cross-Origin-Resource-Policy": "same-origin",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def security_headers(base_url: str) -> dict[str, str]:
    """Give what every answer carries, by the address under which users reach the API.

    Behind TLS a browser is told to come by TLS alone (RFC 6797); over plain HTTP it must not be.
    """
    if not base_url.lower().startswith("https://"):
        return _SECURITY_HEADERS
    return {**_SECURITY_HEADERS, "Strict-Transport-Security": f"max-age={_HSTS_SECONDS}"}


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
