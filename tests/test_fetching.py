"""Addresses that others gave: where they may lead, and how much they may cost."""

import contextlib
import datetime
import gzip
import ipaddress
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import HTTPError, SSLError

from satupeta_server.fetching import Fetcher, ForbiddenAddressError, Guard, is_public
from satupeta_server.transfer.portal.client import PortalClient, UnreadableError
from satupeta_server.transfer.portal.exchange import Exchange, Request, TooMuchError

FORBIDDEN = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
INNER = st.sampled_from(FORBIDDEN).flatmap(lambda network: st.ip_addresses(network=str(network)))


def spellings(address: ipaddress.IPv4Address) -> list[str]:
    """Every way to write it that a resolver takes."""
    number, (a, b, c, d) = int(address), address.packed
    return [
        str(address),
        str(number),
        hex(number),
        f"0{number:o}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
    ]


def embedded(address: ipaddress.IPv4Address) -> list[str]:
    """Every address of IPv6 that leads to it: mapped, NAT64, 6to4, Teredo and older ones."""
    number = int(address)
    within = {
        "::ffff:0:0": number,
        "64:ff9b::": number,
        "64:ff9b:1::": number,
        "2002::": number << 80,
        "2001::": number ^ 0xFFFFFFFF,
        "::": number,
        "::ffff:0:0:0": number,
    }
    return [str(ipaddress.IPv6Address(int(ipaddress.ip_address(p)) | n)) for p, n in within.items()]


@given(address=INNER)
def test_no_spelling_of_an_inner_address_leads_there(address: ipaddress.IPv4Address) -> None:
    for written in (*spellings(address), *embedded(address)):
        with contextlib.suppress(OSError), pytest.raises(ForbiddenAddressError):
            Guard().addresses(written, 80)
        assert not is_public(str(address))


@given(address=st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_what_counts_as_public_is_public_by_the_registries(address: Any) -> None:
    if is_public(str(address)):
        inner = getattr(address, "ipv4_mapped", None) or address
        if address in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        assert inner.is_global
        assert not inner.is_multicast


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "103.28.12.5", "192.0.1.1", "172.32.0.1", "100.128.0.1", "223.255.255.255",
     "2001:4860:4860::8888", "2400:cb00::1", "2a00::1", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)  # fmt: skip
def test_a_public_address_may_be_reached(address: str) -> None:
    assert Guard().addresses(address, 443) == [str(ipaddress.ip_address(address))] or "." in address


@pytest.mark.parametrize(
    "address",
    ["::1", "::", "fe80::1", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "ff0e::1",
     "2001:db8::1", "2002:7f00:1::", "64:ff9b::a00:1", "64:ff9b:1::808:808", "100::1", "5f00::1",
     "3fff::1", "::ffff:127.0.0.1", "localhost", "0", "127.1"],
)  # fmt: skip
def test_another_one_may_not(address: str) -> None:
    with pytest.raises(ForbiddenAddressError, match="FETCH_ALLOWED_NETWORKS"):
        Guard().addresses(address, 443)


def test_an_allowed_network_is_reached_and_only_it() -> None:
    guard = Guard(["10.20.0.0/16", "fd00:1::/32"])
    assert guard.addresses("10.20.1.2", 80) == ["10.20.1.2"]
    assert guard.addresses("::ffff:10.20.1.2", 80)
    assert guard.addresses("fd00:1::5", 80)
    for other in ("10.21.0.1", "fd00:2::5", "127.0.0.1"):
        with pytest.raises(ForbiddenAddressError):
            guard.addresses(other, 80)


def test_one_inner_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(ForbiddenAddressError):
        Guard(resolve=names("1.1.1.1", "10.0.0.1")).addresses("peta.example.org", 80)


def names(*addresses: str) -> Callable[..., list[Any]]:
    """A resolver that gives these for any name."""
    return lambda _host, port, **_: [(2, 1, 6, "", (address, port)) for address in addresses]


