"""The body of a credential."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import name, switch, text, texts_by_name

CREDENTIAL_FORM = Form(
    {
        "name": name(example="GeoServer Provinsi"),
        "description": text(),
        "credential_type": text(longest=50, example="geoserver", default=""),
        "credential_metadata": texts_by_name(
            example={"environment": "production", "version": "2.25"}
        ),
        "sensitive_data": texts_by_name(
            description="What is encrypted, whole: keys that are left out disappear.",
            example={"username": "pembaca", "password": "..."},
        ),
        "is_default": switch(default=False),
        "is_active": switch(default=True),
    }
)
