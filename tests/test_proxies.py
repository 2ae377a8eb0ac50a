"""Who a client behind proxies is, and that nobody else can pretend to be another."""

import pytest

from satupeta_server.models.sessions import Session
from satupeta_server.proxies import Proxies
from tests.conftest import Api, multipart
from tests.world import PASSWORD

NETWORKS = ["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"]
PROXY, CLIENT, LIE = "10.0.0.1", "198.51.100.7", "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (CLIENT, CLIENT),
        (f" {CLIENT} ", CLIENT),
        (f"{LIE}, {CLIENT}", CLIENT),
        (f"{LIE},{CLIENT},10.9.9.9", CLIENT),
        (f"{LIE}, {PROXY}, {CLIENT}, 10.2.2.2, 10.3.3.3", CLIENT),
        ("10.2.2.2, 10.3.3.3", "10.2.2.2"),
        ("2001:db8:2::5", "2001:db8:2::5"),
        ("2001:DB8:2:0::5, 2001:db8:1::7", "2001:db8:2::5"),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"{CLIENT}, ::ffff:10.4.4.4", CLIENT),
        ("", PROXY),
        ("unknown", PROXY),
        (f"{CLIENT}, unknown", PROXY),
        (f"{CLIENT}, , 10.2.2.2", "10.2.2.2"),
        (f"{CLIENT}:443", PROXY),
        ("fe80::1%eth0", PROXY),
        ("127.1", PROXY),
        ("010.0.0.5", PROXY),
        ("'; DROP TABLE users; --", PROXY),
        ("," * 5000, PROXY),
        ("٣.٣.٣.٣", PROXY),
    ],
)
def test_of_the_chain_the_last_that_is_no_known_proxy_is_the_client(
    forwarded: str, client: str
) -> None:
    assert Proxies(NETWORKS).client(PROXY, forwarded) == client


def test_only_known_proxies_are_believed() -> None:
    proxies = Proxies(NETWORKS)
    assert [one for one in (PROXY, "::ffff:10.0.0.1", "2001:db8:1::1") if proxies.trust(one)]
    assert not any(map(proxies.trust, (CLIENT, "11.0.0.1", "::1", "", "unix:", "2001:db8:2::1")))
    assert not Proxies([]).trust("127.0.0.1")


async def address_of_login(api: Api, headers: dict[str, str]) -> str:
    kind, body = multipart({"username": "pengelola", "password": PASSWORD})
    answer = await api.post("/auth/login", headers={**kind, **headers}, body=body)
    assert answer.status == 200
    query = Session.select().order_by(Session.created_at.desc(), Session.id.desc()).limit(1)
    (session,) = await query.aio_execute()
    return str(session.address)


SPOOFED = {
    "X-Forwarded-For": f"{LIE}, {CLIENT}",
    "X-Real-Ip": LIE,
    "Forwarded": f"for={LIE}",
    "X-Scheme": "https",
}


async def test_without_the_setting_headers_are_ignored(api: Api) -> None:
    assert await address_of_login(api, SPOOFED) == "127.0.0.1"


@pytest.mark.settings(trusted_proxies=["192.0.2.0/24"])
async def test_a_stranger_is_not_believed(api: Api) -> None:
    assert await address_of_login(api, SPOOFED) == "127.0.0.1"


@pytest.mark.settings(trusted_proxies=["127.0.0.0/8"])
async def test_behind_a_known_proxy_each_request_of_a_connection_has_its_own_client(
    api: Api,
) -> None:
    assert await address_of_login(api, SPOOFED) == CLIENT
    assert await address_of_login(api, {}) == "127.0.0.1"
    assert await address_of_login(api, {"X-Forwarded-For": "2001:db8::5"}) == "2001:db8::5"
    assert await address_of_login(api, {"X-Forwarded-For": "sampah"}) == "127.0.0.1"
