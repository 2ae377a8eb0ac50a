"""The API's document (OpenAPI 3.1.0), made from the routes, forms and representations."""

import http
import re
from collections.abc import Iterator, Mapping
from typing import Any

from satupeta_server import __version__
from satupeta_server.queries.listing import LARGEST_OFFSET, LONGEST_SEARCH
from satupeta_server.representations.base import SHAPES, Schema
from satupeta_server.routes import PREFIX, ROUTES, Operation, Route
from satupeta_server.schemas.base import Form, Rules
from satupeta_server.security.permissions import GRANTS, PUBLIC_ACCESS

_FORMATS = {"uuid": "uuid", "date": "date", "datetime": "date-time"}
_TYPES = {
    "dict": "object",
    "list": "array",
    "uuid": "string",
    "date": "string",
    "datetime": "string",
}

ERROR: Mapping[str, Any] = {
    "type": "object",
    "required": ["code", "message", "detail", "errors", "request_id"],
    "properties": {
        "code": {"type": "string", "description": "Which error, for programs."},
        "message": {"type": "string", "description": "What is wrong, for people."},
        "detail": {"type": "string"},
        "errors": {
            "type": "object",
            "description": "What is wrong with which field.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "request_id": {"type": "string"},
    },
    "example": {
        "code": "invalid",
        "message": "Periksa kembali isian Anda.",
        "detail": "name: Wajib diisi.",
        "errors": {"name": ["Wajib diisi."]},
        "request_id": "0196b0c2a1d47e2f9c3b5a6d7e8f9012",
    },
}
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_REVISION = {
    "name": "revision",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
}
EXAMPLE_CURSOR = (
    "1NaKsVsiY3JlYXRlZF9hdDpkZXNjIixbIjIwMjYtMDEtMzFUMDg6MDA6MDAuMTIzNDU2KzA3OjAwIiwi"
    "MDE5NjhiNTMtYTkxMC03YTY3LWJkMTAtOTc1Yjg5MjNiOTJlIl1d"
)
_SEARCH: Schema = {"type": "string", "maxLength": LONGEST_SEARCH}
_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_OFFSET}
_COUNTED: Schema = {
    "type": "object",
    "required": ["value", "name", "count"],
    "properties": {
        "value": {"type": ["string", "integer"]},
        "name": {"type": "string"},
        "count": {"type": "integer", "minimum": 1},
    },
}
_LIST_PARAMETERS = (
    ("limit", _COUNT, "Rows at most."),
    ("offset", _COUNT, "Rows to skip."),
    (
        "search",
        _SEARCH,
        "Every word must occur, in any order. Without `sort`, "
        "what has them in its name comes first.",
    ),
)


