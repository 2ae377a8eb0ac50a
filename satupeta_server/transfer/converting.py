"""From a row of a file to values that the API's own forms have accepted."""

import difflib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from satupeta_server.errors import AppError, InputError, InvalidError
from satupeta_server.messages import Language, Message
from satupeta_server.queries.values import ValueProblem, parse_uuid
from satupeta_server.schemas.base import Rules
from satupeta_server.transfer.kinds import Kind, Reference
from satupeta_server.transfer.reading import Row
from satupeta_server.transfer.references import References

_TRUE = {"true", "1", "yes", "y", "ya", "t", "benar"}
_FALSE = {"false", "0", "no", "n", "tidak", "f", "salah"}
LIST_SEPARATOR = ";"

_LONGEST_KNOWN_CELL = 100
_MOST_KNOWN_CELLS = 5000
_NOTHING = object()
"""What the form makes of the blank of a switch: no value at all."""

Errors = Mapping[str, Sequence[Message]]


@dataclass(slots=True)
class Prepared:
    """A row whose values the form has accepted, ready to be stored."""

    line: int
    values: dict[str, Any]
    record_id: uuid.UUID | None = None
    missing: tuple[str, ...] = ()
    """Required fields that the row does not give: it can change a record, not make one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot be stored, and why, by field."""

    line: int
    errors: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Column:
    """A column of the file, and what the form has made of its cells so far.

    Of most columns every row repeats one of a few cells. A field's rules look at that field
    alone, so what was accepted once is accepted again, for a tenth of the time.
    """

    name: str
    """As the kind calls it."""
    field_name: str
    """The form's name of it; the same but for references."""
    reference: Reference | None
    rules: Rules | None
    known: dict[Any, Any] | None = field(default_factory=dict)
    """None once the cells turned out to be too different."""

    def keep(self, cell: Any, values: Mapping[str, Any]) -> None:
        """Remember what the form made of a cell."""
        if self.known is None or not _is_short(cell):
            return
        self.known[cell] = values.get(self.field_name, _NOTHING)
        if len(self.known) > _MOST_KNOWN_CELLS:
            self.known = None


class Converter:
    """Turns rows into values; made once for a file."""

    def __init__(
        self,
        kind: Kind,
        references: References,
        mapping: Mapping[str, str],
        language: Language,
        *,
        ignores_unknown: bool = False,
    ) -> None:
        self.kind = kind
        self._ignores_unknown = ignores_unknown
        self.language = language
        self._references = references
        self._mapping = mapping
        self._required = kind.required()
        self._columns: dict[str, _Column] = {}

    def convert(self, row: Row) -> Prepared | Refused:
        """Convert one row."""
        if row.problem is not None:
            return Refused(row.line, {"": [row.problem]})
        errors: dict[str, list[Message]] = {}
        values: dict[str, Any] = {}
        new = self._take_known(row, values)
        record_id = None
        try:
            body = self._body(new, errors)
            record_id = self._record_id(body.pop("id", None))
            values |= self.kind.form.for_update(body)
        except InvalidError as error:
            errors = {**{name: list(found) for name, found in error.errors.items()}, **errors}
        problem = None if errors else self._problem(row, values)
        if problem is not None:
            errors = {"": [problem]}
        if errors:
            return Refused(row.line, texts(errors, self.language))
        for column, cell in new:
            column.keep(cell, values)
        missing = tuple(name for name in self._required if values.get(name) is None)
        return Prepared(row.line, values, record_id, missing)

    def _take_known(self, row: Row, values: dict[str, Any]) -> list[tuple[_Column, Any]]:
        """Take over what is known of cells; gives those of which nothing is."""
        new = []
        for name, cell in row.values.items():
            column = self._columns.get(name) or self._column(name)
            known = column.known
            if known is None or not _is_short(cell) or cell not in known:
                new.append((column, cell))
            elif known[cell] is not _NOTHING:
                values[column.field_name] = known[cell]
        return new

    def _column(self, called: str) -> _Column:
        name = self._mapping.get(called, called)
        reference = self.kind.references.get(name)
        field_name = reference.field if reference is not None else name
        column = _Column(name, field_name, reference, self.kind.form.fields.get(name))
        if reference is None and column.rules is None:
            # An id, which is no value, or a column that is only checked.
            column.known = None
        self._columns[called] = column
        return column

    def _problem(self, row: Row, values: dict[str, Any]) -> Message | None:
        if self.kind.check_row is None:
            return None
        cells = {self._mapping.get(name, name): cell for name, cell in row.values.items()}
        return self.kind.check_row(cells, values)

    def _body(
        self, cells: Sequence[tuple[_Column, Any]], errors: dict[str, list[Message]]
    ) -> dict[str, Any]:
        body: dict[str, Any] = {}
        for column, cell in cells:
            name = column.name
            try:
                if column.reference is not None:
                    body[column.field_name] = self._resolved(name, column.reference, cell)
                elif column.rules is not None:
                    body[name] = coerced(cell, column.rules)
                elif name == "id":
                    body["id"] = cell
                elif name not in self.kind.extra_columns and not self._ignores_unknown:
                    errors[name] = [Message("unknown_column")]
            except ValueProblem as problem:
                errors[name] = [problem.message]
        return body

    def _resolved(self, column: str, reference: Reference, value: Any) -> Any:
        names = self._references.names(column)
        if value is None or value in ("", []):
            return [] if reference.is_list else None
        if not reference.is_list:
            return str(names.resolve(str(value)))
        parts = value if isinstance(value, list) else str(value).split(LIST_SEPARATOR)
        return [str(names.resolve(str(part))) for part in parts if str(part).strip()]

    @staticmethod
    def _record_id(value: Any) -> uuid.UUID | None:
        if value is None or value == "":
            return None
        try:
            return parse_uuid(str(value))
        except ValueProblem as problem:
            raise InvalidError(errors={"id": [problem.message]}) from None


