"""The body of a new token for a machine."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import identifier, moment, name, names

TOKEN_FORM = Form(
    {
        "name": name(example="Harvester GeoNetwork"),
        "permissions": names(
            required=True,
            example=["mapsets:read", "mapsets:write"],
            description="What the token may, of what its owner may.",
        ),
        "organization_id": identifier(
            description="With it, the token may no more than a data manager of that organization."
        ),
        "expires_at": moment(description="At most 366 days ahead; without it, in 90 days."),
    }
)