def make_document(project_name: str) -> dict[str, Any]:
    """Make the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": project_name,
            "version": __version__,
            "description": "The records of a Satu Peta portal: mapsets, who publishes them and "
            "what describes them. Each operation names the permission that it needs.",
        },
        # Relative: right under every name and behind every proxy.
        "servers": [{"url": PREFIX}],
        "paths": {route.path: _path(route) for route in ROUTES if not _is_page(route)},
        "components": {
            "schemas": {
                **{name: dict(shape.schema()) for name, shape in sorted(SHAPES.items())},
                "Error": dict(ERROR),
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _is_page(route: Route) -> bool:
    return all(one.response_type == "text/html" for one in route.operations.values())


def _path(route: Route) -> dict[str, Any]:
    return {
        method.lower(): _operation(route, method, operation)
        for method, operation in route.operations.items()
    }


def _operation(route: Route, method: str, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _operation_id(route, method),
        "tags": [route.path.split("/")[1]],
        "description": _granted_to(operation.permission),
        "parameters": list(_parameters(route, method, operation)),
        "responses": dict(_responses(route, operation)),
        "security": _security(operation.permission),
    }
    body = _request_body(route, operation)
    return {**described, "requestBody": body} if body else described


def _operation_id(route: Route, method: str) -> str:
    path = re.sub(r"\{(\w+)\}", r"by_\1", route.path)
    words = path.replace(".", "_").replace("-", "_").split("/")
    return "_".join([method.lower(), *filter(None, words)])


def _granted_to(permission: str) -> str:
    if permission == PUBLIC_ACCESS:
        return "Needs no permission."
    granted = ", ".join(f"{caller} ({scope})" for caller, scope in GRANTS[permission].items())
    return f"Needs `{permission}`: {granted}."


def _security(permission: str) -> list[dict[str, list[str]]]:
    if permission == PUBLIC_ACCESS:
        return [{}]
    bearer: dict[str, list[str]] = {"bearer": []}
    return [{}, bearer] if "anonymous" in GRANTS[permission] else [bearer]


def _parameters(route: Route, method: str, operation: Operation) -> Iterator[dict[str, Any]]:
    if "{id}" in route.path:
        yield _ID
    if "{revision}" in route.path:
        yield _REVISION
    if "{session}" in route.path:
        yield {**_ID, "name": "session"}
    yield from (dict(parameter) for parameter in operation.query)
    if operation.is_list:
        listing = _listing(route)
        for name, schema, description in _LIST_PARAMETERS:
            if name != "search" or listing.is_searchable:
                yield {"name": name, "in": "query", "schema": schema, "description": description}
        sorts = [*listing.sorts, *listing.extra_sorts]
        yield {
            "name": "sort",
            "in": "query",
            "schema": {"type": "string"},
            "example": listing.default_sort,
            "description": f"`field:asc` or `field:desc`, by {', '.join(sorts)}; "
            f"default `{listing.default_sort}`. Anonymous callers get 401.",
        }
        yield {
            "name": "filter",
            "in": "query",
            "schema": {"type": "array", "items": {"type": "string"}},
            "style": "form",
            "explode": True,
            "description": "`field=value` (also `!=`, `<`, `<=`, `>`, `>=`, `field in a,b`), "
            f"by {', '.join(listing.filters)}; or a JSON list, see the docs.",
        }
        yield from _own_parameters(listing)
    if 412 in operation.errors:
        yield {
            "name": "If-Match",
            "in": "header",
            "schema": {"type": "string"},
            "description": "The ETag or revision that the change starts from.",
        }
    if method == "POST" and operation.status == 201 and operation.is_repeatable:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            "description": "A key of the client's choice, such as a UUID: the same request with "
            "the same key creates once, and gets the same answer again.",
        }


def _own_parameters(listing: Any) -> Iterator[dict[str, Any]]:
    if listing.facets:
        yield {
            "name": "facets",
            "in": "query",
            "schema": {"type": "array", "items": {"enum": [*listing.facets]}},
            "style": "form",
            "explode": False,
            "example": [*listing.facets][:2],
            "description": "How many rows have which value, as `facets` of the answer. All that "
            "narrows the list counts, except filters on the facet's own field.",
        }
    if listing.has_cursor:
        yield {
            "name": "cursor",
            "in": "query",
            "schema": {"type": "string"},
            "example": EXAMPLE_CURSOR,
            "description": "The `next_cursor` of the page before, with the same `sort` and "
            "`search`, and without `offset`.",
        }
    for name, narrowing in listing.narrowings.items():
        yield {
            "name": name,
            "in": "query",
            "schema": dict(narrowing.schema),
            "example": narrowing.example,
            "description": narrowing.description,
        }


def _listing(route: Route) -> Any:
    from satupeta_server.services import container  # noqa: PLC0415

    if "listing" in route.options:
        return route.options["listing"]
    annotations = container.Services.__annotations__
    return annotations[route.options["subject"]].resource.listing


def _request_body(route: Route, operation: Operation) -> dict[str, Any] | None:
    if route.path == "/files":
        schema: dict[str, Any] = {
            "type": "object",
            "required": ["file"],
            "properties": {
                "file": {"type": "string", "format": "binary"},
                "description": {"type": "string"},
            },
        }
    elif operation.request is None:
        return None
    else:
        schema = form_schema(operation.request, is_partial=operation.is_partial)
    return {"required": True, "content": {operation.media_type: {"schema": schema}}}


def form_schema(form: Form, *, is_partial: bool) -> dict[str, Any]:
    """The JSON Schema of a form."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _field_schema(rules) for name, rules in form.fields.items()},
    }
    required = [name for name, rules in form.fields.items() if rules["required"]]
    return schema if is_partial or not required else {**schema, "required": required}