Talk = Callable[[socket.socket], None]


class Place:
    """A server on an address of loopback that says what a test lets it say."""

    def __init__(self, talk: Talk, address: str = "127.0.0.1", port: int = 0) -> None:
        self.talk = talk
        self.callers = 0
        self._listener = socket.create_server((address, port))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self.callers += 1
            self._connections.append(connection)
            threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self.talk(connection)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._connections:
            one.close()
        self._thread.join(5)


@pytest.fixture
def place() -> Iterator[Callable[..., Place]]:
    places: list[Place] = []

    def make(talk: Talk, address: str = "127.0.0.1", port: int = 0) -> Place:
        places.append(Place(talk, address, port))
        return places[-1]

    yield make
    for one in places:
        one.close()


def says(answer: bytes) -> Talk:
    """Answer each request of a connection with the same."""

    def talk(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(answer)

    return talk


def drips(head: bytes, drop: bytes = b"x") -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(0.05)

    return talk


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def redirect(port: int, host: str = "127.0.0.1") -> bytes:
    location = f"http://{host}:{port}/secret"
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def fetcher(guard: Guard, answer_seconds: float = 1.0) -> Fetcher:
    return Fetcher(guard, connect_seconds=5, read_seconds=5, answer_seconds=answer_seconds)


def fetched(one: Fetcher, address: str) -> bytes:
    with one.opened("GET", address, {}) as response:
        return response.read()


async def download(base: Place, target: Path) -> None:
    with Exchange(Guard()) as exchange:
        exchange.trust(f"http://127.0.0.1:{base.port}")
        client = PortalClient(exchange, "user", "password")
        client.base = f"http://127.0.0.1:{base.port}/api"
        await client.download("1", target, 1000)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "0"])
async def test_a_redirect_to_an_inner_address_is_refused_before_it_is_called(
    place: Callable[..., Place], tmp_path: Path, host: str
) -> None:
    inner = place(says(OK))
    outer = place(says(redirect(inner.port, host)))
    with pytest.raises(UnreadableError, match="not public"):
        await download(outer, tmp_path / "file")
    assert (outer.callers, inner.callers) == (1, 0)


async def test_redirects_end(place: Callable[..., Place], tmp_path: Path) -> None:
    around = place(says(OK))
    around.talk = says(redirect(around.port))
    with pytest.raises(UnreadableError, match="without end"):
        await download(around, tmp_path / "file")


def test_a_name_that_means_another_address_the_second_time_leads_nowhere(
    place: Callable[..., Place],
) -> None:
    outer = place(says(OK), "127.0.0.2")
    inner = place(says(OK), "127.0.0.1", outer.port)
    answers = itertools.chain([("127.0.0.2",)], itertools.repeat(("127.0.0.1",)))
    asked: list[str] = []

    def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return names(*next(answers))(host, port)

    one = fetcher(Guard(["127.0.0.2/32"], rebinding))
    address = f"http://peta.example.org:{outer.port}/"
    assert fetched(one, address) == b"ok"
    # The name was resolved once for the connection, which went where the check had looked.
    assert (asked, outer.callers) == (["peta.example.org"], 1)
    one.close()
    again = fetcher(Guard(["127.0.0.2/32"], rebinding))
    with pytest.raises(ForbiddenAddressError):
        fetched(again, address)
    assert inner.callers == 0
    again.close()


def test_host_and_server_name_stay_those_of_the_name(place: Callable[..., Place]) -> None:
    seen: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(OK)

    plain = place(talk)
    one = fetcher(Guard(["127.0.0.0/8"], names("127.0.0.1")))
    fetched(one, f"http://peta.example.org:{plain.port}/x")
    assert f"Host: peta.example.org:{plain.port}".encode() in seen[0]
    one.close()


