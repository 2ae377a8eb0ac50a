"""What an upload may say of its file."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import text

UPLOAD_FORM = Form({"description": text()})
