"""The one table of path → handler, with what each method needs, takes and gives."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from satupeta_server.handlers.api_tokens import TokenHandler, TokensHandler
from satupeta_server.handlers.base import Access, BaseHandler
from satupeta_server.handlers.credentials import DecryptedHandler
from satupeta_server.handlers.files import DownloadHandler, FileHandler, UploadHandler
from satupeta_server.handlers.health import LiveHandler, ReadyHandler
from satupeta_server.handlers.logins import (
    LoginHandler,
    LogoutHandler,
    MeHandler,
    PasswordResetHandler,
    RefreshHandler,
)
from satupeta_server.handlers.mapsets import ActivationHandler
from satupeta_server.handlers.metrics import MetricsHandler
from satupeta_server.handlers.pages import (
    AssetHandler,
    DocsHandler,
    HomeHandler,
    OpenApiHandler,
    PasswordResetPageHandler,
)
from satupeta_server.handlers.personal_data import (
    ErasureHandler,
    OwnDataHandler,
    PersonalDataHandler,
)
from satupeta_server.handlers.records import CollectionHandler, ItemHandler
from satupeta_server.handlers.revisions import (
    ComparisonHandler,
    RestoreRevisionHandler,
    RevisionHandler,
    RevisionsHandler,
)
from satupeta_server.handlers.search import (
    DEFAULT_HITS,
    DEFAULT_SUGGESTIONS,
    MOST_HITS,
    SearchHandler,
    SuggestHandler,
)
from satupeta_server.handlers.sessions import (
    OwnSessionHandler,
    OwnSessionsHandler,
    SessionHandler,
    SessionsHandler,
)
from satupeta_server.handlers.statistics import StatisticsHandler, StatisticsPageHandler
from satupeta_server.handlers.trash import DeletedHandler, RestoreHandler, TrashHandler
from satupeta_server.queries.listing import LARGEST_OFFSET
from satupeta_server.queries.vocabulary import LONGEST_QUERY
from satupeta_server.representations.api_tokens import NEW_TOKEN, TOKEN
from satupeta_server.representations.audit import AUDIT_RECORD
from satupeta_server.representations.base import Representation, Schema
from satupeta_server.representations.categories import CATEGORY
from satupeta_server.representations.classifications import CLASSIFICATION
from satupeta_server.representations.credentials import CREDENTIAL
from satupeta_server.representations.files import FILE
from satupeta_server.representations.histories import HISTORY
from satupeta_server.representations.map_projection_systems import MAP_PROJECTION_SYSTEM
from satupeta_server.representations.map_sources import MAP_SOURCE
from satupeta_server.representations.mapsets import MAPSET
from satupeta_server.representations.news import NEWS
from satupeta_server.representations.organizations import ORGANIZATION
from satupeta_server.representations.regionals import REGIONAL
from satupeta_server.representations.revisions import COMPARISON, FULL_REVISION, REVISION
from satupeta_server.representations.roles import ROLE
from satupeta_server.representations.search import FOUND, SUGGESTED
from satupeta_server.representations.sessions import OWN_SESSION, SESSION
from satupeta_server.representations.statistics import STATISTICS
from satupeta_server.representations.trash import TRASH
from satupeta_server.representations.users import ME, USER
from satupeta_server.schemas.api_tokens import TOKEN_FORM
from satupeta_server.schemas.base import Form
from satupeta_server.schemas.categories import CATEGORY_FORM
from satupeta_server.schemas.classifications import CLASSIFICATION_FORM
from satupeta_server.schemas.credentials import CREDENTIAL_FORM
from satupeta_server.schemas.logins import LOGIN_FORM, REFRESH_FORM, RESET_FORM
from satupeta_server.schemas.map_projection_systems import MAP_PROJECTION_SYSTEM_FORM
from satupeta_server.schemas.map_sources import MAP_SOURCE_FORM
from satupeta_server.schemas.mapsets import ACTIVATION_FORM, MAPSET_CHANGE_FORM, MAPSET_FORM
from satupeta_server.schemas.news import NEWS_FORM
from satupeta_server.schemas.organizations import ORGANIZATION_FORM
from satupeta_server.schemas.regionals import REGIONAL_FORM
from satupeta_server.schemas.users import ME_FORM, USER_CHANGE_FORM, USER_FORM
from satupeta_server.security.permissions import PUBLIC_ACCESS
from satupeta_server.services.suggestions import MOST_SUGGESTIONS

PREFIX = "/api"

TOKENS: Schema = {
    "type": "object",
    "required": ["access_token", "refresh_token", "expires_at", "token_type"],
    "properties": {
        "access_token": {"type": "string"},
        "refresh_token": {"type": "string"},
        "expires_at": {"type": "integer", "description": "Unix time in seconds."},
        "token_type": {"type": "string", "const": "bearer"},
    },
}
_DECRYPTED: Schema = {
    "allOf": [
        dict(CREDENTIAL.reference()),
        {
            "type": "object",
            "required": ["decrypted_data"],
            "properties": {
                "decrypted_data": {"type": "object", "additionalProperties": {"type": "string"}}
            },
        },
    ]
}
_HEALTH: Schema = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"enum": ["ok", "down"]},
        "checks": {"type": "object", "additionalProperties": {"enum": ["ok", "down"]}},
    },
}
_PAGE: tuple[Schema, ...] = tuple(
    {
        "name": name,
        "in": "query",
        "schema": {"type": "integer", "minimum": 0, "maximum": LARGEST_OFFSET},
        "description": description,
    }
    for name, description in (("limit", "Rows at most."), ("offset", "Rows to skip."))
)
_COMPARED: tuple[Schema, ...] = tuple(
    {
        "name": name,
        "in": "query",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        "description": description,
    }
    for name, description in (("from", "The one revision."), ("to", "The other."))
)
_PERSONAL_DATA: Schema = {
    "type": "object",
    "required": ["exported_at", "account"],
    "properties": {
        "exported_at": {"type": "string", "format": "date-time"},
        "account": {"type": "object"},
    },
    "additionalProperties": {"type": "array", "items": {"type": "object"}},
}
_OF_STATISTICS: tuple[Schema, ...] = (
    {
        "name": "organization_id",
        "in": "query",
        "schema": {"type": "string", "format": "uuid"},
        "description": "Only mapsets of this producer.",
    },
    *(
        {
            "name": name,
            "in": "query",
            "schema": {"type": "string", "format": "date"},
            "description": description,
        }
        for name, description in (
            ("from", "Only mapsets that were made on this day or later."),
            ("to", "Only mapsets that were made on this day or before."),
        )
    ),
    {
        "name": "format",
        "in": "query",
        "schema": {"enum": ["json", "csv"], "default": "json"},
        "description": "CSV has a row for each figure.",
    },
)
_OK: Schema = {
    "type": "object",
    "required": ["message"],
    "properties": {"message": {"type": "string"}},
}


@dataclass(frozen=True)
class Operation:
    """One method of a path: the permission that it needs, and what the document says of it."""

    permission: str
    summary: str
    status: int = 200
    response: Schema | None = None
    """JSON Schema of the answer; None where it has no JSON body."""
    request: Form | None = None
    is_partial: bool = False
    """Whether the request may leave out required fields: a change, not a new record."""
    media_type: str = "application/json"
    """Of the request's body."""
    response_type: str = "application/json"
    other_types: tuple[str, ...] = ()
    """Of the answer, where the client may ask for another."""
    is_list: bool = False
    errors: tuple[int, ...] = ()
    is_repeatable: bool = True
    """Whether a creation takes an Idempotency-Key: not where its answer must not be kept."""
    query: tuple[Schema, ...] = ()
    """Parameters of the query, as the document names them, of what is no list."""


