"""Mapsets over the API: contract 6.1, 10 and 14."""

import asyncio
import datetime
import re
from typing import Any

import pytest

from tests.conftest import Api

UNKNOWN = "01968b53-0000-7000-8000-000000000000"


def verdict(mapset: dict[str, Any], status: str = "approved") -> dict[str, Any]:
    """What the portal's verify dialog sends."""
    return {"status_validation": status, "notes": "", "layer_url": mapset["layer_url"]}


async def histories(api: Api, mapset: dict[str, Any]) -> list[str]:
    """The states that a mapset went through, the first one first."""
    answer = await api.get("/histories", user="walidata", filter=f"mapset_id={mapset['id']}")
    return [item["validation_type"] for item in reversed(answer.json["items"])]


async def test_a_mapset_comes_back_with_all_that_the_portal_reads(api: Api) -> None:
    mapset = await api.make_mapset()
    detail = await api.get(f"/mapsets/{mapset['id']}", user="pengelola")
    assert detail.status == 200
    assert detail.json == mapset
    assert (await api.get("/mapsets", user="pengelola")).json["items"] == [mapset]
    for embedded in ("classification", "category", "projection_system", "producer", "regional"):
        assert mapset[embedded]["name"]
    assert [source["name"] for source in mapset["sources"]] == [
        "GeoServer Provinsi",
        "GeoNetwork Provinsi",
    ]
    assert mapset["sources"][0]["credential"]["credential_type"] == "geoserver"
    assert mapset["sources"][1]["credential"]["credential_type"] is None
    assert "sandi-geoserver" not in str(mapset)
    assert "sensitive_data" not in str(mapset)


async def test_a_new_mapset_is_in_verification_with_one_history_row(api: Api) -> None:
    mapset = await api.make_mapset()
    assert mapset["status_validation"] == "on_verification"
    answer = await api.get("/histories", user="pengelola", filter=f"mapset_id={mapset['id']}")
    (entry,) = answer.json["items"]
    assert entry["notes"] == "Mapset baru dibuat"
    assert entry["user"]["name"] == "Pengelola"
    assert (await api.get(f"/histories/{entry['id']}", user="walidata")).json == entry


async def test_a_wizard_sent_blank_names_every_missing_field(api: Api) -> None:
    blank = dict.fromkeys(api.world.mapset(), "") | {"source_id": ["", ""]}
    answer = await api.post("/mapsets", user="pengelola", json_body=blank)
    assert answer.status == 422
    required = {"name", "description", "scale", "producer_id", "category_id", "regional_id"}
    assert required <= set(answer.json["errors"])


@pytest.mark.parametrize("sent", [None, "", [], ["", ""]])
async def test_no_source_is_no_error(api: Api, sent: Any) -> None:
    mapset = await api.make_mapset(source_id=sent)
    assert mapset["sources"] == []


async def test_sources_may_be_one_string_and_are_never_double(api: Api) -> None:
    one = await api.make_mapset(source_id=api.world.geoserver_id)
    twice = await api.make_mapset(source_id=[api.world.geoserver_id] * 2)
    assert len(one["sources"]) == len(twice["sources"]) == 1
    answer = await api.patch(f"/mapsets/{one['id']}", user="pengelola", json_body={"source_id": []})
    assert answer.json["sources"] == []
    assert answer.json["revision"] == 2


async def test_an_unknown_reference_is_named(api: Api) -> None:
    for field in ("category_id", "classification_id", "projection_system_id", "regional_id"):
        body = api.world.mapset(**{field: UNKNOWN})
        answer = await api.post("/mapsets", user="pengelola", json_body=body)
        assert answer.status == 422
        assert list(answer.json["errors"]) == [field]
    body = api.world.mapset(source_id=[UNKNOWN])
    answer = await api.post("/mapsets", user="pengelola", json_body=body)
    assert list(answer.json["errors"]) == ["source_id"]