def _field_schema(rules: Rules) -> dict[str, Any]:
    kind, meta = rules["type"], rules.get("meta", {})
    schema: dict[str, Any] = {"type": _TYPES.get(kind, kind)}
    if kind in _FORMATS:
        schema["format"] = _FORMATS[kind]
    for rule, keyword in _KEYWORDS.items():
        if rule in rules:
            schema[_LENGTHS.get((kind, rule), keyword)] = rules[rule]
    if "allowed" in rules:
        schema["enum"] = [*rules["allowed"]]
    if meta.get("is_secret"):
        schema |= {"format": "password", "writeOnly": True}
    if not rules["required"]:
        schema = {"anyOf": [schema, _BLANK]}
    elif schema["type"] == "string":
        schema = {"minLength": 1, **schema}
    return schema | {key: meta[key] for key in ("description", "example", "default") if key in meta}


# What the portal sends where there is no value.
_BLANK: Schema = {"enum": ["", None]}
_KEYWORDS = {"minlength": "minLength", "maxlength": "maxLength", "min": "minimum", "max": "maximum"}
_LENGTHS = {("list", "minlength"): "minItems", ("list", "maxlength"): "maxItems"}


def _responses(route: Route, operation: Operation) -> Iterator[tuple[str, Any]]:
    answer: dict[str, Any] = {"description": http.HTTPStatus(operation.status).phrase}
    if operation.status != 204:
        answer["headers"] = {"ETag": {"schema": {"type": "string"}}}
        answer["content"] = {operation.response_type: {"schema": _answer_schema(route, operation)}}
        for other in operation.other_types:
            answer["content"][other] = {"schema": {"type": "string"}}
        if operation.is_list and _listing(route).has_cursor:
            answer["headers"]["Link"] = {
                "schema": {"type": "string"},
                "description": 'The next page, with `rel="next"`.',
            }
    yield str(operation.status), answer
    for status in sorted({*operation.errors, *_common_errors(operation)}):
        yield (
            str(status),
            {
                "description": http.HTTPStatus(status).phrase,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        )


def _common_errors(operation: Operation) -> Iterator[int]:
    yield 503
    if operation.permission != PUBLIC_ACCESS:
        yield from (401, 403)
    if operation.request is not None:
        yield from (400, 413, 415, 422)
    if operation.is_list or operation.query:
        # What stands in the address may be no text at all.
        yield from (400, 422)


def _answer_schema(route: Route, operation: Operation) -> dict[str, Any]:
    if operation.response is None:
        return {"type": "string"}
    if not operation.is_list:
        return dict(operation.response)
    listing = _listing(route)
    properties: dict[str, Any] = {
        "items": {"type": "array", "items": dict(operation.response)},
        "total": {"type": "integer"},
        "limit": {"type": "integer"},
        "offset": {"type": "integer"},
        "has_more": {"type": "boolean"},
    }
    if listing.has_cursor:
        properties["next_cursor"] = {"type": ["string", "null"]}
    required = list(properties)
    if listing.facets:
        counted = {name: {"type": "array", "items": dict(_COUNTED)} for name in listing.facets}
        properties["facets"] = {"type": "object", "properties": counted}
    return {"type": "object", "required": required, "properties": properties}