@dataclass(frozen=True)
class Route:
    """A path, with its handler and its methods."""

    path: str
    handler: type[BaseHandler]
    operations: Mapping[str, Operation]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def access(self) -> Access:
        """The permission of each method."""
        permissions = {name: one.permission for name, one in self.operations.items()}
        return Access(permissions, f"{PREFIX}{self.path}")

    @property
    def pattern(self) -> str:
        """The path as the regular expression that Tornado matches."""
        return re.sub(r"\{\w+\}", "([^/]+)", self.path.replace(".", r"\."))


def _read_only(subject: str, shape: Representation, noun: str) -> list[Route]:
    """The list and the single record of a resource that nobody writes over the API."""
    options = {"subject": subject}
    listed = Operation(
        f"{subject}:read",
        f"List {subject.replace('_', ' ')}",
        response=shape.reference(),
        is_list=True,
        errors=(422,),
    )
    one = Operation(f"{subject}:read", f"Get {_a(noun)}", response=shape.reference(), errors=(404,))
    return [
        Route(f"/{subject}", CollectionHandler, {"GET": listed}, options),
        Route(f"/{subject}/{{id}}", ItemHandler, {"GET": one}, options),
    ]


def _resource(
    subject: str, shape: Representation, noun: str, form: Form, change_form: Form | None = None
) -> list[Route]:
    """The list and the single record of a resource that can be created, changed and deleted."""
    change_form = change_form or form
    write = f"{subject}:write"
    collection, item = _read_only(subject, shape, noun)
    create = Operation(
        write,
        f"Create {_a(noun)}",
        201,
        shape.reference(),
        request=form,
        errors=(400, 409, 413, 422),
    )
    change = Operation(
        write,
        f"Change {_a(noun)}",
        response=shape.reference(),
        request=change_form,
        is_partial=True,
        errors=(400, 404, 409, 412, 413, 422),
    )
    delete = Operation(write, f"Delete {_a(noun)}", 204, errors=(404, 409, 412))
    options = {"subject": subject, "form": form, "change_form": change_form}
    return [
        Route(
            collection.path, CollectionHandler, {**collection.operations, "POST": create}, options
        ),
        Route(
            item.path, ItemHandler, {**item.operations, "PATCH": change, "DELETE": delete}, options
        ),
    ]


