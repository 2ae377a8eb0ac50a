"""Bodies that are built to hurt: each is refused, never failed on."""

import pytest

from satupeta_server.routes import ROUTES
from tests.conftest import Api

ID = "01968b53-a910-7a67-bd10-975b8923b92e"

BODIES = [
    *[b"[" * 100_000, b'{"a":' * 50_000, b'{"username":%s}' % (b"[" * 2_000 + b"]" * 2_000)],
    *[b'{"username":{"$ne":null},"password":{"$ne":null}}', b'{"username":["a"],"password":1}'],
    *[b'{"username":1e400,"name":1e400}', b'{"name":%s}' % (b"9" * 20_000), b'{"name":NaN}'],
    *[b'{"name":-0,"ids":1e308,"is_active":1e-400}', b'{"name":"\\u0000","username":"\\u0000"}'],
    *[
        b'{"name":"\\udc00","refresh_token":"\\ud800"}',
        b'{"name":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"\0",
    ],
    *["{}".encode("utf-16"), b'{"token":"%s"}' % (b"x" * 60_000), b"null", b"true", b"1", b'""'],
    *[b'{"refresh_token":"%s"}' % (b"." * 3_999), b"{'name':1}", b'{"name":"a"', b'{"name":"a"}x'],
    b'{"name":"Batas","bounding_box":[1e308,-1e308,%s,0],"source_id":{}}' % (b"9" * 4_000),
    b'{"ids":[%s],"is_active":"x"}' % b",".join([b'"x"'] * 50_000),
    b"{%s}" % b",".join(b'"k%d":{"k":[]}' % number for number in range(20_000)),
]
POSTS = sorted({one.path for one in ROUTES if "POST" in one.operations} - {"/auth/logout"})


@pytest.mark.parametrize("path", POSTS)
async def test_a_body_that_is_built_to_hurt_is_refused(api: Api, path: str) -> None:
    mapset = await api.make_mapset()
    address = path.replace("{id}", mapset["id"])
    for body in BODIES:
        answer = await api.post(address, user="administrator", body=body)
        assert 400 <= answer.status < 500, (body[:80], answer.status, answer.body[:300])
        assert answer.json["message"]
    for body in BODIES if address.endswith("s") else ():
        answer = await api.patch(f"{address}/{ID}", user="administrator", body=body)
        assert answer.status < 500, (body[:80], answer.status)


async def test_of_a_key_said_twice_the_last_counts(api: Api) -> None:
    body = b'{"name":"Pertama","name":"Kedua"}'
    answer = await api.post("/categories", user="administrator", body=body)
    assert (answer.status, answer.json["name"]) == (201, "Kedua")
