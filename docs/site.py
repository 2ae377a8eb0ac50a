"""Brings the pages that stand outside docs/ into its site, and lets links lead to them."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    name: f"project/{name.rpartition('/')[2]}"
    for name in (
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "benchmarks/RESULTS.md",
    )
}
_LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages, with links that are right from where they stand now."""
    for name, place in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=_moved(text, ROOT / name, place)))
    return files


def on_page_markdown(markdown: str, page: Any, **_others: Any) -> str:
    """Let links of docs/ to those pages stay inside the site."""
    if page.file.src_uri in PAGES.values():
        return markdown
    return _moved(markdown, ROOT / "docs" / page.file.src_uri, page.file.src_uri)


def _moved(text: str, written: Path, place: str) -> str:
    """Let the links of a text, written for a place of the repository, be right in the site."""
    up = "../" * place.count("/")

    def link(match: "re.Match[str]") -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        path = (written.parent / target).resolve().relative_to(ROOT).as_posix()
        if path in PAGES:
            return f"[{label}]({up}{PAGES[path]}{anchor})"
        if path.startswith("docs/"):
            return f"[{label}]({up}{path.removeprefix('docs/')}{anchor})"
        # A file of the repository that is no page.
        return f"{label} (`{path}`)"

    return _LINK.sub(link, text)
