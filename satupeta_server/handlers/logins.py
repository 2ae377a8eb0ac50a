"""Logging in and out, refreshing tokens, and a new password by a one-time link."""

import dataclasses

from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.bodies import BodyReader, IgnoringReader, JsonReader, MultipartReader
from satupeta_server.handlers.waiting import in_turn
from satupeta_server.schemas.logins import LOGIN_FORM, REFRESH_FORM, RESET_FORM

_FORM_BYTES = 64 * 1024


class LoginHandler(BaseHandler):
    """``/auth/login``: the portal sends a multipart form; JSON is read as well."""

    def make_reader(self) -> BodyReader:
        """Read a form or JSON, by the content type."""
        content_type = self.request.headers.get("Content-Type", "")
        if content_type.partition(";")[0].strip().lower() == "application/json":
            return JsonReader(_FORM_BYTES)
        return MultipartReader(content_type, _FORM_BYTES)

    async def post(self) -> None:
        """Open a session."""
        is_json = isinstance(self.reader, JsonReader)
        body = self.json_body() if is_json else self.arrived(MultipartReader).form()
        values = LOGIN_FORM.for_create(body)
        pair = await self.services.logins.login(
            self.caller,
            values["username"],
            values["password"],
            self.request.headers.get("User-Agent", ""),
        )
        self.write_json(dataclasses.asdict(pair))


class RefreshHandler(BaseHandler):
    """``/auth/refresh``."""

    async def post(self) -> None:
        """Give a new pair of tokens."""
        token = REFRESH_FORM.for_create(self.json_body())["refresh_token"]
        pair = await self.services.sessions.refresh(
            token, self.caller.address, self.caller.request_id
        )
        self.write_json(dataclasses.asdict(pair))


class LogoutHandler(BaseHandler):
    """``/auth/logout``: succeeds whatever it is sent (contract, 3.4)."""

    def make_reader(self) -> BodyReader:
        """Throw the body away, whatever it is, unless it has no end."""
        return IgnoringReader(self.services.settings.max_upload_size)

    async def post(self) -> None:
        """End the session of the token, where there is one."""
        token = self.bearer_token()
        if token is not None:
            await self.services.sessions.logout(self.caller, token)
        self.write_json({"message": "OK"})


class PasswordResetHandler(BaseHandler):
    """``/auth/password-reset``."""

    async def post(self) -> None:
        """Set a new password by the secret of a one-time link."""
        values = RESET_FORM.for_create(self.json_body())
        token, password = values["token"], values["password"]
        await self.services.logins.reset_password(self.caller, token, password)
        self.set_status(204)


class MeHandler(BaseHandler):
    """``/me``: oneself."""

    @in_turn
    async def get(self) -> None:
        """Answer the user who calls."""
        self.write_document(await self.services.me.get(self.caller, self.caller.identity()))

    @in_turn
    async def patch(self) -> None:
        """Change one's own name, picture or password."""
        values = self.options_of_route["change_form"].for_update(self.json_body())
        expected = self.expected_revisions()
        self.write_document(await self.services.me.change(self.caller, values, expected))
