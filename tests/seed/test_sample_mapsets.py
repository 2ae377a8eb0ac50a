"""The generator of the sample catalogue, without a database."""

import itertools
import tracemalloc
from urllib.parse import parse_qsl, urlsplit

from satupeta_server.models.mapsets import STATUSES
from satupeta_server.seed.sample.mapsets import SampleMapset, SampleMapsets
from satupeta_server.seed.sample.places import read_places
from satupeta_server.seed.sample.servers import SERVERS
from satupeta_server.seed.sample.subjects import Subjects
from satupeta_server.seed.sample.themes import read_themes
from satupeta_server.seed.tables import read_table


def first(count: int) -> list[SampleMapset]:
    """The first mapsets."""
    return list(SampleMapsets().make(range(count)))


def test_no_description_and_no_name_comes_twice() -> None:
    descriptions, names = set(), set()
    for mapset in SampleMapsets().make(range(20_000)):
        descriptions.add(mapset.description)
        names.add(mapset.name)
    assert len(descriptions) == len(names) == 20_000


def test_no_subject_comes_twice_when_places_and_years_are_used_up() -> None:
    subjects = Subjects()
    seen = {
        (subject.theme.slug, subject.place.code, subject.year, subject.edition)
        for subject in map(subjects.__getitem__, range(60_000))
    }
    assert len(seen) == 60_000
    assert max(edition for *_, edition in seen) > 2


def test_a_description_tells_its_subject_without_ambiguity() -> None:
    kinds = ("Provinsi", "Kabupaten", "Kota")
    for theme in read_themes():
        assert not any(word in kinds for word in theme.name.split())
        assert "," not in theme.name
    for place in read_places():
        assert place.name.split()[0] in kinds
        assert "tahun" not in place.name
    for mapset in first(200):
        subject = mapset.subject
        wanted = f"{subject.place.name} tahun {subject.year}, edisi ke-{subject.edition}."
        assert subject.theme.name in mapset.description
        assert wanted in mapset.description


def test_the_same_number_gives_the_same_mapset() -> None:
    forwards = first(300)
    backwards = list(SampleMapsets().make(reversed(range(300))))
    assert forwards == backwards[::-1]
    mapsets = SampleMapsets()
    assert [mapset.id for mapset in forwards] == [mapsets.id_of(number) for number in range(300)]


def test_mapsets_come_one_by_one_however_many_are_asked_for() -> None:
    mapsets = SampleMapsets()
    endless = mapsets.make(itertools.count())
    next(endless)
    tracemalloc.start()
    for _ in itertools.islice(endless, 3000):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 256 * 1024


def test_the_first_five_hundred_have_every_status_classification_theme_and_producer() -> None:
    mapsets = first(500)
    assert {mapset.events[-1].status for mapset in mapsets} == set(STATUSES)
    assert {mapset.classification for mapset in mapsets} == {"Publik", "Internal", "Rahasia"}
    assert len({mapset.subject.theme.slug for mapset in mapsets}) >= 40
    organizations = {row["key"] for row in read_table("sample/organizations.csv")}
    assert len(organizations) == 30
    assert {mapset.subject.producer for mapset in mapsets} == organizations
    assert {mapset.is_active for mapset in mapsets} == {True, False}
    assert {mapset.is_popular for mapset in mapsets} == {True, False}
    public = [
        mapset for mapset in mapsets if mapset.is_active and mapset.events[-1].status == "approved"
    ]
    assert len(public) > 350


def test_ids_are_of_version_7_and_carry_the_time_of_creation() -> None:
    for mapset in first(200):
        assert mapset.id.version == 7
        assert mapset.id.int >> 80 == int(mapset.events[0].moment.timestamp() * 1000)


def test_events_follow_each_other_and_begin_with_verification() -> None:
    for mapset in first(1000):
        moments = [event.moment for event in mapset.events]
        assert moments == sorted(set(moments))
        assert mapset.events[0].status == "on_verification"
        assert mapset.events[-1].moment.isoformat() < "2026-11"
        statuses = [event.status for event in mapset.events]
        assert all(before != after for before, after in itertools.pairwise(statuses))


def test_addresses_follow_the_portals_convention() -> None:
    urls = {server.key: server.url for server in SERVERS}
    with_box = 0
    for mapset in first(400):
        parts = urlsplit(mapset.layer_url)
        query = dict(parse_qsl(parts.query))
        assert mapset.layer_url.startswith(f"{urls[mapset.sources[0]]}/wms?layers=")
        assert "geoserver" in urls[mapset.sources[0]]
        assert (query["service"], query["request"]) == ("WMS", "GetMap")
        assert query["layers"].count(":") == 1
        if "bbox" in query:
            with_box += 1
            assert tuple(map(float, query["bbox"].split(","))) == mapset.box
            assert query["srs"] == "EPSG:4326"
        assert (mapset.metadata_url is None) == (len(mapset.sources) == 1)
        if mapset.metadata_url:
            assert "geonetwork" in urls[mapset.sources[1]]
            assert mapset.metadata_url.startswith(f"{urls[mapset.sources[1]]}/srv/api/records/")
            assert mapset.metadata_url.endswith("/formatters/xml")
    assert 100 < with_box < 300


def test_no_address_leads_to_a_host_that_exists() -> None:
    for server in SERVERS:
        assert (urlsplit(server.url).hostname or "").endswith(".example.org")


def test_boxes_lie_in_indonesia_and_coastal_themes_at_a_coast() -> None:
    for mapset in first(2000):
        west, south, east, north = mapset.box
        assert 94 < west < east < 142
        assert -12 < south < north < 7
        assert mapset.subject.place.is_coastal or not mapset.subject.theme.is_coastal


def test_names_can_stand_in_a_download_header() -> None:
    for mapset in first(2000):
        mapset.name.encode("latin-1")
        assert len(mapset.description) >= 10


def test_themes_name_categories_and_systems_that_the_reference_data_has() -> None:
    codes = {row["code"] for row in read_table("iso-19115-topic-categories.csv")}
    systems = {row["authority_code"] for row in read_table("map-projection-systems.csv")}
    for mapset in first(5000):
        assert mapset.subject.theme.category in codes
        assert mapset.projection_system in systems
