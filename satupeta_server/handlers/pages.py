"""The few pages that people see, and the API's document."""

import html
import mimetypes
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from satupeta_server.errors import AppError, NotFoundError
from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.waiting import in_turn

PAGES = Path(__file__).resolve().parent.parent / "pages"
SWAGGER = PAGES / "swagger"

_PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class PageHandler(BaseHandler):
    """Writes HTML that runs nothing but what this server brings."""

    def write_page(
        self, name: str, *, parts: Mapping[str, str] | None = None, **values: object
    ) -> None:
        """Write a page of the folder ``pages``, with values put in as text, and parts as HTML."""
        escaped = {key: html.escape(str(value)) for key, value in values.items()}
        escaped |= parts or {}
        for header, value in _PAGE_HEADERS.items():
            self.set_header(header, value)
        self.write(_template(name).substitute(escaped))


class HomeHandler(PageHandler):
    """``/`` and ``/api/``: what this is, whether it is healthy, how many mapsets it holds."""

    @in_turn
    async def get(self) -> None:
        """Answer the page; it is there even when the database is not."""
        services = self.services
        is_healthy = all((await services.health.check()).values())
        try:
            mapsets = str(await services.health.public_mapsets())
        except AppError:
            mapsets = "–"
        self.write_page(
            "home.html",
            project_name=services.settings.project_name,
            state="ok" if is_healthy else "down",
            health="Sehat" if is_healthy else "Sedang terganggu",
            mapsets=mapsets,
        )


class DocsHandler(PageHandler):
    """``/docs``: the document as a page, with the Swagger UI that comes along."""

    def get(self) -> None:
        """Answer the page."""
        self.write_page("docs.html", project_name=self.services.settings.project_name)


class PasswordResetPageHandler(PageHandler):
    """``/auth/password-reset/page``: where a one-time link leads.

    The secret stands in the fragment of the address, which no browser sends to any server.
    """

    def get(self) -> None:
        """Answer the page."""
        self.write_page("password-reset.html", project_name=self.services.settings.project_name)


class AssetHandler(BaseHandler):
    """``/docs/{file}``: the scripts and styles of the pages."""

    def get(self, name: str) -> None:
        """Answer one of the known files; raises NotFoundError."""
        content = _assets().get(name)
        if content is None:
            raise NotFoundError("path_not_found")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.write(content)


class OpenApiHandler(BaseHandler):
    """``/openapi.json``."""

    def get(self) -> None:
        """Answer the document."""
        document: dict[str, Any] = self.settings["document"]
        self.write_json(document)


@cache
def _template(name: str) -> Template:
    return Template((PAGES / name).read_text(encoding="utf-8"))


@cache
def _assets() -> dict[str, bytes]:
    files = [*PAGES.glob("*.js"), *PAGES.glob("*.css"), *SWAGGER.glob("*")]
    return {path.name: path.read_bytes() for path in files if path.suffix in (".js", ".css")}
