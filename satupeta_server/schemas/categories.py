"""The body of a category."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import identifier, name, switch, text

CATEGORY_FORM = Form(
    {
        "name": name(example="Batas Wilayah"),
        "description": text(),
        "thumbnail": identifier(description="Id of an uploaded file."),
        "is_active": switch(default=True),
    }
)
