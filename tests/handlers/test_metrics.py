"""``/metrics``: who gets the figures, and whether they are right."""

import dataclasses
import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from satupeta_server import database
from satupeta_server.errors import UnavailableError
from satupeta_server.routes import ROUTES
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.conftest import Api
from tests.handlers.test_files import picture
from tests.serving import Start

CATEGORY_ROUTE = next(
    f"/api{one.path}" for one in ROUTES if re.fullmatch(r"/categories/\{\w+\}", one.path)
)
TOKEN = "a-token-of-prometheus-0123456789"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families(text)
        for sample in family.samples
    }


def requests(found: Samples, route: str, **labels: str) -> float:
    return sum(
        value
        for (name, own), value in found.items()
        if name == "satupeta_http_request_duration_seconds_count"
        and {"route": route, **labels}.items() <= dict(own).items()
    )


async def figures(api: Api) -> Samples:
    base = api.base.removesuffix("/api")
    answer = await Api(base, api.application, api.world).get("/metrics")
    assert answer.status == 200, answer.body
    return samples(answer.body.decode())


@pytest.mark.settings(metrics_token=TOKEN)
async def test_only_who_knows_the_token_gets_figures(api: Api) -> None:
    assert (await api.get("/metrics")).status == 401
    assert (await api.get("/metrics", token="another")).status == 401
    assert (await api.get("/metrics", user="administrator")).status == 401
    answer = await api.get("/metrics", token=TOKEN)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")


async def test_without_a_token_production_has_no_such_page(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    production = api.application.services.settings.model_copy(update={"environment": "production"})
    services = dataclasses.replace(api.application.services, settings=production)
    for rule in api.application.wildcard_router.rules:
        if "services" in rule.target_kwargs:
            monkeypatch.setitem(rule.target_kwargs, "services", services)
    assert (await api.get("/metrics")).status == 404


async def test_requests_are_counted_by_route_and_status_and_not_by_address(api: Api) -> None:
    before = await figures(api)
    category = str(api.world.category_id)
    for path in (f"/categories/{category}", f"/categories/{category}", "/categories/none", "/no"):
        await api.get(path)
    after = await figures(api)
    route = CATEGORY_ROUTE
    assert requests(after, route, status="200") - requests(before, route, status="200") == 2
    assert requests(after, route, status="404") - requests(before, route, status="404") == 1
    assert requests(after, "-", status="404") - requests(before, "-", status="404") == 1
    labels = {dict(own).get("route") for _, own in after}
    assert not [one for one in labels if one and (category in one or "none" in one)]


async def test_what_a_client_makes_up_makes_no_new_figures(api: Api) -> None:
    async with httpx.AsyncClient() as client:
        for number in range(5):
            await client.request(f"MADEUP{number}", f"{api.base}/mapsets")
    methods = {dict(own).get("method") for _, own in await figures(api)}
    assert not [one for one in methods if one and one.startswith("MADEUP")]


async def test_the_database_is_counted(api: Api) -> None:
    for number in range(3):
        body = api.world.mapset(name=f"Batas {number}")
        made = await api.post("/mapsets", user="administrator", json_body=body)
    change = {"status_validation": "approved", "notes": "Sesuai"}
    await api.patch(f"/mapsets/{made.json['id']}", user="walidata", json_body=change)
    found = await figures(api)
    assert found["satupeta_database_up", ()] == 1
    mapsets = {
        dict(own)["status"]: value
        for (name, own), value in found.items()
        if name == "satupeta_mapsets"
    }
    assert mapsets == {"approved": 1, "on_verification": 2, "rejected": 0}
    # What begins with the first failure would not be seen to rise.
    failed = (("status", "failed"),)
    assert found["satupeta_jobs", failed] == found["satupeta_deliveries", failed] == 0
    assert found["satupeta_workers", ()] == 0
    assert found["satupeta_sessions", ()] >= 0


@pytest.mark.usefixtures("listening")
async def test_kept_answers_logins_and_statements_are_counted(api: Api) -> None:
    before = await figures(api)
    for _ in range(20):
        await api.get("/organizations")
    form = {"username": "nobody", "password": "Salah-Sekali-2026"}
    await api.post("/auth/login", json_body=form)
    after = await figures(api)

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(labels.items()))
        return after.get(key, 0) - before.get(key, 0)

    kept, made = (grown("satupeta_kept_answers_total", outcome=one) for one in ("hit", "miss"))
    # On a busy machine what is kept may be too old for some.
    assert kept + made == 20
    assert kept > 0
    assert made > 0
    assert grown("satupeta_logins_total", outcome="refused") == 1
    assert grown("satupeta_statements_total") > 2
    assert grown("satupeta_statement_seconds_total") > 0


async def test_without_the_database_there_are_figures_all_the_same(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise UnavailableError

    monkeypatch.setattr(database.database, "aio_execute_sql", fail)
    assert (await figures(api))["satupeta_database_up", ()] == 0


def test_the_figures_of_all_processes_are_added_up(start: Start, settings: Settings) -> None:
    served = start(settings, WORKERS="2", METRICS_TOKEN=TOKEN)
    base = f"http://127.0.0.1:{served.port}"
    for _ in range(40):
        # Each with a connection of its own, so that both processes get some.
        assert (
            httpx.get(f"{base}/api/categories", headers={"Connection": "close"}).status_code == 200
        )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    told = [samples(httpx.get(f"{base}/metrics", headers=headers).text) for _ in range(4)]
    assert [requests(one, "/api/categories", status="200") for one in told] == [40.0] * 4
    assert told[0]["satupeta_database_connections", (("state", "used"),)] >= 0


async def test_calls_of_the_store_are_counted_by_what_they_do(api: Api, store: ObjectStore) -> None:
    before = await figures(api)
    answer = await api.upload(picture(), "a.png", user="pengelola")
    assert (await api.get(f"/files/{answer.json['id']}/download")).status == 200
    after = await figures(api)
    name = "satupeta_storage_call_duration_seconds_count"
    done = {
        dict(labels)["operation"]
        for (one, labels), value in after.items()
        if one == name and value > before.get((one, labels), 0)
    }
    assert {"put_file", "read"} <= done


async def test_what_is_refused_for_being_too_much_is_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = api.application.settings["turns"]
    monkeypatch.setattr(turns, "_at_once", 0)
    monkeypatch.setattr(turns, "_longest_queue", 0)
    before = await figures(api)
    assert (await api.get("/mapsets", user="pengelola")).status == 503
    after = await figures(api)
    key = ("satupeta_refusals_total", (("reason", "turn"),))
    assert after[key] - before.get(key, 0) == 1


async def test_how_it_stands_is_told_also_when_nothing_is_answered(api: Api) -> None:
    found = await figures(api)
    # The one that asks.
    assert found["satupeta_http_requests_under_way", ()] == 1
    assert found["satupeta_database_connections_limit", ()] >= 1
    assert found["satupeta_process_most_resident_memory_bytes", ()] > 10_000_000
