"""What is special about the documents of single resources, between reading and converting."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from satupeta_server.messages import Message
from satupeta_server.models.regionals import Regional
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.queries.values import ValueProblem, is_storable, parse_uuid
from satupeta_server.services.news import DEEPEST, is_too_deep, sanitised
from satupeta_server.transfer.portal.addresses import FileAddresses, file_id
from satupeta_server.transfer.portal.client import PortalClient, UnreadableError
from satupeta_server.transfer.portal.drafts import Draft, is_blank, moment, texts_of
from satupeta_server.transfer.portal.files import Files
from satupeta_server.transfer.portal.resolving import Resolver
from satupeta_server.transfer.portal.resources import Resource

_PERIOD = ("temporal_start", "temporal_end")
_ACTORS = ("created_by", "updated_by", "last_used_by")


class Surroundings:
    """What single resources need besides their documents."""

    def __init__(
        self,
        client: PortalClient,
        files: Files,
        addresses: FileAddresses,
        resolver: Resolver,
        zone: ZoneInfo,
    ) -> None:
        self.client = client
        self.files = files
        self.addresses = addresses
        self.resolver = resolver
        self.zone = zone

    async def fetch(self, resource: Resource, drafts: Sequence[Draft]) -> None:
        """Fetch what belongs to records and has an address of its own; no transaction is open."""
        ids: list[uuid.UUID] = []
        for draft in drafts:
            ids += _pictures(draft, resource)
            if resource.name == "news" and isinstance(draft.body.get("description"), str):
                ids += self.addresses.ids_in(draft.body["description"])
        await self.files.bring(ids)
        if resource.name == "credentials":
            for draft in drafts:
                await self._decrypt(draft)

    async def finish(self, resource: Resource, drafts: Sequence[Draft]) -> None:
        """Bring bodies into our shape, before they are converted."""
        for draft in drafts:
            self._show_pictures(draft, resource)
        special = _SPECIAL.get(resource.name)
        if special is not None:
            await special(self, drafts)

    def _show_pictures(self, draft: Draft, resource: Resource) -> None:
        for name in resource.pictures:
            try:
                key = file_id(draft.body.get(name))
            except ValueError:
                draft.leave_out(name, "It must be the id of a file.")
                continue
            if key is not None and not self.files.is_here(key):
                draft.leave_out(name, f"The file {key} did not come.")
            elif key is not None:
                draft.body[name] = str(key)

    async def _decrypt(self, draft: Draft) -> None:
        if draft.id is None:
            return
        try:
            content = await self.client.get(f"/credentials/{draft.id}/decrypted")
        except UnreadableError as error:
            draft.failure.setdefault("sensitive_data", []).append(str(error))
            return
        found = content.get("decrypted_data") if isinstance(content, dict) else None
        if not isinstance(found, dict):
            draft.failure.setdefault("sensitive_data", []).append("It is not told.")
            return
        draft.body["sensitive_data"] = texts_of(found)


def _pictures(draft: Draft, resource: Resource) -> list[uuid.UUID]:
    found = []
    for name in resource.pictures:
        try:
            key = file_id(draft.body.get(name))
        except ValueError:
            continue
        if key is not None:
            found.append(key)
    return found


async def _finish_news(around: Surroundings, drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        html = draft.body.get("description")
        if not isinstance(html, str) or not is_storable(html):
            continue
        missing = [
            one for one in set(around.addresses.ids_in(html)) if not around.files.is_here(one)
        ]
        if is_too_deep(html):
            draft.leave_out("description", Message("html_too_deep", {"limit": DEEPEST}).text("en"))
            continue
        draft.body["description"] = sanitised(
            around.addresses.rewritten(html, around.files.is_here)
        )
        for one in missing:
            draft.left_out.setdefault("description", []).append(f"The file {one} did not come.")


async def _finish_credentials(around: Surroundings, drafts: Sequence[Draft]) -> None:
    named = {
        draft.id: {name: key for name in _ACTORS if (key := _id(draft.document.get(name)))}
        for draft in drafts
    }
    known = await around.resolver.known(
        "users", {key for found in named.values() for key in found.values()}
    )
    for draft in drafts:
        draft.body["credential_metadata"] = texts_of(draft.document.get("credential_metadata"))
        draft.extra.update(
            {name: known.get(key, SYSTEM_USER_ID) for name, key in named[draft.id].items()}
        )
        draft.extra["last_used_at"] = moment(draft.document.get("last_used_at"), around.zone)


async def _finish_regionals(_around: Surroundings, drafts: Sequence[Draft]) -> None:
    """Find the region in which one lies by its code, where it is not told."""
    silent = [draft for draft in drafts if is_blank(draft.body.get("parent_id"))]
    above = {draft.id: _codes_above(str(draft.body.get("code") or "")) for draft in silent}
    wanted = [code for codes in above.values() for code in codes]
    if not wanted:
        return
    model: Any = Regional
    query = model.select(model.code, model.id).where(model.code.in_(wanted) & model.living())
    ids = {code: str(record_id) for code, record_id in await query.tuples().aio_execute()}
    for draft in silent:
        nearest = next((ids[code] for code in above[draft.id] if code in ids), None)
        if nearest is not None and "parent_id" not in draft.document:
            draft.body["parent_id"] = nearest


def _codes_above(code: str) -> list[str]:
    return [code[:length] for length in (8, 5, 2) if length < len(code)]


async def _finish_mapsets(around: Surroundings, drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        if is_blank(draft.body.get("bounding_box")):
            # It is taken from the layer's address, when the record is made.
            draft.body.pop("bounding_box", None)
        start, end = (moment(draft.body.get(name), around.zone) for name in _PERIOD)
        if start and end and start > end:
            for name in _PERIOD:
                draft.leave_out(name, Message("order_of_dates").text("en"))


def _id(value: Any) -> uuid.UUID | None:
    text = value.get("id") if isinstance(value, dict) else value
    try:
        return parse_uuid(str(text).strip())
    except ValueProblem:
        return None


_SPECIAL: Mapping[str, Callable[[Surroundings, Sequence[Draft]], Awaitable[None]]] = {
    "news": _finish_news,
    "credentials": _finish_credentials,
    "regionals": _finish_regionals,
    "mapsets": _finish_mapsets,
}
