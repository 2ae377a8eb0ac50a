"""The mapsets of the sample catalogue, one by one, each from its number alone."""

import datetime
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from satupeta_server.models.mapsets import BoundingBox
from satupeta_server.seed.sample.moments import LAST_CREATED, ZONE
from satupeta_server.seed.sample.phrases import describe, name_of, note_for
from satupeta_server.seed.sample.servers import (
    LOCAL_GEONETWORK,
    LOCAL_GEOSERVER,
    NATIONAL_GEONETWORK,
    NATIONAL_GEOSERVER,
)
from satupeta_server.seed.sample.subjects import Subject, Subjects
from satupeta_server.seed.writing import stable_id

_DAY = datetime.timedelta(days=1)
_SEED = 20_250_501
_SPREAD = 0x9E37_79B9_7F4A_7C15  # 2 ** 64 over the golden ratio: multiples spread evenly
_WORD = 2**64
_FIRST_NOTE = "Mapset baru dibuat"


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a mapset's status."""

    moment: datetime.datetime
    status: str
    note: str | None


@dataclass(frozen=True, slots=True)
class SampleMapset:
    """One mapset; what it refers to is named by its key in the data files."""

    id: uuid.UUID
    index: int
    subject: Subject
    name: str
    description: str
    scale: str
    layer_url: str
    metadata_url: str | None
    data_status: str
    data_version: str
    coverage_level: str
    classification: str
    projection_system: str
    box: BoundingBox
    is_popular: bool
    is_active: bool
    sources: tuple[str, ...]
    events: tuple[Event, ...]

    @property
    def coverage_area(self) -> str:
        """How large the area is that it covers."""
        return "provinsi" if self.subject.place.is_province else "kabupaten"


class SampleMapsets:
    """All mapsets of the sample catalogue, by number from 0; there is no last one."""

    def __init__(self) -> None:
        self._subjects = Subjects()

    def id_of(self, index: int) -> uuid.UUID:
        """Give the id of one, which costs a tenth of making it."""
        return _id_of(index, _created_at(index, self._subjects[index].year))

    def make(self, indexes: Iterable[int]) -> Iterator[SampleMapset]:
        """Make those of the given numbers, one at a time."""
        return (_make(index, self._subjects[index]) for index in indexes)


def _id_of(index: int, created_at: datetime.datetime) -> uuid.UUID:
    return stable_id("mapset", index, created_at)


def _created_at(index: int, year: int) -> datetime.datetime:
    """Choose a working hour between the middle of the data's year and the end of the next."""
    first = datetime.datetime(year, 7, 1, 8, tzinfo=ZONE)
    last = min(datetime.datetime(year + 2, 1, 1, tzinfo=ZONE), LAST_CREATED)
    days, rest = divmod(index * _SPREAD % _WORD * (last - first).days, _WORD)
    return first + datetime.timedelta(days=days, seconds=rest * 8 * 3600 // _WORD)


def _make(index: int, subject: Subject) -> SampleMapset:
    random = Random(_SEED + index)  # noqa: S311  the same numbers each time are the point
    created_at = _created_at(index, subject.year)
    scale = random.choice(subject.theme.scales)
    sources, layer_url, metadata_url = _addresses(index, subject, random)
    events = tuple(_events(created_at, random))
    return SampleMapset(
        id=_id_of(index, created_at),
        index=index,
        subject=subject,
        name=name_of(subject),
        description=describe(subject, scale, random),
        scale=scale,
        layer_url=layer_url,
        metadata_url=metadata_url,
        data_status="tetap" if random.random() < 0.7 else "sementara",
        data_version=f"{subject.edition}.{random.randrange(4)}",
        coverage_level=random.choice(_levels(subject)),
        classification=random.choices(("Publik", "Internal", "Rahasia"), (86, 10, 4))[0],
        projection_system=_projection_system(subject, random),
        box=subject.place.box,
        is_popular=events[-1].status == "approved" and random.random() < 0.08,
        is_active=random.random() < 0.94,
        sources=sources,
        events=events,
    )


def _levels(subject: Subject) -> tuple[str, ...]:
    return ("kabupaten", "kecamatan") if subject.place.is_province else ("kecamatan", "desa")


def _projection_system(subject: Subject, random: Random) -> str:
    zone, north = subject.place.utm_zone
    wgs84 = (32600 if north else 32700) + zone
    srgi2013 = (9430 if north else 9440) + zone
    code = random.choices((9470, 4326, srgi2013, wgs84), (55, 20, 15, 10))[0]
    return f"EPSG:{code}"


def _addresses(
    index: int, subject: Subject, random: Random
) -> tuple[tuple[str, ...], str, str | None]:
    """Give the sources, the layer's address and, for most, that of the metadata record."""
    server = LOCAL_GEOSERVER if subject.is_local else NATIONAL_GEOSERVER
    catalogue = LOCAL_GEONETWORK if subject.is_local else NATIONAL_GEONETWORK
    theme, place = subject.theme, subject.place
    later = f"_e{subject.edition}" if subject.edition > 1 else ""
    layer = f"{subject.producer}:{theme.slug}_{place.slug}_{subject.year}{later}"
    layer_url = f"{server.url}/wms?layers={layer}&service=WMS&request=GetMap"
    if random.random() < 0.5:
        layer_url += f"&bbox={','.join(map(str, place.box))}&srs=EPSG:4326"
    if random.random() < 0.1:
        return (server.key,), layer_url, None
    record = stable_id("metadata", index)
    metadata_url = f"{catalogue.url}/srv/api/records/{record}/formatters/xml"
    return (server.key, catalogue.key), layer_url, metadata_url


def _events(created_at: datetime.datetime, random: Random) -> Iterator[Event]:
    """Tell how a mapset came to its status, from its creation on."""
    yield Event(created_at, "on_verification", _FIRST_NOTE)
    story = random.choices(_STORIES, _WEIGHTS)[0]
    moment = created_at
    for status in story:
        moment += random.randint(1, 6) * _DAY
        moment = moment.replace(hour=random.randrange(8, 16), minute=random.randrange(60))
        yield Event(moment, status, note_for(status, random))


_STORIES: tuple[tuple[str, ...], ...] = (
    ("approved",),
    ("rejected", "on_verification", "approved"),
    (),
    ("rejected", "on_verification"),
    ("rejected",),
)
_WEIGHTS = (72, 9, 9, 3, 7)
