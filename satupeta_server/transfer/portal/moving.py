"""The whole move: resource by resource, page by page, each page whole or not at all."""

import contextlib
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from satupeta_server.database import database
from satupeta_server.models.base import now
from satupeta_server.models.users import User
from satupeta_server.security.callers import Caller
from satupeta_server.services.container import Services
from satupeta_server.transfer.converting import Converter
from satupeta_server.transfer.portal import histories
from satupeta_server.transfer.portal.addresses import FileAddresses, host_of
from satupeta_server.transfer.portal.client import AbsentError, PortalClient, UnreadableError
from satupeta_server.transfer.portal.drafts import Draft, Shaper, draft_of
from satupeta_server.transfer.portal.files import Files
from satupeta_server.transfer.portal.links import NewUser
from satupeta_server.transfer.portal.mapsets import MapsetWriter
from satupeta_server.transfer.portal.outcomes import Entry, Fate, Tally
from satupeta_server.transfer.portal.reading import ListReader, SeenIds
from satupeta_server.transfer.portal.resolving import Resolver
from satupeta_server.transfer.portal.resources import HISTORIES, ORDER, RESOURCES, Resource
from satupeta_server.transfer.portal.shaping import Surroundings
from satupeta_server.transfer.portal.work import Work
from satupeta_server.transfer.portal.writing import Writer
from satupeta_server.transfer.references import References

Advance = Callable[[float], None]
Watch = Callable[[str, int | None], AbstractContextManager[Advance]]
Told = Callable[[Entry], None]


@dataclass(frozen=True)
class Plan:
    """What is to be moved, and how."""

    only: Collection[str] = ORDER
    may_update: bool = False
    is_dry_run: bool = False
    hosts: Collection[str] = ()
    """Further names of the other portal's host, as its articles have them."""
    password_hash: str | None = None
    """Of the password that new users are given."""


@dataclass
class Moved:
    """What a move did."""

    tally: Tally
    without_password: list[NewUser] = field(default_factory=list)


class _UndoError(Exception):
    """Carries a dry run out of its transaction."""