async def test_approval_makes_public_and_rejection_does_not(api: Api) -> None:
    approved, rejected = await api.make_public_mapset(), await api.make_mapset()
    path = f"/mapsets/{rejected['id']}"
    await api.patch(path, user="walidata", json_body=verdict(rejected, "rejected"))
    assert (await api.get(f"/mapsets/{approved['id']}")).status == 200
    assert (await api.get(path)).status == 404
    listed = (await api.get("/mapsets")).json
    assert [item["id"] for item in listed["items"]] == [approved["id"]]
    assert await histories(api, rejected) == ["on_verification", "rejected"]


@pytest.mark.parametrize("hidden", ["inactive", "secret", "unapproved", "deleted"])
async def test_the_public_never_sees(api: Api, hidden: str) -> None:
    changes = {"secret": {"classification_id": api.world.classifications["secret"]}}
    mapset = await (api.make_mapset if hidden == "unapproved" else api.make_public_mapset)(
        **changes.get(hidden, {})
    )
    path = f"/mapsets/{mapset['id']}"
    if hidden == "inactive":
        await api.patch(path, user="pengelola", json_body={"is_active": False})
    if hidden == "deleted":
        assert (await api.delete(path, user="pengelola")).status == 204
    for user in (None, "viewer", "pengelola_lain"):
        assert (await api.get(path, user=user)).status == 404
        assert (await api.get("/mapsets", user=user)).json["total"] == 0
    own = await api.get(path, user="pengelola")
    assert own.status == (404 if hidden == "deleted" else 200)


async def test_a_manager_edits_an_approved_mapset_without_touching_its_status(api: Api) -> None:
    mapset = await api.make_public_mapset()
    body = api.world.mapset(name="Batas Desa Baru", status_validation="approved")
    del body["notes"]
    answer = await api.patch(f"/mapsets/{mapset['id']}", user="pengelola", json_body=body)
    assert answer.status == 200
    assert answer.json["status_validation"] == "approved"
    assert answer.json["name"] == "Batas Desa Baru"
    assert answer.json["revision"] == mapset["revision"] + 1
    assert await histories(api, mapset) == ["on_verification", "approved"]


@pytest.mark.settings(reverify_on_edit=True)
async def test_an_edit_returns_to_verification_where_the_setting_says_so(api: Api) -> None:
    mapset = await api.make_public_mapset()
    path = f"/mapsets/{mapset['id']}"
    toggled = await api.patch(path, user="pengelola", json_body={"is_popular": True})
    assert toggled.json["status_validation"] == "approved"
    edited = await api.patch(path, user="pengelola", json_body={"name": "Batas Desa Baru"})
    assert edited.json["status_validation"] == "on_verification"
    assert await histories(api, mapset) == ["on_verification", "approved", "on_verification"]


async def test_a_status_that_is_the_present_one_is_no_transition(api: Api) -> None:
    mapset = await api.make_public_mapset()
    path = f"/mapsets/{mapset['id']}"
    for user in ("walidata", "administrator", "pengelola"):
        answer = await api.patch(path, user=user, json_body={"status_validation": "approved"})
        assert answer.status == 200
        assert answer.json["revision"] == mapset["revision"]
    assert await histories(api, mapset) == ["on_verification", "approved"]


async def test_a_manager_cannot_verify(api: Api) -> None:
    mapset = await api.make_mapset()
    path = f"/mapsets/{mapset['id']}"
    for status in ("approved", "rejected"):
        answer = await api.patch(path, user="pengelola", json_body=verdict(mapset, status))
        assert answer.status == 403
    body = api.world.mapset(status_validation="approved")
    assert (await api.post("/mapsets", user="pengelola", json_body=body)).status == 403
    assert (await api.post("/mapsets", user="walidata", json_body=body)).status == 422
    assert await histories(api, mapset) == ["on_verification"]


async def test_an_outdated_status_of_a_manager_is_a_conflict(api: Api) -> None:
    mapset = await api.make_public_mapset()
    body = api.world.mapset(name="Batas Desa Baru", status_validation="on_verification")
    answer = await api.patch(f"/mapsets/{mapset['id']}", user="pengelola", json_body=body)
    assert answer.status == 409
    unchanged = (await api.get(f"/mapsets/{mapset['id']}")).json
    assert unchanged == mapset


