"""The parts of the documentation that follow from the code; run it to write them anew."""

from pathlib import Path

from satupeta_server.security.permissions import CALLERS, GRANTS
from satupeta_server.settings import Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"


def settings_page() -> str:
    """The table of all settings."""
    lines = [
        "# Settings",
        "",
        "Settings come from the environment and from `.env`; the environment goes first. A value",
        "that is impossible, missing or weak stops the start and names the variable.",
        "",
        "| Variable | Default | Meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def permissions_page() -> str:
    """The permission table."""
    lines = [
        "# Permissions",
        "",
        "What the table does not grant is refused: 401 to anonymous callers, 403 to others.",
        "",
        "| Permission | " + " | ".join(CALLERS) + " |",
        "|---" * (len(CALLERS) + 1) + "|",
    ]
    for permission, granted in GRANTS.items():
        scopes = " | ".join(str(granted.get(caller, "–")) for caller in CALLERS)
        lines.append(f"| `{permission}` | {scopes} |")
    return "\n".join(lines) + "\n"


PAGES = {"settings.md": settings_page, "permissions.md": permissions_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
