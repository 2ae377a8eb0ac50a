"""The body of an organization."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import email, identifier, name, switch, text, url

ORGANIZATION_FORM = Form(
    {
        "name": name(example="Dinas Pekerjaan Umum"),
        "description": text(),
        "thumbnail": identifier(description="Id of an uploaded file."),
        "address": text(),
        "phone_number": text(longest=50),
        "email": email(example="dpu@example.org"),
        "website": url(example="https://dpu.example.org"),
        "is_active": switch(default=True),
    }
)