async def test_a_rejected_mapset_is_submitted_again_by_its_manager(api: Api) -> None:
    mapset = await api.make_mapset()
    path = f"/mapsets/{mapset['id']}"
    await api.patch(path, user="walidata", json_body=verdict(mapset, "rejected"))
    again = {"status_validation": "on_verification"}
    assert (await api.patch(path, user="pengelola", json_body=again)).status == 200
    stale = await api.patch(path, user="pengelola", json_body={"status_validation": "rejected"})
    assert stale.status == 409
    assert await histories(api, mapset) == ["on_verification", "rejected", "on_verification"]


async def test_of_two_racing_verdicts_one_wins_and_the_other_writes_nothing(api: Api) -> None:
    for _ in range(5):
        mapset = await api.make_mapset()
        path = f"/mapsets/{mapset['id']}"
        await api.token("walidata")
        await api.token("administrator")
        answers = await asyncio.gather(
            api.patch(path, user="walidata", json_body=verdict(mapset)),
            api.patch(path, user="administrator", json_body=verdict(mapset, "rejected")),
        )
        assert sorted(answer.status for answer in answers) == [200, 409]
        assert len(await histories(api, mapset)) == 2


async def test_a_verdict_on_a_layer_that_has_changed_is_a_conflict(api: Api) -> None:
    mapset = await api.make_mapset()
    path = f"/mapsets/{mapset['id']}"
    changed = {"layer_url": "https://peta.example.org/geoserver/wms?layers=batas:lain"}
    await api.patch(path, user="pengelola", json_body=changed)
    answer = await api.patch(path, user="walidata", json_body=verdict(mapset))
    assert answer.status == 409
    assert await histories(api, mapset) == ["on_verification"]


async def test_a_validator_who_names_the_present_revision_may_take_an_approval_back(
    api: Api,
) -> None:
    mapset = await api.make_public_mapset()
    path, body = f"/mapsets/{mapset['id']}", {"status_validation": "rejected"}
    assert (await api.patch(path, user="walidata", json_body=body)).status == 409
    tag = (await api.get(path, user="walidata")).headers["Etag"]
    headers = {"If-Match": tag}
    confirmed = await api.patch(path, user="walidata", json_body=body, headers=headers)
    assert confirmed.status == 200
    assert (await api.patch(path, user="walidata", json_body=body, headers=headers)).status == 412


async def test_a_manager_writes_only_in_the_own_organization(api: Api) -> None:
    mapset = await api.make_public_mapset()
    path, other = f"/mapsets/{mapset['id']}", api.world.organizations["other"]
    stranger = {"name": "Diambil alih"}
    assert (await api.patch(path, user="pengelola_lain", json_body=stranger)).status == 403
    assert (await api.delete(path, user="pengelola_lain")).status == 403
    given_away = await api.patch(path, user="pengelola", json_body={"producer_id": other})
    assert given_away.status == 403
    body = api.world.mapset(producer_id=other)
    assert (await api.post("/mapsets", user="pengelola", json_body=body)).status == 403
    assert (await api.post("/mapsets", user="walidata", json_body=body)).status == 201


async def test_several_mapsets_are_deactivated_all_or_none(api: Api) -> None:
    first, second = await api.make_mapset(), await api.make_mapset()
    foreign = await api.make_mapset(
        user="pengelola_lain", producer_id=api.world.organizations["other"]
    )
    ids = [first["id"], second["id"]]
    refused = await api.patch(
        "/mapsets/activation",
        user="pengelola",
        json_body={"ids": [*ids, foreign["id"]], "is_active": False},
    )
    assert refused.status == 404
    assert (await api.get(f"/mapsets/{first['id']}", user="pengelola")).json["is_active"]
    done = await api.patch(
        "/mapsets/activation", user="pengelola", json_body={"ids": ids, "is_active": False}
    )
    assert done.status == 200
    assert sorted(item["id"] for item in done.json) == sorted(ids)
    assert not any(item["is_active"] for item in done.json)
    missing = await api.patch("/mapsets/activation", user="pengelola", json_body={})
    assert missing.status == 422