def _trash(subject: str, noun: str, permission: str) -> list[Route]:
    """The deleted records of a resource, for whoever may delete them."""
    deleted = TRASH[subject]
    options = {"subject": subject, "listing": deleted.listing}
    shape = deleted.representation.reference()
    listed = Operation(
        permission,
        f"List deleted {subject.replace('_', ' ')}",
        response=shape,
        is_list=True,
        errors=(422,),
    )
    one = Operation(permission, f"Get a deleted {noun}", response=shape, errors=(404,))
    restore = Operation(
        permission,
        f"Restore a deleted {noun}",
        response={"$ref": f"#/components/schemas/{shape['$ref'].rpartition('/Deleted')[2]}"},
        errors=(404, 409, 412),
    )
    path = f"/trash/{subject}"
    return [
        Route(path, TrashHandler, {"GET": listed}, options),
        Route(f"{path}/{{id}}", DeletedHandler, {"GET": one}, options),
        Route(f"{path}/{{id}}/restore", RestoreHandler, {"POST": restore}, options),
    ]


def _asked(default: int, most: int, unit: str) -> tuple[Schema, ...]:
    """The parameters of a search."""
    return (
        {
            "name": "q",
            "in": "query",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_QUERY},
            "example": "peta jaln kediri",
            "description": "What is searched for; the last word may be unfinished.",
        },
        {
            "name": "limit",
            "in": "query",
            "schema": {"type": "integer", "minimum": 0, "default": default},
            "description": f"{unit} at most; more than {most} are never given.",
        },
    )


def _page_of(shape: Representation) -> Schema:
    """A list that cannot be filtered or sorted."""
    return _whole(shape.reference())


