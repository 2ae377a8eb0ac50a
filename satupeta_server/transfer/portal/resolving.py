"""Which records here the ids of the other portal mean."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from peewee import fn

from satupeta_server.queries.values import ValueProblem, is_storable, parse_uuid
from satupeta_server.transfer.portal.drafts import Draft, is_blank
from satupeta_server.transfer.portal.resources import RESOURCES, Link, Resource

Key = tuple[str, ...]
_CASELESS = {"name", "username", "email", "authority_code"}


class Owners:
    """The living records here by their keys."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._ids: list[dict[Key, uuid.UUID]] = [{} for _ in resource.keys]

    @classmethod
    async def of(cls, resource: Resource, rows: Sequence[Mapping[str, Any]]) -> "Owners":
        """Look up who has the keys of rows."""
        owners = cls(resource)
        for number, key in enumerate(resource.keys):
            last = key[-1]
            texts = {_normal(row[last]) for row in rows if not is_blank(row.get(last))}
            if texts:
                await owners._look_up(number, key, {one for one in texts if is_storable(one)})
        return owners

    async def _look_up(self, number: int, key: Key, texts: Collection[str]) -> None:
        model = self._resource.model
        column = getattr(model, key[-1])
        looked_at = fn.lower(column) if key[-1] in _CASELESS else column
        columns = [getattr(model, name) for name in key]
        query = model.select(model.id, *columns).where(looked_at.in_(list(texts)) & model.living())
        for record_id, *values in await query.order_by(model.id).tuples().aio_execute():
            self._ids[number].setdefault(tuple(map(_normal, values)), record_id)

    def add(self, values: Mapping[str, Any], record_id: uuid.UUID) -> None:
        """Take a new record in."""
        for number, key in enumerate(self._resource.keys):
            if not any(is_blank(values.get(name)) for name in key):
                found = tuple(_normal(values[name]) for name in key)
                self._ids[number].setdefault(found, record_id)

    def owner(self, values: Mapping[str, Any]) -> tuple[uuid.UUID, Key] | None:
        """Give the record that has a key of these values, and which key that is."""
        for number, key in enumerate(self._resource.keys):
            if any(is_blank(values.get(name)) for name in key):
                continue
            found = self._ids[number].get(tuple(_normal(values[name]) for name in key))
            if found is not None:
                return found, key
        return None


def _normal(value: Any) -> str:
    return " ".join(str(value).split()).lower()


