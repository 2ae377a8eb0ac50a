"""The parts of the documentation that follow from the code; run it to write them anew."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic.fields import FieldInfo

from satupeta_server.security.permissions import CALLERS, GRANTS, Scope
from satupeta_server.settings import Settings
from tests.docs_guide import guide_page
from tests.docs_reference import api_page, error_page, tables_page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

SCOPES: Mapping[Scope, str] = {
    Scope.ALL: "every record",
    Scope.ACTIVE: "only active records",
    Scope.PUBLIC: "only mapsets that are active, approved and not secret",
    Scope.OWN: "only mapsets of the caller's own organization; of their histories likewise",
    Scope.OWN_OR_PUBLIC: "both of these",
    Scope.NOT_ADMINISTRATORS: "only users who are not administrators, and never that role",
    Scope.OWN_UPLOAD: "only files that the caller uploaded",
    Scope.SELF: "only oneself",
}


def settings_page() -> str:
    """The table of all settings."""
    lines = [
        "# Settings",
        "",
        "Settings come from the environment and from the file `.env` in the folder in which the",
        "command is started (or from `satupeta --env-file FILE`); the environment goes first. A",
        "value that is impossible, missing or weak stops the start with a sentence that names the",
        "variable. Lists are JSON. `.env.example` has them all, to be copied.",
        "",
        "| Variable | Default | Meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = default_of(field)
        shown = f"`{default}`" if default else ""
        lines.append(f"| `{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def environment_example() -> str:
    """The example of a ``.env``, with every setting commented out."""
    lines = ["# Settings of Satu Peta. Copy this to .env and set what differs from the default."]
    for name, field in Settings.model_fields.items():
        described = (field.description or "").replace("`", "")
        lines += ["", f"# {described}", f"# {name.upper()}={default_of(field)}"]
    return "\n".join(lines) + "\n"


def default_of(field: FieldInfo) -> str:
    """The default of a setting as it would stand in ``.env``."""
    if field.default is None:
        return ""
    is_plain = isinstance(field.default, str | Path)
    return str(field.default) if is_plain else json.dumps(field.default)


def permissions_page() -> str:
    """The permission table."""
    lines = [
        "# Permissions",
        "",
        "What the table does not grant is refused: 401 to anonymous callers, 403 to others. A",
        "record outside the scope in which a caller may read is 404 to them.",
        "`satupeta permissions` prints the same table.",
        "",
        "| Permission | " + " | ".join(CALLERS) + " |",
        "|---" * (len(CALLERS) + 1) + "|",
    ]
    for permission, granted in GRANTS.items():
        scopes = " | ".join(str(granted.get(caller, "–")) for caller in CALLERS)
        lines.append(f"| `{permission}` | {scopes} |")
    lines += ["", "| Scope | On which records |", "|---|---|"]
    lines += [f"| {scope} | {SCOPES[scope]} |" for scope in Scope]
    return "\n".join(lines) + "\n"


PAGES: Mapping[Path, Callable[[], str]] = {
    DOCS / "settings.md": settings_page,
    DOCS / "permissions.md": permissions_page,
    DOCS / "api-reference.md": api_page,
    DOCS / "error-codes.md": error_page,
    DOCS / "tables.md": tables_page,
    DOCS / "create-an-endpoint.md": guide_page,
    ROOT / ".env.example": environment_example,
}

if __name__ == "__main__":
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")
