"""Lists: contract 2.2 to 2.6."""

import json

import pytest

from tests.conftest import Api

PUBLIC_LISTS = (
    "/mapsets",
    "/news",
    "/categories",
    "/organizations",
    "/classifications",
    "/map_projection_systems",
    "/regionals",
)


async def names(api: Api, path: str, **query: object) -> list[str]:
    """The names in a list, as an administrator gets them."""
    answer = await api.get(path, user="administrator", **query)
    assert answer.status == 200, answer.body
    return [item["name"] for item in answer.json["items"]]


async def make_categories(api: Api, *wanted: str) -> None:
    for name in wanted:
        body = {"name": name, "description": f"Uraian {name}"}
        answer = await api.post("/categories", user="administrator", json_body=body)
        assert answer.status == 201, answer.body


async def test_pages_join_to_the_whole_list_and_say_whether_there_is_more(api: Api) -> None:
    whole = (await api.get("/categories")).json
    assert whole["total"] == len(whole["items"]) > 3
    assert not whole["has_more"]
    first = (await api.get("/categories", limit=2)).json
    rest = (await api.get("/categories", limit=100, offset=2)).json
    assert first["items"] + rest["items"] == whole["items"]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert (first["limit"], first["offset"], rest["offset"]) == (2, 0, 2)
    assert first["total"] == rest["total"] == whole["total"]
    beyond = (await api.get("/categories", offset=10**12)).json
    assert (beyond["items"], beyond["total"]) == ([], whole["total"])


@pytest.mark.settings(list_limit=3)
async def test_a_list_without_limit_holds_lookups_whole_and_caps_the_others(api: Api) -> None:
    assert (await api.get("/map_projection_systems")).json["has_more"] is False
    capped = (await api.get("/regionals")).json
    assert len(capped["items"]) == capped["limit"] == 3
    assert capped["total"] > 500
    assert len((await api.get("/regionals", limit=50)).json["items"]) == 3


@pytest.mark.parametrize("path", PUBLIC_LISTS)
async def test_an_anonymous_list_with_sort_is_401(api: Api, path: str) -> None:
    assert (await api.get(path)).status == 200
    assert (await api.get(path, sort="name:asc")).status == 401
    assert (await api.get(path, sort="name:asc", token="stale")).status == 401
    assert (await api.get(path, token="stale")).status == 200
    assert (await api.get(path, sort="name:asc", user="viewer")).status == 200


async def test_sort_goes_both_ways_and_falls_back_where_it_is_unknown(api: Api) -> None:
    default = await names(api, "/categories")
    assert default == sorted(default, key=str.lower)
    assert await names(api, "/categories", sort="name:desc") == default[::-1]
    for unknown in ("", "password:asc", "name:up", "name;drop table users:asc", ":", "id:asc"):
        assert await names(api, "/categories", sort=unknown) == default


async def test_credentials_sort_by_what_stands_in_their_metadata(api: Api) -> None:
    for name, environment in (("A", "staging"), ("B", "development")):
        body = {"name": name, "credential_metadata": {"environment": environment}}
        await api.post("/credentials", user="administrator", json_body=body)
    assert await names(api, "/credentials", sort="environment:asc") == ["B", "GeoServer", "A"]
    assert len(await names(api, "/credentials", sort="version:desc")) == 3


