"""What an uploaded file looks like."""

from satupeta_server.models.files import File
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Representation,
    embedded,
    identifier,
    integer,
    text,
)
from satupeta_server.representations.users import USER

UPLOADER = USER.subset("Uploader", "id", "name", "role", "organization")

FILE = Representation(
    "File",
    File,
    {
        "id": identifier("id"),
        "object_name": text("object_name"),
        "name": text("name"),
        "description": text("description", null=True),
        "content_type": text("content_type"),
        "size": integer("size"),
        "checksum": text("checksum"),
        "width": integer("width", null=True),
        "height": integer("height", null=True),
        "uploaded_by": embedded(UPLOADER, "uploaded_by"),
        **BOOKKEEPING,
    },
)
