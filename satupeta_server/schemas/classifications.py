"""The body of a classification."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import name, switch, text

CLASSIFICATION_FORM = Form(
    {
        "name": name(example="Publik"),
        "description": text(),
        "is_open": switch(default=False),
        "is_limited": switch(default=False),
        "is_secret": switch(default=False, description="Secret mapsets are never public."),
        "is_active": switch(default=True),
    }
)
