"""From a record of the other portal to the values that our own forms accept."""

import datetime
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import peewee

from satupeta_server.messages import Message
from satupeta_server.models.base import now
from satupeta_server.queries.values import ValueProblem, parse_datetime, parse_uuid
from satupeta_server.transfer.converting import Converter, Prepared
from satupeta_server.transfer.kinds import Kind
from satupeta_server.transfer.portal.outcomes import Entry, Fate
from satupeta_server.transfer.reading import Row

Document = Mapping[str, Any]
Body = dict[str, Any]

_LONGEST_NAME_SHOWN = 200


@dataclass
class Draft:
    """A record on its way: what came, and what becomes of it."""

    resource: str
    document: Document
    id: uuid.UUID | None
    name: str | None
    body: Body = field(default_factory=dict)
    """By field of the form, as it came."""
    values: Body = field(default_factory=dict)
    """By field of the form, as it is stored."""
    extra: Body = field(default_factory=dict)
    """Further columns of a new record."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """By field, why its value does not come."""
    failure: dict[str, list[str]] = field(default_factory=dict)

    def entry(self, fate: Fate, **reasons: Sequence[str]) -> Entry:
        """Say how it ended."""
        told = {**self.failure, **self.left_out, **reasons}
        shown = self.id or self.document.get("id")
        shown = shown if isinstance(shown, (uuid.UUID, str, int)) else None
        is_incomplete = bool(self.left_out) and fate is not Fate.FAILED
        return Entry(self.resource, shown, self.name, fate, told, is_incomplete)

    def failed(self, text: str = "", place: str = "") -> Entry:
        """Say that it failed."""
        if text:
            self.failure.setdefault(place, []).append(text)
        return self.entry(Fate.FAILED)

    def leave_out(self, name: str, text: str) -> None:
        """Let a record come without one of its values."""
        self.body.pop(name, None)
        self.values.pop(name, None)
        self.left_out.setdefault(name, []).append(text)


def draft_of(resource: str, document: Any, zone: ZoneInfo) -> Draft:
    """Begin with a record as it came; a failure says that it is none."""
    if not isinstance(document, dict):
        return Draft(resource, {}, None, None, failure={"": ["It is no object."]})
    name = document.get("name")
    shown = str(name)[:_LONGEST_NAME_SHOWN] if isinstance(name, (str, int, float)) else None
    try:
        record_id = parse_uuid(str(document.get("id") or "").strip())
    except ValueProblem as problem:
        failure = {"id": [problem.message.text("en")]}
        return Draft(resource, document, None, shown, failure=failure)
    return Draft(resource, document, record_id, shown, extra=_moments(document, zone))


def _moments(document: Document, zone: ZoneInfo) -> Body:
    created = moment(document.get("created_at"), zone)
    updated = moment(document.get("updated_at") or document.get("modified_at"), zone)
    created = created or updated or now()
    return {"created_at": created, "updated_at": updated or created}


def moment(value: Any, zone: ZoneInfo) -> datetime.datetime | None:
    """Read a moment; one without an offset is of our own time zone."""
    if not isinstance(value, str):
        return None
    try:
        return parse_datetime(value.strip())
    except ValueProblem:
        pass
    try:
        naive = datetime.datetime.fromisoformat(value.strip())
        # Such an early or late one has no other offset than its own.
        return naive.replace(tzinfo=zone).astimezone(datetime.UTC) if naive.year > 2 else None
    except (ValueError, OverflowError):
        return None


def is_blank(value: Any) -> bool:
    """Tell whether there is no value: null and blank texts are the same (contract, 2.1)."""
    return value is None or (isinstance(value, str) and not value.strip())


def texts_of(value: Any) -> dict[str, str]:
    """Give an object whose values are texts, as credentials keep them."""
    if not isinstance(value, dict):
        return {}
    return {
        str(key): one if isinstance(one, str) else "" if one is None else json.dumps(one)
        for key, one in value.items()
    }


class Shaper:
    """Converts drafts of one kind by its form."""

    def __init__(self, kind: Kind, converter: Converter) -> None:
        self.kind = kind
        self._converter = converter
        columns = kind.model._meta.fields
        self._nullable = {
            name for name in kind.form.fields if name not in columns or columns[name].null
        }
        self.needed = {
            name
            for name in kind.form.fields
            if name in columns and not columns[name].null and columns[name].default is None
        }
        self._decimals = {
            name for name, column in columns.items() if isinstance(column, peewee.DecimalField)
        }

    def take(self, draft: Draft) -> None:
        """Take from the document what the form has fields for."""
        # No portal tells a password; what might stand there instead is none.
        known = [name for name in self.kind.form.fields if name != "password"]
        draft.body.update({name: draft.document[name] for name in known if name in draft.document})

    def convert(self, draft: Draft) -> None:
        """Convert the body; what a record can do without is left out where it is wrong."""
        blank = {name for name, value in draft.body.items() if is_blank(value)}
        body = {name: value for name, value in draft.body.items() if name not in blank}
        while True:
            converted = self._converter.convert(Row(0, body))
            if isinstance(converted, Prepared):
                break
            wrong = {name: found for name, found in converted.errors.items() if name in body}
            if self.needed & set(wrong) or not wrong:
                draft.failure.update(converted.errors)
                return
            for name, found in wrong.items():
                body.pop(name)
                draft.left_out.setdefault(name, []).extend(found)
        draft.values = {name: self._fitting(name, one) for name, one in converted.values.items()}
        draft.values.update(dict.fromkeys(blank & self._nullable))
        missing = sorted(name for name in self.needed if draft.values.get(name) is None)
        for name in missing:
            draft.failure.setdefault(name, [Message("required").text("en")])

    def _fitting(self, name: str, value: Any) -> Any:
        """Give a number as its column has it, so that both can be compared."""
        if name not in self._decimals or value is None:
            return value
        places = self.kind.model._meta.fields[name].decimal_places
        return Decimal(str(value)).quantize(Decimal(10) ** -places)
