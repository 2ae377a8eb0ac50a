"""The pieces that a representation is made of.

A representation is a table of members. Each member is an expression over a source (an alias of
the table, or a subquery that holds its columns) and the JSON Schema of what it gives. PostgreSQL
builds the JSON; Python only passes its text on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import peewee
from peewee import SQL, Case, NodeList, fn

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Member:
    """One member of a JSON object: how PostgreSQL makes it and what it is."""

    expression: Callable[[Any], Any]
    schema: Schema


@dataclass(frozen=True)
class Representation:
    """The JSON shape of one resource, written once for list, detail and embedding."""

    name: str
    """Name of the shape in the API's document, such as ``Mapset``."""
    model: Any
    members: Mapping[str, Member]

    def __post_init__(self) -> None:
        """Register the shape for the API's document."""
        SHAPES[self.name] = self

    def json(self, source: Any) -> Any:
        """The expression of the whole object."""
        return json_object(
            {name: member.expression(source) for name, member in self.members.items()}
        )

    def subset(self, name: str, *members: str, **others: Member) -> "Representation":
        """A smaller shape of the same resource, for embedding."""
        chosen = {member: self.members[member] for member in members}
        return Representation(name, self.model, {**chosen, **others})

    def schema(self) -> Schema:
        """The JSON Schema of the object; every member is always there."""
        return {
            "type": "object",
            "required": list(self.members),
            "properties": {name: dict(member.schema) for name, member in self.members.items()},
        }

    def reference(self) -> Schema:
        """The JSON Schema that points at this shape in the API's document."""
        return {"$ref": f"#/components/schemas/{self.name}"}


SHAPES: dict[str, Representation] = {}
"""All shapes by their names."""


def json_object(members: Mapping[str, Any]) -> Any:
    """``json_build_object`` with the names as literals, which PostgreSQL need not bind."""
    arguments: list[Any] = []
    for name, expression in members.items():
        arguments += [SQL(f"'{name}'"), expression]
    return fn.json_build_object(*arguments)


def nullable(schema: Schema) -> Schema:
    """The same schema, or null."""
    if "$ref" in schema:
        return {"anyOf": [dict(schema), {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def identifier(column: str, *, null: bool = False) -> Member:
    """A UUID, as a string."""
    schema: Schema = {"type": "string", "format": "uuid"}
    return _plain(column, schema, null=null)


def text(column: str, *, null: bool = False) -> Member:
    """A text, or null."""
    return _plain(column, {"type": "string"}, null=null)


def text_or_empty(column: str) -> Member:
    """A text that is empty where there is none: the portal prints it as it comes."""
    return Member(
        lambda source: fn.coalesce(getattr(source, column), SQL("''")), {"type": "string"}
    )


def choice(column: str, values: tuple[str, ...], *, null: bool = False) -> Member:
    """One of a few texts."""
    listed = [*values, None] if null else list(values)
    return _plain(column, {"type": "string", "enum": listed}, null=null)


def boolean(column: str) -> Member:
    """True or false."""
    return _plain(column, {"type": "boolean"})


def integer(column: str, *, null: bool = False) -> Member:
    """A whole number."""
    return _plain(column, {"type": "integer"}, null=null)


def number(column: str, *, null: bool = False) -> Member:
    """A number."""
    return _plain(column, {"type": "number"}, null=null)


def moment(column: str, *, null: bool = False) -> Member:
    """A date and time with its offset (RFC 3339)."""
    return _plain(column, {"type": "string", "format": "date-time"}, null=null)


def old_moment(column: str) -> Member:
    """A date and time of any age, or null; in UTC where its offset would have seconds.

    Before there were time zones each place had the time of its sun. RFC 3339 knows no such
    offset, and browsers do not read it.
    """

    def expression(source: Any) -> Any:
        value = getattr(source, column)
        zone = SQL("'UTC'")
        utc = fn.to_char(fn.timezone(zone, value), SQL("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""))
        offset = fn.extract(NodeList((SQL("timezone FROM"), value)))
        has_seconds = fn.mod(offset, SQL("60")) != SQL("0")
        return Case(None, [(has_seconds, fn.to_json(utc))], fn.to_json(value))

    return Member(expression, nullable({"type": "string", "format": "date-time"}))


def day(column: str, *, null: bool = False) -> Member:
    """A date (RFC 3339, full-date)."""
    return _plain(column, {"type": "string", "format": "date"}, null=null)


def _plain(column: str, schema: Schema, *, null: bool = False) -> Member:
    return Member(lambda source: getattr(source, column), nullable(schema) if null else schema)


def embedded(shape: Representation, key: str, *, null: bool = False) -> Member:
    """The object that a foreign key of the source points at, deleted or not."""

    def expression(source: Any) -> Any:
        target = shape.model.alias()
        return target.select(shape.json(target)).where(target.id == getattr(source, key))

    schema = shape.reference()
    return Member(expression, nullable(schema) if null else schema)


def counted(model: Any, condition: Callable[[Any, Any], Any]) -> Member:
    """How many rows of another table meet a condition with the source's row."""

    def expression(source: Any) -> Any:
        counted_row = model.alias()
        return counted_row.select(fn.count(SQL("*"))).where(condition(counted_row, source))

    return Member(expression, {"type": "integer", "minimum": 0})


BOOKKEEPING: Mapping[str, Member] = {
    "revision": integer("revision"),
    "created_at": moment("created_at"),
    "updated_at": moment("updated_at"),
    # The portal knows this moment under two names (contract, 13.11).
    "modified_at": moment("updated_at"),
}


def array_text(element: Any, source: Any) -> Any:
    """The text of a JSON array of an expression over a source, empty where there is no row."""
    array = fn.coalesce(fn.json_agg(element), SQL("'[]'::json"))
    # As text, so that the driver does not parse it.
    return peewee.Select([source], [array.cast("text")])
