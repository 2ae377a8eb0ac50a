"""The body of an article."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import LONGEST_HTML, identifier, name, switch, text

NEWS_FORM = Form(
    {
        "name": name(example="Peta dasar baru telah terbit"),
        "description": text(longest=LONGEST_HTML, description="HTML, which is sanitised."),
        "thumbnail": identifier(description="Id of an uploaded file."),
        "is_active": switch(default=True),
    }
)
