"""What an open session looks like, in the OpenAPI document; few are ever listed at once."""

from collections.abc import Mapping
from typing import Any

UUID: Mapping[str, Any] = {"type": "string", "format": "uuid"}
TIME: Mapping[str, Any] = {"type": "string", "format": "date-time"}
TEXT_OR_NULL: Mapping[str, Any] = {"type": ["string", "null"]}

_PROPERTIES: dict[str, Any] = {
    "id": UUID,
    "username": {"type": "string"},
    "created_at": TIME,
    "last_used_at": TIME,
    "expires_at": TIME,
    "address": TEXT_OR_NULL,
    "last_address": TEXT_OR_NULL,
    "refresh_count": {"type": "integer"},
    "address_changes": {
        "type": "integer",
        "description": "From how many addresses besides the first it was refreshed.",
    },
    "user_agent": TEXT_OR_NULL,
}
_OWN = {**_PROPERTIES, "is_current": {"type": "boolean"}}

SESSION: Mapping[str, Any] = {
    "type": "object",
    "required": list(_PROPERTIES),
    "properties": _PROPERTIES,
}
OWN_SESSION: Mapping[str, Any] = {"type": "object", "required": list(_OWN), "properties": _OWN}
