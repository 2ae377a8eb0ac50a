"""The bodies of logging in, of refreshing tokens and of a forgotten password."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import password, text

LOGIN_FORM = Form(
    {
        "username": text(required=True, longest=150, example="budi"),
        "password": password(required=True),
    }
)
REFRESH_FORM = Form({"refresh_token": text(required=True, longest=4000)})
RESET_FORM = Form(
    {
        "token": text(required=True, longest=200, is_secret=True),
        "password": password(required=True),
    }
)