class Move:
    """Moves what a client reads."""

    def __init__(
        self,
        client: PortalClient,
        services: Services,
        caller: Caller,
        plan: Plan,
        told: Told,
        watch: Watch,
    ) -> None:
        self._client = client
        self._services = services
        self._caller = caller
        self._plan = plan
        self._watch = watch
        self._zone = services.settings.zone
        self._work = Work(caller, client.base, told, is_trial=plan.is_dry_run)
        self.moved = Moved(self._work.tally)
        self._resolver = Resolver()
        files = Files(client, services.files, caller, self._work)
        ours = f"{services.settings.base_url}/api"
        addresses = FileAddresses({host_of(client.base), *plan.hosts}, ours)
        self._around = Surroundings(client, files, addresses, self._resolver, self._zone)
        self._mapsets = MapsetWriter(services.mapsets)
        self._has_regionals = True
        self._embedded = SeenIds()

    async def run(self) -> None:
        """Move all that is wanted; what has come is told even where this raises.

        Raises UnreachableError or UnavailableError when the other side or a server of our own
        goes away; the same move can then be run again.
        """
        if not self._plan.is_dry_run:
            await self._run()
            return
        with contextlib.suppress(_UndoError):
            async with database.whole():
                # It lasts as long as the reading does.
                await database.aio_execute_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
                await self._run()
                raise _UndoError

    async def _run(self) -> None:
        if "mapsets" in self._plan.only:
            self._mapsets.has_histories = await self._has_list(HISTORIES)
        for name in ORDER:
            if name == HISTORIES and {name, "mapsets"} & set(self._plan.only):
                await self._move_histories()
            # Users are nothing without their roles, which are only ever matched.
            elif name in self._plan.only or (name == "roles" and "users" in self._plan.only):
                await self._move(RESOURCES[name])

    async def _has_list(self, name: str) -> bool:
        try:
            await self._client.page(f"/{name}", limit=1)
        except UnreadableError:
            return False
        return True

    async def _move(self, resource: Resource) -> None:
        reader = ListReader(self._client, f"/{resource.name}", resource.sort)

        async def take(documents: Sequence[Any]) -> None:
            await self._take(resource, documents, reader.seen)

        try:
            await self._read(resource.name, reader, take)
        except AbsentError as error:
            self._has_regionals = self._has_regionals and resource.name != "regionals"
            if not resource.is_optional:
                self._fail(resource.name, str(error))
        except UnreadableError as error:
            self._fail(resource.name, str(error))

    async def _move_histories(self) -> None:
        reader = ListReader(self._client, f"/{HISTORIES}", "created_at:asc")

        async def take(documents: Sequence[Any]) -> None:
            await self._work.commit(lambda: histories.store(documents, self._zone))

        with contextlib.suppress(AbsentError):
            try:
                await self._read(HISTORIES, reader, take)
            except AbsentError:
                raise
            except UnreadableError as error:
                self._fail(HISTORIES, str(error))

    async def _read(self, name: str, reader: ListReader, take: Any) -> None:
        """Take a list page by page."""
        with contextlib.ExitStack() as stack:
            stack.callback(reader.seen.close)
            advance: Advance | None = None
            async for page in reader.pages():
                if advance is None:
                    advance = stack.enter_context(self._watch(name, reader.total))
                await take(page)
                advance(len(page))
            if reader.problem is not None:
                self._fail(name, reader.problem)

    def _fail(self, name: str, text: str) -> None:
        self._work.tell(Entry(name, None, None, Fate.FAILED, {"": [text]}))

    async def _take(self, resource: Resource, documents: Sequence[Any], seen: SeenIds) -> None:
        """Move a page of documents of one resource."""
        drafts = [draft_of(resource.name, one, self._zone) for one in documents]
        if resource.name == "mapsets" and not self._has_regionals:
            await self._take_embedded_regionals(drafts)
        for group in _in_turn(resource, drafts):
            await self._take_group(resource, group, seen)

    async def _take_group(self, resource: Resource, drafts: Sequence[Draft], seen: SeenIds) -> None:
        shaper = Shaper(resource.kind, self._converter(resource))
        good = [draft for draft in drafts if not draft.failure]
        for draft in good:
            shaper.take(draft)
        await self._around.fetch(resource, good)
        writer = Writer(
            resource,
            self._services,
            self._caller,
            self._resolver,
            may_update=self._plan.may_update,
            mapsets=self._mapsets,
        )

        async def piece() -> list[Entry]:
            await self._around.finish(resource, good)
            await self._resolver.resolve(resource, shaper.needed, good)
            for draft in good:
                if not draft.failure:
                    shaper.convert(draft)
                self._give_password(draft)
            return await writer.store(drafts, seen)

        await self._work.commit(piece)
        if resource.name == "users":
            await self._note_users(good)

    @staticmethod
    def _converter(resource: Resource) -> Converter:
        return Converter(resource.kind, References(resource.kind), {}, "en")

    def _give_password(self, draft: Draft) -> None:
        if draft.resource == "users" and self._plan.password_hash is not None:
            draft.extra["password_hash"] = self._plan.password_hash
            draft.extra["password_changed_at"] = now()

    async def _note_users(self, drafts: Sequence[Draft]) -> None:
        """Note who has come, now or in an earlier run, and cannot log in yet."""
        ids = [draft.id for draft in drafts if not draft.failure]
        condition = User.id.in_(ids) & User.is_active & User.password_hash.is_null()
        query = User.select(User.username, User.email).where(condition & User.living())
        for username, email in await query.order_by(User.username).tuples().aio_execute():
            self.moved.without_password.append(NewUser(username, email))

    async def _take_embedded_regionals(self, drafts: Sequence[Draft]) -> None:
        """Make the regions that mapsets show, where the other side has no list of them."""
        embedded = {
            str(one["id"]): one
            for one in (draft.document.get("regional") for draft in drafts)
            if isinstance(one, dict) and one.get("id")
        }
        known = set(map(str, await self._resolver.known("regionals", _ids(embedded))))
        new = [
            one
            for key, one in embedded.items()
            if key.lower() not in known and self._embedded.add(key)
        ]
        if new:
            await self._take(RESOURCES["regionals"], new, self._embedded)


def _ids(texts: Collection[str]) -> Iterator[uuid.UUID]:
    for text in texts:
        with contextlib.suppress(ValueError):
            yield uuid.UUID(text)


def _in_turn(resource: Resource, drafts: Sequence[Draft]) -> Iterator[list[Draft]]:
    """Regions go by their level, since each needs the one that it lies in."""
    if resource.name != "regionals":
        yield list(drafts)
        return

    def level(draft: Draft) -> int:
        return len(str(draft.document.get("code") or "").strip())

    for _, group in groupby(sorted(drafts, key=level), key=level):
        yield list(group)
