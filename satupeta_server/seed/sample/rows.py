"""Writing sample mapsets with their sources, histories and revisions."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from satupeta_server.database import database
from satupeta_server.models.mapsets import Mapset, MapsetHistory, MapsetSource
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.seed.reference import ReferenceIds
from satupeta_server.seed.sample.mapsets import SampleMapset
from satupeta_server.seed.writing import copy_csv, csv_of, stable_id


@dataclass(frozen=True, slots=True)
class References:
    """The ids of all that a sample mapset refers to, by their keys in the data files."""

    reference: ReferenceIds
    organizations: Mapping[str, uuid.UUID]
    sources: Mapping[str, uuid.UUID]


@dataclass(frozen=True, slots=True)
class Batch:
    """Mapsets with their sources and histories, ready to be written."""

    numbers: Sequence[int]
    ids: Sequence[str]
    mapsets: str
    sources: str
    histories: str


_MAPSET_COLUMNS = (
    "id", "name", "description", "scale", "layer_url", "metadata_url", "status_validation",
    "data_status", "data_update_period", "data_version", "coverage_level", "coverage_area",
    "classification_id", "category_id", "projection_system_id", "producer_id", "regional_id",
    "temporal_start", "temporal_end", "bounding_box", "notes", "is_popular", "is_active",
    "created_by", "updated_by", "revision", "created_at", "updated_at",
)  # fmt: skip
_SOURCE_COLUMNS = ("mapset_id", "map_source_id", "position")
_HISTORY_COLUMNS = ("id", "mapset_id", "validation_type", "notes", "user_id", "created_at")

_FIRST_REVISIONS = """
    INSERT INTO mapset_revisions (mapset_id, revision, user_id, created_at, state)
    SELECT id, revision, created_by, created_at, to_jsonb(mapsets) - 'search_text'
    FROM mapsets WHERE id = ANY(%s::uuid[])
"""


def prepare(mapsets: Iterable[SampleMapset], references: References) -> Batch:
    """Make the rows of mapsets, which needs no database."""
    made = list(mapsets)
    return Batch(
        numbers=[mapset.index for mapset in made],
        ids=[str(mapset.id) for mapset in made],
        mapsets=csv_of(_mapset(mapset, references) for mapset in made),
        sources=csv_of(_sources(made, references)),
        histories=csv_of(_histories(made)),
    )


def write(batch: Batch) -> None:
    """Write mapsets that are not there yet, with all that belongs to them."""
    copy_csv(Mapset, _MAPSET_COLUMNS, batch.mapsets)
    copy_csv(MapsetSource, _SOURCE_COLUMNS, batch.sources)
    copy_csv(MapsetHistory, _HISTORY_COLUMNS, batch.histories)
    database.execute_sql(_FIRST_REVISIONS, (batch.ids,))


def _mapset(mapset: SampleMapset, references: References) -> tuple[Any, ...]:
    reference, subject = references.reference, mapset.subject
    west, south, east, north = mapset.box
    last = mapset.events[-1]
    return (
        mapset.id,
        mapset.name,
        mapset.description,
        mapset.scale,
        mapset.layer_url,
        mapset.metadata_url,
        last.status,
        mapset.data_status,
        subject.theme.period,
        mapset.data_version,
        mapset.coverage_level,
        mapset.coverage_area,
        reference.classifications[mapset.classification],
        reference.categories[subject.theme.category],
        reference.projection_systems[mapset.projection_system],
        references.organizations[subject.producer],
        reference.regionals[subject.place.code],
        f"{subject.year}-01-01T00:00:00+07:00",
        f"{subject.year}-12-31T23:59:59+07:00",
        f"({west},{south}),({east},{north})",
        last.note,
        mapset.is_popular,
        mapset.is_active,
        SYSTEM_USER_ID,
        SYSTEM_USER_ID,
        1,
        mapset.events[0].moment,
        last.moment,
    )


def _sources(batch: list[SampleMapset], references: References) -> Iterator[tuple[Any, ...]]:
    for mapset in batch:
        for position, key in enumerate(mapset.sources):
            yield mapset.id, references.sources[key], position


def _histories(batch: list[SampleMapset]) -> Iterator[tuple[Any, ...]]:
    for mapset in batch:
        for number, event in enumerate(mapset.events):
            history_id = stable_id("MapsetHistory", f"{mapset.index}:{number}", event.moment)
            yield history_id, mapset.id, event.status, event.note, SYSTEM_USER_ID, event.moment