class Resolver:
    """Knows what stands here for what is there."""

    def __init__(self) -> None:
        self._mapped: dict[str, dict[uuid.UUID, uuid.UUID]] = {name: {} for name in RESOURCES}
        self._refused: set[uuid.UUID] = set()

    def refuse(self, theirs: uuid.UUID) -> None:
        """Let nothing here stand for a record there, whatever it is called."""
        self._refused.add(theirs)

    def map(self, resource: str, theirs: uuid.UUID, ours: uuid.UUID) -> None:
        """Let a record here stand for one there."""
        self._mapped[resource][theirs] = ours

    async def resolve(
        self, resource: Resource, needed: Collection[str], drafts: list[Draft]
    ) -> None:
        """Put our ids into the bodies of drafts; what has none is left out, or fails them."""
        for link in resource.links:
            await self._resolve_link(link, drafts, is_needed=link.field in needed)

    async def known(self, target: str, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        """Give our id of each of their ids that has a living record here."""
        mapped = self._mapped[target]
        # A role is known by its name alone: the same id might be that of a mightier one.
        is_by_name = target == "roles"
        ours = {one: mapped.get(one, one) for one in ids if one in mapped or not is_by_name}
        ours = {theirs: one for theirs, one in ours.items() if theirs not in self._refused}
        living = await living_ids(RESOURCES[target].model, set(ours.values()))
        return {theirs: one for theirs, one in ours.items() if one in living}

    async def _resolve_link(self, link: Link, drafts: list[Draft], *, is_needed: bool) -> None:
        named = [(draft, _named(draft, link)) for draft in drafts if not draft.failure]
        known = await self.known(
            link.target, {key for _, found in named for key, _ in found if key is not None}
        )
        for draft, found in named:
            ours: list[str] = []
            for key, embedded in found:
                one = known.get(key) if key is not None else None
                one = one or await self._by_key(link.target, key, embedded)
                if one is not None:
                    ours.append(str(one))
                    continue
                text = _absence(link, key, embedded)
                told = draft.failure if is_needed else draft.left_out
                told.setdefault(link.field, []).append(text)
            self._put(draft, link, ours, is_named=bool(found))

    @staticmethod
    def _put(draft: Draft, link: Link, ours: list[str], *, is_named: bool) -> None:
        if link.is_list:
            # Blank where there are none, absent where the other side says nothing of them.
            if is_named or link.embedded in draft.document or link.field in draft.document:
                draft.body[link.field] = ours
        elif ours:
            draft.body[link.field] = ours[0]
        elif is_named:
            draft.body.pop(link.field, None)

    async def _by_key(
        self, target: str, key: uuid.UUID | None, embedded: Mapping[str, Any]
    ) -> uuid.UUID | None:
        resource = RESOURCES[target]
        if not resource.is_mapped or not embedded or key in self._refused:
            return None
        if not all(isinstance(embedded.get(name), bool) for name in resource.must_agree):
            return None
        owners = await Owners.of(resource, [embedded])
        owner = owners.owner(embedded)
        if owner is None or await disagreement(resource, owner[0], embedded):
            return None
        if key is not None:
            self.map(target, key, owner[0])
        return owner[0]


async def disagreement(
    resource: Resource, record_id: uuid.UUID, values: Mapping[str, Any]
) -> list[str]:
    """Name the fields in which a record here must agree with one there, and does not."""
    fields = [name for name in resource.must_agree if isinstance(values.get(name), bool)]
    if not fields:
        return []
    row = await resource.model.aio_get_or_none(resource.model.id == record_id)
    return [name for name in fields if row is None or getattr(row, name) != values[name]]


async def living_ids(model: Any, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Give those of the ids that living records have."""
    if not ids:
        return set()
    query = model.select(model.id).where(model.id.in_(list(ids)) & model.living()).tuples()
    return {record_id for (record_id,) in await query.aio_execute()}


def _named(draft: Draft, link: Link) -> list[tuple[uuid.UUID | None, Mapping[str, Any]]]:
    """Give what a draft names: the id, where it is one, and the embedded object."""
    if link.is_list:
        listed = draft.document.get(link.embedded or "")
        if not isinstance(listed, list):
            given = draft.document.get(link.field)
            listed = given if isinstance(given, list) else [given]
        found = [_id_and_object(one) for one in listed if not is_blank(one)]
        return [(key, one) for key, one in found if key is not None or one]
    embedded = draft.document.get(link.embedded) if link.embedded else None
    key, content = _id_and_object(embedded)
    given_key, _ = _id_and_object(draft.document.get(link.field))
    key = given_key or key
    return [] if key is None and is_blank(content.get("name")) else [(key, content)]


def _id_and_object(value: Any) -> tuple[uuid.UUID | None, Mapping[str, Any]]:
    content = value if isinstance(value, dict) else {}
    text = content.get("id") if content else value
    try:
        return parse_uuid(str(text).strip()), content
    except ValueProblem:
        # Some backends embed no object, but the name alone.
        return None, content or ({"name": value} if isinstance(value, str) and value else {})


def _absence(link: Link, key: uuid.UUID | None, embedded: Mapping[str, Any]) -> str:
    noun = RESOURCES[link.target].noun
    name = embedded.get("name")
    called = f"“{str(name)[:100]}” ({key})" if name else f"with the id {key}"
    return f"There is no {noun} {called} here."
