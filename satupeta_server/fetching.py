"""Fetching what others gave the address of, without being led to where only we can go.

A name is resolved when its connection is made, all that it resolves to is checked, and one of
just these addresses is connected to: so neither a redirect nor a name that resolves to something
else the second time leads anywhere unchecked. Host, SNI and certificate stay those of the name.
"""

import contextlib
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[..., list[Any]]

# What is no public unicast address (the special-purpose registries of IANA, RFC 6890).
_SPECIAL_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
# Teredo and 6to4 are among these, for either may lead to any address of IPv4.
_SPECIAL_6 = tuple(
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class ForbiddenAddressError(Exception):
    """A host stands where we must not be led to; the text is a sentence that says so."""


def is_public(address: str) -> bool:
    """Tell whether an IP address is a public one, also where an IPv6 address holds one of IPv4."""
    bare = _bare(address)
    if isinstance(bare, ipaddress.IPv4Address):
        return not any(bare in network for network in _SPECIAL_4)
    return bare in _GLOBAL_6 and not any(bare in network for network in _SPECIAL_6)


def _bare(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Give the address that is meant: mapped and NAT64 ones (RFC 6052) mean one of IPv4."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return found
    if found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found


class Guard:
    """Knows where connections may go: to public addresses, and to those that are allowed."""

    def __init__(
        self, allowed_networks: Collection[str] = (), resolve: Resolve = socket.getaddrinfo
    ) -> None:
        self._allowed = [ipaddress.ip_network(network) for network in allowed_networks]
        self._trusted: set[tuple[str, int]] = set()
        self._resolve = resolve

    def trust(self, address: str) -> None:
        """Allow the host of a web address that an administrator has named himself."""
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._trusted.add((parts.hostname or "", port))

    def addresses(self, host: str, port: int) -> list[str]:
        """Resolve a host once, and give its addresses.

        Raises ForbiddenAddressError when any of them is forbidden, and OSError when there is none.
        """
        found = self._resolve(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        if (host.lower(), port) not in self._trusted:
            for address in addresses:
                if not self._may_reach(address):
                    raise ForbiddenAddressError(
                        f"{host} is at {address}, which is not public; "
                        "FETCH_ALLOWED_NETWORKS may allow it."
                    )
        if not addresses:
            raise OSError(f"{host} has no address")
        return addresses

    def _may_reach(self, address: str) -> bool:
        bare = _bare(address)
        return is_public(address) or any(bare in network for network in self._allowed)


class Fetcher:
    """Sends requests one after the other, over guarded connections that stay open.

    No redirect is followed, so that each is the caller's to judge. An answer takes
    ``answer_seconds`` at most, from the first connection to its last byte, however it drips.
    """

    def __init__(
        self, guard: Guard, *, connect_seconds: float, read_seconds: float, answer_seconds: float
    ) -> None:
        self.guard = guard
        self._answer_seconds = answer_seconds
        self._sockets: list[socket.socket] = []
        self._is_cut = False
        timeout = urllib3.Timeout(connect=connect_seconds, read=read_seconds)
        self._pool = _pool(self._connect, self._watch, timeout)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    @contextlib.contextmanager
    def opened(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Send a request, and give its answer, whose body is still to be read.

        Raises ForbiddenAddressError, TimeoutError, and urllib3's HTTPError.
        """
        self._is_cut = False
        timer = threading.Timer(self._answer_seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            response = self._pool.request(
                method,
                address,
                headers=dict(headers),
                fields=dict(form) if form is not None else None,
                body=body,
                redirect=False,
                preload_content=False,
                decode_content=True,
            )
            with _closing_unless_whole(response):
                yield response
                # Of an answer without a length, the cut looks like its end.
                self._refuse_cut()
        except Exception:
            self._refuse_cut()
            raise
        finally:
            timer.cancel()
            while self._sockets:
                self._sockets.pop().close()

    def _refuse_cut(self) -> None:
        if self._is_cut:
            raise TimeoutError

    def _connect(self, host: str, port: int, seconds: Any) -> socket.socket:
        failure: OSError | None = None
        for address in self.guard.addresses(host, port):
            try:
                connection = socket.create_connection((address, port), seconds)
            except OSError as error:
                failure = error
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._watch(connection)
            return connection
        raise failure or OSError

    def _watch(self, connection: socket.socket) -> None:
        """Keep a second handle of the connection, which stays when TLS takes over the first."""
        self._sockets.append(socket.socket(fileno=os.dup(connection.fileno())))

    def _cut(self) -> None:
        """End the connection in use under the hands of its reader."""
        self._is_cut = True
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _closing_unless_whole(response: urllib3.BaseHTTPResponse) -> Iterator[None]:
    is_whole = False
    try:
        yield
        is_whole = True
    finally:
        if not is_whole:
            response.close()
        response.release_conn()


def _pool(
    connect: Callable[[str, int, Any], socket.socket],
    watch: Callable[[socket.socket], None],
    timeout: urllib3.Timeout,
) -> urllib3.PoolManager:
    """Make a pool whose connections are made by ``connect``, and watched when used again."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self.host, self.port, self.timeout)

        def request(self, *arguments: Any, **options: Any) -> None:
            if self.sock is not None:
                watch(self.sock)
            super().request(*arguments, **options)

    class Encrypted(Plain, HTTPSConnection):
        pass

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Encrypted

    pool = urllib3.PoolManager(maxsize=2, retries=False, timeout=timeout)
    pool.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}
    return pool
