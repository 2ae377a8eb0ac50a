"""The pages of reference that are made from the code: the API, error codes, tables."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

import peewee

from satupeta_server import models
from satupeta_server.errors import STATUS
from satupeta_server.messages import MESSAGES
from satupeta_server.models.base import BaseModel
from satupeta_server.openapi import make_document
from satupeta_server.routes import ROUTES

Schema = Mapping[str, Any]


def api_page() -> str:
    """Each request with its parameters, the fields of its body and its answers."""
    document = make_document("Satu Peta")
    lines = [
        "# API reference",
        "",
        "Every request, made from the API's own document (`/api/openapi.json`). How they work",
        "together stands in [the API by example](api.md), who may what in the",
        "[permissions](permissions.md), and what errors look like under",
        "[error codes](error-codes.md). All paths stand under `/api`.",
    ]
    for route in ROUTES:
        described = document["paths"].get(route.path)
        if described is None:
            # A page, for people.
            continue
        for method, operation in route.operations.items():
            lines += ["", f"## `{method} {route.path}`", "", f"{operation.summary}."]
            lines += ["", f"Permission: {_permission(operation.permission)}"]
            lines += _parameters(described[method.lower()], document)
            lines += _body(described[method.lower()], document)
            answers = described[method.lower()]["responses"]
            lines += ["", f"Answers: {', '.join(f'`{status}`' for status in sorted(answers))}"]
    return "\n".join(lines) + "\n"


def _permission(name: str) -> str:
    return "none is needed" if name == "public" else f"`{name}`"


def _parameters(operation: Schema, document: Schema) -> Iterator[str]:
    found = [_resolved(one, document) for one in operation.get("parameters", ())]
    found = [one for one in found if one["in"] == "query"]
    if not found:
        return
    yield from ("", "| Parameter | Type | What |", "|---|---|---|")
    for one in found:
        yield f"| `{one['name']}` | {_kind(one.get('schema', {}), document)} | {_text(one)} |"


def _body(operation: Schema, document: Schema) -> Iterator[str]:
    content = operation.get("requestBody", {}).get("content", {})
    for media_type, one in content.items():
        shape = _resolved(one["schema"], document)
        required = shape.get("required", ())
        yield from ("", f"Body: `{media_type}`")
        fields = shape.get("properties", {})
        if fields:
            yield from ("", "| Field | Type | Required |", "|---|---|---|")
        for name, field in fields.items():
            needed = "yes" if name in required else ""
            yield f"| `{name}` | {_kind(field, document)} | {needed} |"


def _resolved(one: Schema, document: Schema) -> Schema:
    while "$ref" in one:
        found: Any = document
        for part in one["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        one = found
    return one


def _kind(schema: Schema, document: Schema) -> str:
    schema = _resolved(schema, document)
    kind = schema.get("type", "")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    text = text or " or ".join(_kind(one, document) for one in schema.get("anyOf", ()))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    return f"{text}, {schema['format']}" if "format" in schema else text or "any"


def _text(one: Schema) -> str:
    return str(one.get("description", "")).replace("\n", " ").replace("|", "\\|")


def error_page() -> str:
    """Statuses, and all messages in both languages."""
    lines = [
        "# Error codes",
        "",
        "An error is JSON with `code`, `message`, `detail`, `errors` (messages by field) and",
        "`request_id`. `code` is one of those below and stays the same in every language;",
        "`message` is Indonesian, and English with `Accept-Language: en`. Words in braces are",
        "replaced by values.",
        "",
        "## By status",
        "",
        "| Status | What happened | Code, where nothing more is known |",
        "|---|---|---|",
    ]
    for kind, status in STATUS.items():
        meaning = (kind.__doc__ or "").splitlines()[0]
        lines.append(f"| {status} | {meaning} | `{kind.default_key}` |")
    lines += ["", "## All codes", "", "| Code | Indonesian | English |", "|---|---|---|"]
    lines += [f"| `{key}` | {text} | {english} |" for key, (text, english) in MESSAGES.items()]
    return "\n".join(lines) + "\n"


def tables_page() -> str:
    """Every table with its columns."""
    for module in pkgutil.iter_modules(models.__path__):
        importlib.import_module(f"{models.__name__}.{module.name}")
    lines = [
        "# Tables",
        "",
        "Every table of PostgreSQL with its columns, as the models know them. What they are for,",
        "and how they hang together, stands in the [data model](data-model.md). The tables of the",
        "queue (`procrastinate_*`) belong to procrastinate and are not read by anybody else.",
    ]
    for model in sorted(_models(BaseModel), key=lambda one: str(one._meta.table_name)):
        lines += ["", f"## `{model._meta.table_name}`", ""]
        lines += ["| Column | Type | May be empty | Refers to |", "|---|---|---|---|"]
        for field in model._meta.sorted_fields:
            empty = "yes" if field.null else ""
            lines.append(
                f"| `{field.column_name}` | {_column_type(field)} | {empty} | {_target(field)} |"
            )
    return "\n".join(lines) + "\n"


def _models(base: Any) -> Iterator[Any]:
    for kind in base.__subclasses__():
        yield from _models(kind)
        if kind._meta.table_name != "record":
            yield kind


def _column_type(field: Any) -> str:
    if isinstance(field, peewee.ForeignKeyField):
        field = field.rel_field
    return str(field.field_type).lower()


def _target(field: Any) -> str:
    if not isinstance(field, peewee.ForeignKeyField):
        return ""
    name = field.rel_model._meta.table_name
    return f"[`{name}`](#{name})"