def test_a_certificate_must_be_good_for_the_name(
    place: Callable[..., Place], tmp_path: Path
) -> None:
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate("peta.example.org", tmp_path))
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            says(OK)(encrypted)

    one = fetcher(Guard(["127.0.0.0/8"], names("127.0.0.1")), 20)
    with pytest.raises(SSLError):
        fetched(one, f"https://peta.example.org:{place(talk).port}/")
    assert asked == ["peta.example.org"]
    one.close()


def certificate(name: str, folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("scheme", "talk"),
    [
        ("http", drips(b"")),
        ("http", drips(HEAD + b"X: ")),
        ("http", drips(HEAD, b"X: y\r\n")),
        ("http", drips(HEAD + b"Content-Length: 100000\r\n\r\n")),
        ("http", drips(HEAD + b"Connection: close\r\n\r\n")),
        ("http", drips(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")),
        ("http", drips(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10], b"\0")),
        ("https", drips(b"\x16\x03\x03\x40\x00")),
    ],
    ids=["status", "header", "headers", "length", "no length", "chunks", "gzip", "handshake"],
)
def test_an_answer_that_drips_is_cut_at_the_deadline(
    place: Callable[..., Place], scheme: str, talk: Talk
) -> None:
    server = place(talk)
    one = fetcher(Guard(["127.0.0.0/8"]), 0.5)
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        fetched(one, f"{scheme}://127.0.0.1:{server.port}/")
    assert 0.4 < time.monotonic() - begin < 10
    one.close()


def test_a_connection_is_used_again_and_cut_then_too(place: Callable[..., Place]) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(OK)
        connection.recv(65536)
        drips(HEAD + b"Content-Length: 9999\r\n\r\n")(connection)

    server = place(talk)
    one = fetcher(Guard(["127.0.0.0/8"]), 0.5)
    address = f"http://127.0.0.1:{server.port}/"
    assert fetched(one, address) == b"ok"
    with pytest.raises(TimeoutError):
        fetched(one, address)
    assert server.callers == 1
    one.close()


def handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_handle_stays(place: Callable[..., Place]) -> None:
    server = place(says(OK))
    before = handles()
    for _ in range(30):
        one = fetcher(Guard(["127.0.0.0/8"]), 5)
        assert fetched(one, f"http://127.0.0.1:{server.port}/") == b"ok"
        one.close()
    deadline = time.monotonic() + 5
    while handles() > before + 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert handles() <= before + 2


BOMB = gzip.compress(bytes(200_000_000), 6)
TWICE = gzip.compress(BOMB)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 5000000000\r\n\r\n" + bytes(3_000_000),
        HEAD + b"\r\n" + bytes(3_000_000),
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
        HEAD + b"Content-Encoding: gzip, gzip\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n" % len(TWICE) + TWICE,
    ],
    ids=["length", "no length", "bomb", "bomb in a bomb"],
)
@pytest.mark.parametrize("is_download", [True, False])
async def test_of_too_large_an_answer_little_more_than_the_limit_is_taken(
    place: Callable[..., Place], tmp_path: Path, answer: bytes, is_download: bool
) -> None:
    server = place(says(answer))
    target = tmp_path / "file" if is_download else None
    with Exchange(Guard(["127.0.0.0/8"])) as exchange:
        request = Request(
            "GET", f"http://127.0.0.1:{server.port}/", {}, target=target, largest=1_000_000
        )
        with pytest.raises(TooMuchError):
            await exchange.send(request)
    if target is not None:
        assert target.stat().st_size <= 1_000_000


def test_more_encodings_than_anybody_needs_are_refused(place: Callable[..., Place]) -> None:
    many = b", ".join([b"gzip"] * 20)
    server = place(says(HEAD + b"Content-Encoding: " + many + b"\r\nContent-Length: 2\r\n\r\nok"))
    one = fetcher(Guard(["127.0.0.0/8"]), 20)
    with pytest.raises(HTTPError):
        fetched(one, f"http://127.0.0.1:{server.port}/")
    one.close()
