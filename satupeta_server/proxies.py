"""Who a client behind proxies is: what they say of it is believed only where they are known."""

import ipaddress
from collections.abc import Awaitable, Iterable
from typing import Any

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies:
    """The networks whose proxies are believed."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def trust(self, peer: str) -> bool:
        """Tell whether an address is a known proxy's."""
        address = _address(peer) if self._networks else None
        return address is not None and any(address in one for one in self._networks)

    def client(self, peer: str, forwarded: str) -> str:
        """Give the client's address: of ``X-Forwarded-For`` the last that no known proxy has.

        What stands to the left of it, anybody may have written.
        """
        client = peer
        for text in [*forwarded.split(","), peer][::-1]:
            address = _address(text)
            if address is None:
                break
            client = str(address)
            if not self.trust(client):
                break
        return client


class Forwarded(HTTPMessageDelegate):
    """Stands before what takes a request, and tells it whom the known proxies name."""

    def __init__(
        self, connection: HTTPConnection, behind: HTTPMessageDelegate, proxies: Proxies
    ) -> None:
        self._context: Any = connection.context  # type: ignore[attr-defined]
        self._behind = behind
        self._proxies = proxies

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Pass the headers on; the request is made then, and takes over whose it is."""
        context = self._context
        peer, protocol = context.remote_ip, context.protocol
        if not self._proxies.trust(peer):
            return self._behind.headers_received(start_line, headers)
        context.remote_ip = self._proxies.client(peer, headers.get("X-Forwarded-For", ""))
        said = headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
        context.protocol = said if said in ("http", "https") else protocol
        try:
            return self._behind.headers_received(start_line, headers)
        finally:
            # The connection is the proxy's, and its next request may be another client's.
            context.remote_ip, context.protocol = peer, protocol

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Pass a piece of the body on."""
        return self._behind.data_received(chunk)

    def finish(self) -> None:
        """Pass on that the request is whole."""
        self._behind.finish()

    def on_connection_close(self) -> None:
        """Pass on that the client has gone."""
        self._behind.on_connection_close()


def _address(text: str) -> Address | None:
    """Read an address; one of IPv4 that is written as IPv6 is that of IPv4."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    # A zone is a matter of the proxy's machine, and no address of PostgreSQL has one.
    return None if address.scope_id else address.ipv4_mapped or address
