"""What the groups of a search look like."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from peewee import SQL, Case, fn

from satupeta_server.models.categories import Category
from satupeta_server.models.mapsets import Mapset
from satupeta_server.models.news import News
from satupeta_server.models.organizations import Organization
from satupeta_server.models.regionals import Regional
from satupeta_server.representations.base import (
    Member,
    Schema,
    identifier,
    json_object,
    moment,
    text,
)

LONGEST_READ = 20_000
"""Characters of a description in which words are looked for to be marked."""

LEVELS = {2: "provinsi", 5: "kabupaten", 8: "kecamatan", 13: "desa"}
"""The levels of regions by the lengths of their codes."""


@dataclass(frozen=True)
class Group:
    """The hits of one table: what they show and, where they fit equally well, their order."""

    model: Any
    order: Callable[[Any], list[Any]]
    members: Mapping[str, Member]
    columns: tuple[str, ...] = ()
    """What the members and the order need besides id, name and description."""
    is_html: bool = False
    """Whether the descriptions are HTML."""
    is_indexed: bool = False
    """Whether there may be so many that their words have an index."""

    def read(self, source: Any) -> list[Any]:
        """The columns that ``json`` and ``order`` need."""
        return [getattr(source, name) for name in ("id", "name", "description", *self.columns)]

    def json(self, source: Any) -> Any:
        """The expression of a hit, with the description from which its highlight is made."""
        members = {name: member.expression(source) for name, member in self.members.items()}
        return json_object({**members, "description": fn.left(source.description, LONGEST_READ)})

    def schema(self) -> Schema:
        """The JSON Schema of the group."""
        members = {name: dict(member.schema) for name, member in self.members.items()}
        item = {
            "type": "object",
            "required": [*members, "highlights"],
            "properties": {**members, "highlights": _HIGHLIGHTS},
        }
        return {
            "type": "object",
            "required": ["items", "total", "total_is_exact"],
            "properties": {
                "items": {"type": "array", "items": item},
                "total": {"type": "integer", "minimum": 0},
                "total_is_exact": {
                    "type": "boolean",
                    "description": "False where there may be more than `total`.",
                },
            },
        }


_HIGHLIGHTS: Schema = {
    "type": "object",
    "required": ["name", "description"],
    "properties": {
        "name": {"type": "string", "description": "Escaped HTML, with `<mark>`."},
        "description": {
            "type": ["string", "null"],
            "description": "About 200 characters of it, as escaped HTML with `<mark>`.",
        },
    },
}


def _newest_first(source: Any) -> list[Any]:
    return [source.created_at.desc(), source.id.desc()]


def _by_name(source: Any) -> list[Any]:
    return [fn.lower(source.name), source.id]


def _highest_first(source: Any) -> list[Any]:
    return [fn.length(source.code), *_by_name(source)]


def _name_of(model: Any, key: str, *, null: bool = False) -> Member:
    def expression(source: Any) -> Any:
        target = model.alias()
        return target.select(target.name).where(target.id == getattr(source, key))

    return Member(expression, {"type": ["string", "null"] if null else "string"})


def _level(source: Any) -> Any:
    cases = [(length, SQL(f"'{level}'")) for length, level in LEVELS.items()]
    return Case(fn.length(source.code), cases)


_NAMED = {"id": identifier("id"), "name": text("name")}

GROUPS: Mapping[str, Group] = {
    "mapsets": Group(
        Mapset,
        _newest_first,
        {
            **_NAMED,
            "producer_name": _name_of(Organization, "producer_id"),
            "category_name": _name_of(Category, "category_id"),
            "regional_name": _name_of(Regional, "regional_id"),
            "created_at": moment("created_at"),
        },
        ("created_at", "producer_id", "category_id", "regional_id"),
        is_indexed=True,
    ),
    "organizations": Group(Organization, _by_name, _NAMED, is_indexed=True),
    "categories": Group(Category, _by_name, _NAMED),
    "news": Group(
        News,
        _newest_first,
        {**_NAMED, "created_at": moment("created_at")},
        ("created_at",),
        is_html=True,
        is_indexed=True,
    ),
    "regionals": Group(
        Regional,
        _highest_first,
        {
            **_NAMED,
            "code": text("code"),
            "level": Member(_level, {"enum": [*LEVELS.values(), None]}),
            "parent_name": _name_of(Regional, "parent_id", null=True),
        },
        ("code", "parent_id"),
        is_indexed=True,
    ),
}
"""The groups by the subjects of what they hold."""

FOUND: Schema = {
    "type": "object",
    "required": [*GROUPS],
    "properties": {name: dict(group.schema()) for name, group in GROUPS.items()},
}

KINDS = {
    "mapsets": "mapset",
    "organizations": "organization",
    "categories": "category",
    "news": "news",
    "regionals": "region",
}
"""What a suggestion is, by the subject of the record that has the name."""

SUGGESTED: Schema = {
    "type": "object",
    "required": ["items"],
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["text", "kind", "id"],
                "properties": {
                    "text": {"type": "string"},
                    "kind": {"enum": [*KINDS.values(), "word"]},
                    "id": {"type": ["string", "null"], "format": "uuid"},
                },
            },
        }
    },
}
