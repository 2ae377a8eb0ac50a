"""What an upload, or a line of an import, may say of its file."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import LONGEST_NAME, LONGEST_URL, text

UPLOAD_FORM = Form({"description": text()})

FILE_IMPORT_FORM = Form(
    {
        "path": text(required=True, longest=LONGEST_URL, description="Where the content stands."),
        "name": text(longest=LONGEST_NAME),
        "description": text(),
        "checksum": text(longest=64, description="SHA-256 of the content, which is compared."),
    }
)
