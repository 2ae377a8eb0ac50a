"""Mapsets over the API: contract 6.1, 10 and 14."""

from tests.conftest import Api


async def test_a_mapset_comes_back_with_all_that_the_portal_reads(api: Api) -> None:
    mapset = await api.make_mapset()
    detail = await api.get(f"/mapsets/{mapset['id']}", user="pengelola")
    assert detail.status == 200
    assert detail.json == mapset
    listed = (await api.get("/mapsets", user="pengelola")).json
    assert listed["items"] == [mapset]
