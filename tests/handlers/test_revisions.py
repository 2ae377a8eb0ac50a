"""The revisions of a mapset: seen, compared, restored."""

from typing import Any

import pytest

from tests.conftest import Answer, Api

PLAIN = ("name", "description", "scale", "data_status", "bounding_box", "temporal_start")
BOX = [170.0, -20.0, -170.0, 20.0]


async def changed(api: Api, mapset: dict[str, Any], user: str = "pengelola", **body: Any) -> Any:
    answer = await api.patch(f"/mapsets/{mapset['id']}", user=user, json_body=body)
    assert answer.status == 200, answer.body
    return answer.json


async def restored(api: Api, mapset: dict[str, Any], revision: int, **sent: Any) -> Answer:
    path = f"/mapsets/{mapset['id']}/revisions/{revision}/restore"
    return await api.post(path, **{"user": "pengelola", **sent})


async def test_each_change_is_a_revision_with_who_and_when(api: Api) -> None:
    mapset = await api.make_mapset()
    await changed(api, mapset, scale="1:5.000")
    await changed(api, mapset, user="walidata", name="Batas Kecamatan")
    listed = (await api.get(f"/mapsets/{mapset['id']}/revisions", user="pengelola")).json
    assert [one["revision"] for one in listed["items"]] == [3, 2, 1]
    assert [one["user"]["name"] for one in listed["items"]] == [
        "Walidata",
        "Pengelola",
        "Pengelola",
    ]
    assert all(one["timestamp"] for one in listed["items"])
    assert (listed["total"], listed["offset"], listed["has_more"]) == (3, 0, False)
    page = await api.get(f"/mapsets/{mapset['id']}/revisions", user="pengelola", limit=1, offset=1)
    assert [one["revision"] for one in page.json["items"]] == [2]
    assert page.json["has_more"] is True


async def test_a_revision_is_the_whole_state_of_its_time(api: Api) -> None:
    mapset = await api.make_mapset(bounding_box=BOX, source_id=[api.world.geonetwork_id])
    await changed(api, mapset, scale="1:5.000", source_id=[], bounding_box=[1, 2, 3, 4])
    path = f"/mapsets/{mapset['id']}/revisions/1"
    state = (await api.get(path, user="walidata")).json["state"]
    assert state["scale"] == mapset["scale"]
    assert state["bounding_box"] == BOX
    assert state["source_id"] == [api.world.geonetwork_id]
    assert state["category_id"] == mapset["category_id"]
    assert state["deleted_at"] is None


async def test_two_revisions_are_compared_by_field(api: Api) -> None:
    mapset = await api.make_mapset()
    await changed(api, mapset, scale="1:5.000")
    await changed(api, mapset, source_id=[api.world.geoserver_id], name="Batas Kecamatan")
    path = f"/mapsets/{mapset['id']}/revisions/compare?from=1&to=3"
    found = (await api.get(path, user="administrator")).json
    assert (found["from"], found["to"]) == (1, 3)
    assert found["differences"] == [
        {"field": "name", "from": mapset["name"], "to": "Batas Kecamatan"},
        {"field": "scale", "from": mapset["scale"], "to": "1:5.000"},
        {
            "field": "source_id",
            "from": [api.world.geoserver_id, api.world.geonetwork_id],
            "to": [api.world.geoserver_id],
        },
    ]


@pytest.mark.parametrize("query", ["", "from=1", "from=1&to=x", "from=-1&to=2", "from=1&to=9e9"])
async def test_a_comparison_names_two_numbers(api: Api, query: str) -> None:
    mapset = await api.make_mapset()
    path = f"/mapsets/{mapset['id']}/revisions/compare?{query}"
    assert (await api.get(path, user="pengelola")).status == 422


async def test_what_is_no_revision_is_not_found(api: Api) -> None:
    mapset = await api.make_mapset()
    path = f"/mapsets/{mapset['id']}/revisions"
    for revision in ("2", "0", "-1", "x", "99999999999999999999", "2147483648"):
        assert (await api.get(f"{path}/{revision}", user="pengelola")).status == 404
        restore = await api.post(f"{path}/{revision}/restore", user="pengelola")
        assert restore.status == 404
    assert (await api.get(f"{path}/compare?from=1&to=2", user="pengelola")).status == 404
    unknown = "/mapsets/01968b53-0000-7000-8000-000000000000/revisions"
    assert (await api.get(unknown, user="administrator")).status == 404


async def test_managers_see_and_restore_their_own_organization_only(api: Api) -> None:
    mapset = await api.make_mapset()
    await changed(api, mapset, name="Batas Kecamatan")
    base = f"/mapsets/{mapset['id']}/revisions"
    for path in (base, f"{base}/1", f"{base}/compare?from=1&to=2"):
        for user, status in (("pengelola_lain", 404), ("viewer", 403), (None, 401)):
            assert (await api.get(path, user=user)).status == status
        for user in ("pengelola", "walidata", "administrator"):
            assert (await api.get(path, user=user)).status == 200
    for user, status in (("pengelola_lain", 404), ("viewer", 403), (None, 401)):
        assert (await restored(api, mapset, 1, user=user)).status == status
    now = (await api.get(f"/mapsets/{mapset['id']}", user="pengelola")).json
    assert now["name"] == "Batas Kecamatan"