def _whole(item: Schema) -> Schema:
    properties = {
        "items": {"type": "array", "items": dict(item)},
        "total": {"type": "integer"},
        "limit": {"type": "integer"},
        "offset": {"type": "integer"},
        "has_more": {"type": "boolean"},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"


def _public(summary: str, **details: Any) -> Operation:
    return Operation(PUBLIC_ACCESS, summary, **details)


def _page(summary: str) -> Operation:
    return Operation(PUBLIC_ACCESS, summary, response_type="text/html")


ROUTES: tuple[Route, ...] = (
    Route("/", HomeHandler, {"GET": _page("The portal's backend introduces itself")}),
    Route(
        "/metrics",
        MetricsHandler,
        {
            "GET": Operation(
                PUBLIC_ACCESS,
                "Figures for Prometheus",
                response_type="text/plain",
                errors=(401, 404),
            )
        },
    ),
    Route(
        "/auth/login",
        LoginHandler,
        {
            "POST": _public(
                "Log in",
                response=TOKENS,
                request=LOGIN_FORM,
                media_type="multipart/form-data",
                errors=(400, 401, 413, 415, 422),
            )
        },
    ),
    Route(
        "/auth/refresh",
        RefreshHandler,
        {
            "POST": _public(
                "Get new tokens",
                response=TOKENS,
                request=REFRESH_FORM,
                errors=(400, 401, 413, 422),
            )
        },
    ),
    Route("/auth/logout", LogoutHandler, {"POST": _public("Log out", response=_OK, errors=(413,))}),
    Route(
        "/auth/password-reset",
        PasswordResetHandler,
        {
            "POST": _public(
                "Set a new password by a one-time link",
                status=204,
                request=RESET_FORM,
                errors=(400, 401, 413, 422),
            )
        },
    ),
    Route(
        "/auth/password-reset/page",
        PasswordResetPageHandler,
        {"GET": _page("The page that a one-time link opens")},
    ),
    Route(
        "/me",
        MeHandler,
        {
            "GET": Operation("me:read", "Get oneself", response=ME.reference()),
            "PATCH": Operation(
                "me:write",
                "Change one's own name, picture or password",
                response=ME.reference(),
                request=ME_FORM,
                is_partial=True,
                errors=(400, 409, 412, 413, 422),
            ),
        },
        {"change_form": ME_FORM},
    ),
    Route(
        "/me/data",
        OwnDataHandler,
        {"GET": Operation("me:read", "Get all that is kept of oneself", response=_PERSONAL_DATA)},
    ),
    Route(
        "/me/sessions",
        OwnSessionsHandler,
        {
            "GET": Operation(
                "me:read", "List one's own open sessions", response=_whole(OWN_SESSION)
            ),
            "DELETE": Operation(
                "me:write",
                "End one's own sessions",
                204,
                errors=(422,),
                query=(
                    {
                        "name": "keep_current",
                        "in": "query",
                        "schema": {"type": "boolean", "default": False},
                        "description": "Leave the session open that asks.",
                    },
                ),
            ),
        },
    ),
    Route(
        "/me/sessions/{id}",
        OwnSessionHandler,
        {"DELETE": Operation("me:write", "End one of one's own sessions", 204, errors=(404,))},
    ),
    Route(
        "/tokens",
        TokensHandler,
        {
            "GET": Operation("tokens:read", "List API tokens", response=_whole(TOKEN)),
            "POST": Operation(
                "tokens:write",
                "Make an API token; its secret is shown only now",
                201,
                NEW_TOKEN,
                request=TOKEN_FORM,
                is_repeatable=False,
                errors=(400, 413, 422),
            ),
        },
    ),
    Route(
        "/tokens/{id}",
        TokenHandler,
        {"DELETE": Operation("tokens:write", "Revoke an API token", 204, errors=(404,))},
    ),
    Route(
        "/mapsets/activation",
        ActivationHandler,
        {
            "PATCH": Operation(
                "mapsets:activate",
                "Activate or deactivate several mapsets, all or none",
                response={"type": "array", "items": dict(MAPSET.reference())},
                request=ACTIVATION_FORM,
                errors=(400, 404, 413, 422),
            )
        },
    ),
    *_resource("mapsets", MAPSET, "mapset", MAPSET_FORM, MAPSET_CHANGE_FORM),
    Route(
        "/mapsets/{id}/revisions",
        RevisionsHandler,
        {
            "GET": Operation(
                "histories:read",
                "List a mapset's revisions, the newest first",
                response=_page_of(REVISION),
                errors=(404, 422),
                query=_PAGE,
            )
        },
    ),
    Route(
        "/mapsets/{id}/revisions/compare",
        ComparisonHandler,
        {
            "GET": Operation(
                "histories:read",
                "Compare two revisions of a mapset",
                response=COMPARISON,
                errors=(404, 422),
                query=_COMPARED,
            )
        },
    ),
    Route(
        "/mapsets/{id}/revisions/{revision}",
        RevisionHandler,
        {
            "GET": Operation(
                "histories:read",
                "Get the full state that a revision left",
                response=FULL_REVISION.reference(),
                errors=(404,),
            )
        },
    ),
    Route(
        "/mapsets/{id}/revisions/{revision}/restore",
        RestoreRevisionHandler,
        {
            "POST": Operation(
                "mapsets:write",
                "Give a mapset the content of a revision",
                response=MAPSET.reference(),
                errors=(404, 409, 412, 422),
            )
        },
    ),
    *_read_only("histories", HISTORY, "history entry"),
    *_resource("news", NEWS, "news article", NEWS_FORM),
    *_resource("organizations", ORGANIZATION, "organization", ORGANIZATION_FORM),
    *_resource("categories", CATEGORY, "category", CATEGORY_FORM),
    *_resource("classifications", CLASSIFICATION, "classification", CLASSIFICATION_FORM),
    *_resource(
        "map_projection_systems",
        MAP_PROJECTION_SYSTEM,
        "map projection system",
        MAP_PROJECTION_SYSTEM_FORM,
    ),
    *_resource("regionals", REGIONAL, "region", REGIONAL_FORM),
    *_resource("map_sources", MAP_SOURCE, "map source", MAP_SOURCE_FORM),
    *_resource("credentials", CREDENTIAL, "credential", CREDENTIAL_FORM),
    Route(
        "/credentials/{id}/decrypted",
        DecryptedHandler,
        {
            "GET": Operation(
                "credentials:decrypt",
                "Get a credential with what it keeps secret; the reading is recorded",
                response=_DECRYPTED,
                errors=(404,),
            )
        },
    ),
    *_resource("users", USER, "user", USER_FORM, USER_CHANGE_FORM),
    Route(
        "/users/{id}/sessions",
        SessionsHandler,
        {
            "GET": Operation(
                "users:read",
                "List a user's open sessions",
                response=_whole(SESSION),
                errors=(404,),
            ),
            "DELETE": Operation("users:write", "End a user's sessions", 204, errors=(404,)),
        },
    ),
    Route(
        "/users/{id}/sessions/{session}",
        SessionHandler,
        {"DELETE": Operation("users:write", "End one of a user's sessions", 204, errors=(404,))},
    ),
    Route(
        "/users/{id}/data",
        PersonalDataHandler,
        {
            "GET": Operation(
                "users:export",
                "Get all that is kept of a user; the reading is recorded",
                response=_PERSONAL_DATA,
                errors=(404,),
            )
        },
    ),
    Route(
        "/users/{id}/erase",
        ErasureHandler,
        {
            "POST": Operation(
                "users:erase",
                "Erase what tells of a user as a person, for good",
                204,
                errors=(404, 409),
            )
        },
    ),
    *_read_only("roles", ROLE, "role"),
    *_read_only("audit", AUDIT_RECORD, "audit record"),
    Route(
        "/statistics",
        StatisticsHandler,
        {
            "GET": Operation(
                "mapsets:read",
                "Count mapsets by status, month, category, organization and region",
                response=STATISTICS,
                other_types=("text/csv",),
                errors=(422,),
                query=_OF_STATISTICS,
            )
        },
    ),
    Route(
        "/statistics/page",
        StatisticsPageHandler,
        {
            "GET": Operation(
                "mapsets:read", "The statistics as a page", response_type="text/html", errors=(422,)
            )
        },
    ),
    Route(
        "/search",
        SearchHandler,
        {
            "GET": Operation(
                "search:read",
                "Search mapsets, organizations, categories, news and regions at once",
                response=FOUND,
                errors=(422,),
                query=_asked(DEFAULT_HITS, MOST_HITS, "Hits of each group"),
            )
        },
    ),
    Route(
        "/search/suggest",
        SuggestHandler,
        {
            "GET": Operation(
                "search:read",
                "Suggest what a text may become while it is typed",
                response=SUGGESTED,
                errors=(422,),
                query=_asked(DEFAULT_SUGGESTIONS, MOST_SUGGESTIONS, "Suggestions"),
            )
        },
    ),
    Route(
        "/files",
        UploadHandler,
        {
            "POST": Operation(
                "files:upload",
                "Upload a file",
                201,
                FILE.reference(),
                media_type="multipart/form-data",
                errors=(400, 409, 413, 415, 422),
            )
        },
    ),
    Route(
        "/files/{id}",
        FileHandler,
        {
            "DELETE": Operation(
                "files:delete", "Delete a file that nothing uses", 204, errors=(404, 409, 412)
            )
        },
    ),
    Route(
        "/files/{id}/download",
        DownloadHandler,
        {
            "GET": Operation(
                "files:download",
                "Download a file, whole or a range of it",
                response_type="*/*",
                errors=(404, 416),
            )
        },
    ),
    *_trash("mapsets", "mapset", "mapsets:write"),
    *_trash("news", "news article", "news:write"),
    *_trash("organizations", "organization", "organizations:write"),
    *_trash("categories", "category", "categories:write"),
    *_trash("classifications", "classification", "classifications:write"),
    *_trash("map_projection_systems", "map projection system", "map_projection_systems:write"),
    *_trash("regionals", "region", "regionals:write"),
    *_trash("map_sources", "map source", "map_sources:write"),
    *_trash("credentials", "credential", "credentials:write"),
    *_trash("users", "user", "users:write"),
    *_trash("files", "file", "files:delete"),
    Route(
        "/health/live", LiveHandler, {"GET": _public("Whether the process lives", response=_HEALTH)}
    ),
    Route(
        "/health/ready",
        ReadyHandler,
        {"GET": _public("Whether the process can serve", response=_HEALTH)},
    ),
    Route(
        "/openapi.json",
        OpenApiHandler,
        {"GET": _public("This document", response={"type": "object"})},
    ),
    Route("/docs", DocsHandler, {"GET": _page("This document as a page")}),
    Route("/docs/{file}", AssetHandler, {"GET": _page("What the page of this document needs")}),
)
