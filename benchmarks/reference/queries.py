"""The statements of the list and of a single mapset."""

import base64
import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from benchmarks.reference.tables import Classification, Mapset, MapSource, Organization

_WHOLE = (
    joinedload(Mapset.classification, innerjoin=True),
    joinedload(Mapset.category, innerjoin=True),
    joinedload(Mapset.projection_system, innerjoin=True),
    joinedload(Mapset.producer, innerjoin=True),
    joinedload(Mapset.regional, innerjoin=True),
    selectinload(Mapset.sources).joinedload(MapSource.credential),
)

_SECRET = select(Classification.id).where(Classification.is_secret)
_PUBLIC = and_(
    Mapset.deleted_at.is_(None),
    Mapset.is_active,
    Mapset.status_validation == "approved",
    Mapset.classification_id.not_in(_SECRET),
)
_FILTERED = {
    "is_active": lambda text: text == "true",
    "is_popular": lambda text: text == "true",
    "status_validation": str,
    "data_status": str,
    "coverage_level": str,
    "coverage_area": str,
    "producer_id": uuid.UUID,
    "category_id": uuid.UUID,
    "classification_id": uuid.UUID,
    "regional_id": uuid.UUID,
}


def one(mapset_id: uuid.UUID) -> Select[tuple[Mapset]]:
    """The statement of a single mapset."""
    return select(Mapset).where(Mapset.id == mapset_id, _PUBLIC).options(*_WHOLE)


def producers(word: str) -> Select[tuple[uuid.UUID]]:
    """The statement of the producers whose name has a word."""
    return select(Organization.id).where(Organization.name.icontains(word, autoescape=True))


def condition(filters: list[str], words: Mapping[str, Sequence[uuid.UUID]]) -> ColumnElement[bool]:
    """All that a list is narrowed by, with the producers that each word of the search names.

    They are looked up before, since PostgreSQL takes no index for a condition with a subquery in
    its OR. Raises ValueError for a filter that is not known.
    """
    atoms = [or_(*alternatives) for text in filters for alternatives in _alternatives(text)]
    return and_(_PUBLIC, *atoms, *(_has(word, named) for word, named in words.items()))


def count(where: ColumnElement[bool]) -> Select[tuple[int]]:
    """The statement of the exact total."""
    return select(func.count()).select_from(Mapset).where(where)


def page(
    where: ColumnElement[bool], words: Collection[str], limit: int, offset: int
) -> Select[tuple[Mapset]]:
    """The statement of one page, the best hits of a search first, then the newest."""
    order = (Mapset.created_at.desc(), Mapset.id.desc())
    if words:
        in_name = [Mapset.name.icontains(word, autoescape=True) for word in words]
        order = (case((and_(*in_name), 2), (or_(*in_name), 1), else_=0).desc(), *order)
    found = select(Mapset).where(where).order_by(*order).limit(limit).offset(offset)
    return found.options(*_WHOLE)


def cursor(row: Mapset) -> str:
    """A token of the place of a row."""
    place = json.dumps([row.created_at.isoformat(), str(row.id)])
    return base64.urlsafe_b64encode(place.encode()).decode()


def _alternatives(text: str) -> Iterator[list[ColumnElement[bool]]]:
    """The atoms of one ``filter`` parameter: a single one, or JSON as the portal sends it."""
    if not text.startswith("["):
        if text:
            yield [_atom(text)]
        return
    for entry in json.loads(text):
        yield [_atom(each) for each in (entry if isinstance(entry, list) else [entry])]


def _atom(text: str) -> ColumnElement[bool]:
    name, _, value = text.partition("=")
    if name not in _FILTERED:
        raise ValueError(name)
    column: Any = getattr(Mapset, name)
    return column == _FILTERED[name](value)


def _has(word: str, named: Sequence[uuid.UUID]) -> ColumnElement[bool]:
    return or_(
        Mapset.name.icontains(word, autoescape=True),
        Mapset.description.icontains(word, autoescape=True),
        Mapset.producer_id.in_(named),
    )