async def test_a_restored_mapset_is_what_it_was_in_a_new_revision(api: Api) -> None:
    mapset = await api.make_mapset(bounding_box=BOX, temporal_start="2024-05-01T00:00:00Z")
    await changed(
        api, mapset, name="Lain", scale="1:1", source_id=[], data_status="tetap",
        bounding_box=[1, 2, 3, 4], temporal_start="2020-01-01T00:00:00Z",
    )  # fmt: skip
    answer = await restored(api, mapset, 1)
    assert answer.status == 200, answer.body
    assert answer.json["revision"] == 3
    assert {name: answer.json[name] for name in PLAIN} == {name: mapset[name] for name in PLAIN}
    assert answer.json["sources"] == mapset["sources"]
    path = f"/mapsets/{mapset['id']}/revisions"
    assert (await api.get(path, user="pengelola")).json["total"] == 3
    found = (await api.get(f"{path}/compare?from=1&to=3", user="pengelola")).json
    assert found["differences"] == []
    again = await restored(api, mapset, 1)
    assert again.json["revision"] == 3


async def test_restoring_never_changes_the_verification(api: Api) -> None:
    mapset = await api.make_public_mapset()
    changes = {"status_validation": "rejected", "notes": "Keliru", "layer_url": mapset["layer_url"]}
    tag = {"If-Match": str(mapset["revision"])}
    path = f"/mapsets/{mapset['id']}"
    answer = await api.patch(path, user="walidata", json_body=changes, headers=tag)
    assert answer.status == 200, answer.body
    for user in ("pengelola", "administrator"):
        answer = await restored(api, mapset, mapset["revision"], user=user)
        assert answer.json["status_validation"] == "rejected"
        assert answer.json["notes"] == "Keliru"


@pytest.mark.settings(reverify_on_edit=True)
async def test_restoring_is_an_edit_that_is_verified_again(api: Api) -> None:
    mapset = await api.make_mapset()
    await changed(api, mapset, name="Batas Kecamatan")
    verdict = {"status_validation": "approved", "notes": "", "layer_url": mapset["layer_url"]}
    approved = await changed(api, mapset, user="walidata", **verdict)
    assert approved["status_validation"] == "approved"
    answer = await restored(api, mapset, 1)
    assert answer.json["name"] == mapset["name"]
    assert answer.json["status_validation"] == "on_verification"


async def test_restoring_compares_the_revision(api: Api) -> None:
    mapset = await api.make_mapset()
    await changed(api, mapset, name="Batas Kecamatan")
    assert (await restored(api, mapset, 1, headers={"If-Match": "1"})).status == 412
    assert (await restored(api, mapset, 1, headers={"If-Match": "2"})).status == 200


async def test_a_reference_that_was_deleted_meanwhile_is_named(api: Api) -> None:
    body = {"name": "Tema Lama"}
    category = (await api.post("/categories", user="administrator", json_body=body)).json
    body = {"name": "Sumber Lama", "url": "https://lama.example.org"}
    source = (await api.post("/map_sources", user="administrator", json_body=body)).json
    mapset = await api.make_mapset(category_id=category["id"], source_id=[source["id"]])
    await changed(api, mapset, category_id=api.world.category_id, source_id=[])
    for path in (f"/categories/{category['id']}", f"/map_sources/{source['id']}"):
        assert (await api.delete(path, user="administrator")).status == 204
    answer = await restored(api, mapset, 1)
    assert answer.status == 422
    assert set(answer.json["errors"]) == {"category_id", "source_id"}
    assert (await api.get(f"/mapsets/{mapset['id']}", user="pengelola")).json["revision"] == 2


async def test_a_revision_of_another_organization_is_not_taken_back(api: Api) -> None:
    mapset = await api.make_mapset("administrator", producer_id=api.world.organizations["other"])
    own = api.world.organizations["own"]
    await changed(api, mapset, user="administrator", producer_id=own)
    assert (await restored(api, mapset, 1)).status == 403
    assert (await restored(api, mapset, 1, user="administrator")).status == 200


async def test_a_deleted_mapset_shows_its_revisions_and_is_not_restored_by_one(api: Api) -> None:
    mapset = await api.make_mapset()
    await api.delete(f"/mapsets/{mapset['id']}", user="pengelola")
    path = f"/mapsets/{mapset['id']}/revisions"
    listed = await api.get(path, user="pengelola")
    assert listed.json["total"] == 2
    assert (await restored(api, mapset, 1)).status == 404