def _is_short(cell: Any) -> bool:
    """Tell whether a cell is worth remembering; 1 and true are the same key, so no numbers are."""
    if cell.__class__ is str:
        return len(cell) <= _LONGEST_KNOWN_CELL
    return cell is None or cell is True or cell is False


def coerced(value: Any, rules: Rules) -> Any:
    """Bring a cell, which may be text where the form wants more, into the form's type.

    Raises ValueProblem.
    """
    kind = rules["type"]
    if kind in ("string", "uuid", "date", "datetime"):
        return str(value) if isinstance(value, (int, float)) else value
    if not isinstance(value, str) or not value.strip():
        return _flag(value) if kind == "boolean" and value in (0, 1) else value
    text = value.strip()
    if kind == "boolean":
        return _boolean(text)
    if kind == "list":
        return _numbers(text)
    if kind == "number":
        return _number(text)
    return value


def _flag(value: Any) -> bool:
    return bool(value)


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueProblem("must_be_boolean")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueProblem("must_be_number") from None


def _numbers(text: str) -> list[float]:
    """Read a bounding box, as ``110.9, -8.8, 114.6, -6.6`` or in brackets."""
    return [_number(part) for part in text.strip("[]").split(",")]


def texts(errors: Errors, language: Language) -> dict[str, list[str]]:
    """Put errors into words."""
    return {name: [one.text(language) for one in found] for name, found in errors.items()}


def reasons(error: AppError, language: Language) -> dict[str, list[str]]:
    """Put a refusal into words, by field; under no field where it names none."""
    return texts(error.errors, language) or {"": [error.message.text(language)]}


def check_columns(
    kind: Kind,
    columns: Sequence[str],
    mapping: Mapping[str, str],
    *,
    ignore_unknown: bool,
    is_whole: bool = True,
) -> None:
    """Refuse columns that the kind does not have; raises InputError that names near ones.

    ``is_whole`` says that these are all columns of the file: rows of JSON may have others.
    """
    known = {"id", *kind.form.fields, *kind.references, *kind.extra_columns}
    targets = [name for name in mapping.values() if name not in known]
    sources = [name for name in mapping if is_whole and name not in columns]
    if targets or sources:
        wrong = ", ".join(targets or sources)
        place = f"{kind.name} have no column" if targets else "the file has no column"
        raise InputError(f"--map: {place} {wrong}.")
    meant = [mapping.get(name, name) for name in columns]
    doubled = sorted({name for name in meant if meant.count(name) > 1})
    if doubled:
        raise InputError(f"Several columns of the file are meant as {', '.join(doubled)}.")
    unknown = [name for name in columns if mapping.get(name, name) not in known]
    if unknown and not ignore_unknown:
        hints = [f"{name!r}{_near(name, known)}" for name in unknown]
        raise InputError(
            f"Unknown columns: {', '.join(hints)}. Known: {', '.join(sorted(known))}."
            " Use --map theirs=ours, or --ignore-unknown."
        )


def _near(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, 1)
    return f" (do you mean {near[0]!r}?)" if near else ""
