"""The body of a map source."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import identifier, name, switch, text, url

MAP_SOURCE_FORM = Form(
    {
        "name": name(example="GeoServer Provinsi"),
        "description": text(),
        "url": url(required=True, example="https://geoserver.example.org/geoserver"),
        "credential_id": identifier(),
        "is_active": switch(default=True),
    }
)
