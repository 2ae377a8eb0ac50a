"""Storing drafts: each is compared with what is here, and nobody else's record is overwritten."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from satupeta_server.database import database
from satupeta_server.errors import AppError, UnavailableError
from satupeta_server.models.credentials import Credential, encryption_context
from satupeta_server.models.mapsets import MapsetSource
from satupeta_server.security.callers import Caller
from satupeta_server.services.container import Services
from satupeta_server.services.records import differing
from satupeta_server.transfer.converting import reasons
from satupeta_server.transfer.portal.drafts import Draft
from satupeta_server.transfer.portal.mapsets import MapsetWriter
from satupeta_server.transfer.portal.outcomes import Entry, Fate
from satupeta_server.transfer.portal.reading import SeenIds
from satupeta_server.transfer.portal.resolving import Owners, Resolver, disagreement
from satupeta_server.transfer.portal.resources import Resource


class Writer:
    """Stores the drafts of one resource, inside a transaction of the caller's."""

    def __init__(
        self,
        resource: Resource,
        services: Services,
        caller: Caller,
        resolver: Resolver,
        *,
        may_update: bool,
        mapsets: MapsetWriter,
    ) -> None:
        self.resource = resource
        self._services = services
        self._caller = caller
        self._resolver = resolver
        self._may_update = may_update
        self._mapsets = mapsets

    async def store(self, drafts: Sequence[Draft], seen: SeenIds) -> list[Entry]:
        """Store drafts; ``seen`` are the ids that have come from there."""
        good = [draft for draft in drafts if not draft.failure]
        here = await self._here([draft.id for draft in good if draft.id])
        new = [draft.values for draft in good if draft.id not in here]
        owners = await Owners.of(self.resource, new)
        entries: list[Entry] = []
        made: list[Draft] = []
        for draft in drafts:
            if draft.failure or draft.id is None:
                entries.append(draft.failed())
            elif draft.id in here:
                entries.append(await self._meet(draft, here[draft.id]))
            elif (entry := await self._owned(draft, owners, seen)) is not None:
                entries.append(entry)
            elif self.resource.name == "mapsets":
                made.append(draft)
                owners.add(draft.values, draft.id)
            else:
                entries.append(await self._create(draft, owners))
        return entries + await self._mapsets.create(made)

    async def _here(self, ids: list[uuid.UUID]) -> dict[uuid.UUID, Any]:
        model = self.resource.model
        rows = {row.id: row for row in await model.select().where(model.id.in_(ids)).aio_execute()}
        if self.resource.name == "mapsets":
            await _with_sources(rows)
        return {} if self.resource.name == "roles" else rows

    async def _meet(self, draft: Draft, row: Any) -> Entry:
        """Compare with the record here that has the same id."""
        if row.deleted_at is not None:
            return draft.entry(Fate.SKIPPED, **{"": ["It was deleted here."]})
        different = sorted(differing(row, self._comparable(draft, row)))
        if not different:
            return draft.entry(Fate.UNCHANGED)
        if not self._may_update:
            text = f"It differs here: {', '.join(different)}."
            if set(different) & set(self.resource.must_agree):
                self._resolver.refuse(row.id)
                return draft.failed(f"{text} What has it there does not come.")
            return draft.entry(Fate.SKIPPED, **{"": [text]})
        return await self._attempt(draft, Fate.UPDATED, self._update(draft, row, different))

    def _comparable(self, draft: Draft, row: Any) -> dict[str, Any]:
        if self.resource.name != "credentials":
            return draft.values
        # What is encrypted differs each time, even where it is the same.
        sealed, context = bytes(row.sensitive_data), encryption_context(row.id)
        try:
            encryptor = self._services.credentials.encryptor
            row.sensitive_data = encryptor.decrypt(row.encryption_key_id, sealed, context)
        except UnavailableError:
            row.sensitive_data = None
        return draft.values

    async def _owned(self, draft: Draft, owners: Owners, seen: SeenIds) -> Entry | None:
        """Say what becomes of a draft whose key a record here has; None where none has it."""
        owner = owners.owner(draft.values)
        if owner is None:
            if self.resource.name == "roles":
                return draft.failed("There is no role of this name here; see satupeta role list.")
            return None
        other, key = owner
        if self.resource.may_repeat and str(other) in seen:
            return None
        assert draft.id is not None  # noqa: S101  for the type checker
        if not self.resource.is_mapped:
            named = " and ".join(key)
            text = f"Another {self.resource.noun} here has the same {named}: {other}."
            return draft.failed(f"{text} Rename or delete that one, then run the move again.")
        return await self._stand_for(draft, draft.id, other)

    async def _stand_for(self, draft: Draft, theirs: uuid.UUID, other: uuid.UUID) -> Entry:
        """Let a record here stand for the one there, unless they must not be mixed up."""
        against = await disagreement(self.resource, other, draft.values)
        if against:
            text = f"Another one here has the same name and differs: {', '.join(against)}."
            self._resolver.refuse(theirs)
            return draft.failed(text)
        self._resolver.map(self.resource.name, theirs, other)
        if other == theirs:
            return draft.entry(Fate.UNCHANGED)
        return draft.entry(Fate.MAPPED, **{"": [f"It is {other} here."]})

    async def _create(self, draft: Draft, owners: Owners) -> Entry:
        entry = await self._attempt(draft, Fate.CREATED, self._insert(draft))
        if entry.fate is Fate.CREATED and draft.id is not None:
            owners.add(draft.values, draft.id)
        return entry

    @staticmethod
    async def _attempt(draft: Draft, fate: Fate, change: Any) -> Entry:
        try:
            async with database.whole():
                await change
        except UnavailableError:
            raise
        except AppError as error:
            draft.failure.update(reasons(error, "en"))
            return draft.entry(Fate.FAILED)
        return draft.entry(fate)

    async def _insert(self, draft: Draft) -> None:
        values = {**draft.values, **draft.extra, "id": draft.id}
        if self.resource.name == "credentials":
            encryptor = self._services.credentials.encryptor
            context = encryption_context(values["id"])
            key_id, sealed = encryptor.encrypt(values["sensitive_data"], context)
            values |= {"encryption_key_id": key_id, "sensitive_data": sealed}
            await Credential(**values).aio_save(force_insert=True)
            return
        service = getattr(self._services, self.resource.name)
        await service.create(self._caller, values)

    async def _update(self, draft: Draft, row: Any, different: list[str]) -> None:
        if self.resource.name == "mapsets":
            changes = {name: draft.values[name] for name in different}
            await self._mapsets.update(row, changes, draft.extra["updated_at"])
            return
        service = getattr(self._services, self.resource.name)
        await service.update(self._caller, row.id, draft.values)


async def _with_sources(rows: Mapping[uuid.UUID, Any]) -> None:
    """Give mapsets their sources, in order."""
    for row in rows.values():
        row.source_id = []
    links = MapsetSource.select().where(MapsetSource.mapset_id.in_(list(rows)))
    for link in await links.order_by(MapsetSource.position).aio_execute():
        rows[link.mapset_id].source_id.append(link.map_source_id)