async def test_the_four_shapes_of_filter_mean_what_the_portal_means(api: Api) -> None:
    await api.make_mapset(name="Menunggu")
    await api.make_public_mapset(name="Disetujui")
    off = await api.make_mapset(name="Nonaktif")
    await api.patch(f"/mapsets/{off['id']}", user="pengelola", json_body={"is_active": False})
    both = ["is_active=true", "status_validation=approved"]
    producer = f"producer_id={api.world.organizations['own']}"
    assert await names(api, "/mapsets", filter=both) == ["Disetujui"]
    assert await names(api, "/mapsets", filter=json.dumps(both)) == ["Disetujui"]
    either = [
        ["is_active=true"],
        ["status_validation=on_verification", "status_validation=rejected"],
    ]
    assert await names(api, "/mapsets", filter=json.dumps(either)) == ["Menunggu"]
    mixed = [json.dumps([[producer]]), "is_active=false"]
    assert await names(api, "/mapsets", filter=mixed) == ["Nonaktif"]
    assert len(await names(api, "/mapsets", filter="")) == 3
    foreign = f"producer_id={api.world.organizations['other']}"
    assert await names(api, "/mapsets", filter=foreign) == []


async def test_more_operators_than_the_portal_needs(api: Api) -> None:
    await make_categories(api, "Xyz A", "Xyz B", "Xyz C")
    search = {"search": "xyz"}
    assert await names(api, "/categories", filter="name!=Xyz B", **search) == ["Xyz A", "Xyz C"]
    assert await names(api, "/categories", filter="name>Xyz A", **search) == ["Xyz B", "Xyz C"]
    assert await names(api, "/categories", filter="name<=Xyz A", **search) == ["Xyz A"]
    assert await names(api, "/categories", filter="name in Xyz A, Xyz C") == ["Xyz A", "Xyz C"]
    assert len(await names(api, "/categories", filter="created_at<2000-01-01")) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        "password=x",
        "no operator",
        "[",
        "[1]",
        '[["is_active=true", 2]]',
        "is_active=perhaps",
        "id=not-a-uuid",
        "is_active<true",
        "created_at=yesterday",
        json.dumps(["name=x"] * 101),
        "is_active=\0",
    ],
)
async def test_a_filter_that_cannot_be_meant_is_refused_by_name(api: Api, wrong: str) -> None:
    answer = await api.get("/categories", filter=wrong)
    assert answer.status == 422
    assert list(answer.json["errors"]) == ["filter"]


@pytest.mark.parametrize("name", ["limit", "offset"])
@pytest.mark.parametrize("wrong", ["-1", "x", "1.5", "9" * 30, "\u0661", "1e3"])
async def test_a_number_that_is_none_is_refused_by_name(api: Api, name: str, wrong: str) -> None:
    answer = await api.get("/categories", **{name: wrong})
    assert answer.status == 422
    assert list(answer.json["errors"]) == [name]


async def test_search_finds_every_word_in_any_order_and_takes_signs_literally(api: Api) -> None:
    await make_categories(api, "Jalan Tol", "100% Sawah", "Kode_A", "Garis\\Miring")
    assert await names(api, "/categories", search="TOL jalan") == ["Jalan Tol"]
    assert await names(api, "/categories", search="uraian tol") == ["Jalan Tol"]
    assert await names(api, "/categories", search="100%") == ["100% Sawah"]
    assert await names(api, "/categories", search="Kode_") == ["Kode_A"]
    assert await names(api, "/categories", search="s\\m") == ["Garis\\Miring"]
    assert await names(api, "/categories", search="tol rel") == []
    assert (await api.get("/categories", search="x" * 256)).status == 422


async def test_mapsets_are_found_by_their_producer(api: Api) -> None:
    await api.make_mapset()
    assert len(await names(api, "/mapsets", search="dinas pekerjaan umum")) == 1
    assert await names(api, "/mapsets", search="dinas kehutanan") == []


async def test_users_are_found_by_username_and_email(api: Api) -> None:
    assert await names(api, "/users", search="pengelola_lain@") == ["Pengelola Lain"]
    assert await names(api, "/users", search="walidata") == ["Walidata"]


async def test_what_no_text_can_hold_is_refused(api: Api) -> None:
    for path in ("/categories?search=%00", "/categories?sort=%00", "/categories?x=%00"):
        assert (await api.get(path, user="viewer")).status == 422
    assert (await api.get("/categories?search=%ff")).status == 400