async def test_the_bounding_box_follows_the_layer_unless_it_was_given(api: Api) -> None:
    base = "https://peta.example.org/geoserver/wms?layers=a:b&bbox="
    mapset = await api.make_mapset(layer_url=base + "111.0,-8.5,114.5,-6.75")
    assert mapset["bounding_box"] == [111.0, -8.5, 114.5, -6.75]
    path = f"/mapsets/{mapset['id']}"
    moved = await api.patch(
        path, user="pengelola", json_body={"layer_url": base + "170,-10,-170,10"}
    )
    assert moved.json["bounding_box"] == [170, -10, -170, 10]
    given = await api.patch(path, user="pengelola", json_body={"bounding_box": [1, 2, 3, 4]})
    assert given.json["bounding_box"] == [1, 2, 3, 4]
    kept = await api.patch(path, user="pengelola", json_body={"layer_url": base + "5,5,6,6"})
    assert kept.json["bounding_box"] == [1, 2, 3, 4]
    wrong = await api.patch(path, user="pengelola", json_body={"bounding_box": [0, 9, 1, -9]})
    assert list(wrong.json["errors"]) == ["bounding_box"]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("1867-08-10T00:00:00Z", "1867-08-10T00:00:00.000000Z"),
        ("1867-08-10T00:00:00.25+07:00", "1867-08-09T17:00:00.250000Z"),
        ("1923-12-31T17:00:00Z", "1924-01-01T00:20:00.000000+07:20"),
    ],
)
async def test_a_time_before_there_were_time_zones_has_an_offset_that_browsers_read(
    api: Api, sent: str, shown: str
) -> None:
    mapset = await api.make_mapset(temporal_start=sent)
    moment = datetime.datetime.fromisoformat(mapset["temporal_start"])
    assert moment == datetime.datetime.fromisoformat(shown)
    assert str(moment.utcoffset()) == str(datetime.datetime.fromisoformat(shown).utcoffset())
    assert re.fullmatch(r"[0-9T:.-]+(Z|[+-][0-9]{2}:[0-9]{2})", mapset["temporal_start"])


async def test_the_time_of_a_mapset_does_not_end_before_it_starts(api: Api) -> None:
    mapset = await api.make_mapset(temporal_start="2025-01-01T00:00:00+07:00")
    assert mapset["temporal_start"] == "2025-01-01T00:00:00+07:00"
    answer = await api.patch(
        f"/mapsets/{mapset['id']}", user="pengelola", json_body={"temporal_end": "2024-01-01"}
    )
    assert list(answer.json["errors"]) == ["temporal_end"]


async def test_what_a_mapset_embeds_stays_when_it_is_deleted(api: Api) -> None:
    mapset = await api.make_public_mapset()
    for path in (
        f"/categories/{mapset['category_id']}",
        f"/organizations/{mapset['producer_id']}",
        f"/classifications/{mapset['classification_id']}",
        f"/map_projection_systems/{mapset['projection_system_id']}",
        f"/regionals/{mapset['regional_id']}",
        f"/map_sources/{api.world.geoserver_id}",
        f"/credentials/{api.world.credential_id}",
    ):
        assert (await api.delete(path, user="administrator")).status == 204
        assert (await api.get(path, user="administrator")).status == 404
    assert (await api.get(f"/mapsets/{mapset['id']}")).json == mapset
    body = api.world.mapset(name="Batas Desa Baru", status_validation="approved")
    edited = await api.patch(f"/mapsets/{mapset['id']}", user="walidata", json_body=body)
    assert edited.status == 200
    new = await api.post("/mapsets", user="walidata", json_body=api.world.mapset())
    assert new.status == 422
    assert "category_id" in new.json["errors"]


async def test_an_edit_form_that_was_open_before_a_rejection_does_not_undo_it(api: Api) -> None:
    mapset = await api.make_mapset()
    path = f"/mapsets/{mapset['id']}"
    verdict = {"status_validation": "rejected", "notes": "", "layer_url": mapset["layer_url"]}
    assert (await api.patch(path, user="walidata", json_body=verdict)).status == 200
    stale = api.world.mapset(status_validation="on_verification", scale="1:10.000")
    answer = await api.patch(path, user="pengelola", json_body=stale)
    assert (answer.status, answer.json["code"]) == (409, "status_outdated")
    again = {"status_validation": "on_verification"}
    assert (await api.patch(path, user="pengelola", json_body=again)).status == 200
