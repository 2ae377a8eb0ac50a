"""What a token of a machine looks like, in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from satupeta_server.representations.sessions import TEXT_OR_NULL, TIME, UUID

_TIME_OR_NULL: Mapping[str, Any] = {"type": ["string", "null"], "format": "date-time"}
_MADE: dict[str, Any] = {
    "id": UUID,
    "user_id": UUID,
    "name": {"type": "string"},
    "permissions": {"type": "array", "items": {"type": "string"}},
    "organization_id": {"type": ["string", "null"], "format": "uuid"},
    "created_at": TIME,
    "expires_at": TIME,
    "last_used_at": _TIME_OR_NULL,
    "last_address": TEXT_OR_NULL,
    "revoked_at": _TIME_OR_NULL,
}
_LISTED = {**_MADE, "username": {"type": "string"}}
_NEW = {**_MADE, "token": {"type": "string", "description": "The secret, shown only now."}}

TOKEN: Mapping[str, Any] = {"type": "object", "required": list(_LISTED), "properties": _LISTED}
NEW_TOKEN: Mapping[str, Any] = {"type": "object", "required": list(_NEW), "properties": _NEW}
