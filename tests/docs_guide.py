"""The guide to a new resource: its examples are what ``satupeta scaffold`` writes."""

from pathlib import Path

from satupeta_cli import scaffolding

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "satupeta scaffold items --fields note:text"
_KINDS = {".py": "python", ".sql": "sql", ".md": "markdown"}
# The floor by the beginning of its path, with what there is to say of it.
_FLOORS = (
    (
        "migrations/",
        "1. The table",
        "Each record has an id, a revision for If-Match, and its times; a deleted one stays, with "
        "`deleted_at`, until the trash is purged. `created_by` makes it somebody's. The rollback "
        "undoes exactly this. A migration must let the old version go on beside it: "
        "[the rule](deployment.md#the-rule-for-migrations). A table that public answers show needs "
        "the trigger of migration 0012 as well.",
    ),
    (
        "satupeta_server/models/",
        "2. The model",
        "The same for Peewee, used for writes and rules. References are read as plain ids, so that "
        "nothing is loaded in passing.",
    ),
    (
        "satupeta_server/representations/",
        "3. The representation",
        "What the JSON looks like, written once: PostgreSQL builds it for lists and details, and "
        "the API's document is made from it. Beside it stands what the list can be filtered and "
        "sorted by.",
    ),
    (
        "satupeta_server/schemas/",
        "4. The form",
        "What a body may hold. Errors name the field, in the reader's language.",
    ),
    (
        "satupeta_server/services/",
        "5. The service",
        "The rules. List, detail, creation, change and deletion with audit record, If-Match and "
        "trash come from `RecordService`; here stands only what differs. A service knows neither "
        "HTTP nor the terminal.",
    ),
    (
        "tests/handlers/",
        "6. The tests",
        "They call the real API on the real database, and are named after what must hold.",
    ),
)
_INTRODUCTION = f"""# How to create an endpoint, model, schema and service

A new resource takes a file on each floor of [the architecture](architecture.md) and a line in the tables that list what there is. This page makes one: **items**, which have a name and a note and belong to the user who made them. One command writes all of it into your checkout:

```text
{COMMAND}
make format
.venv/bin/python -m tests.docs_tables
make test
```

What follows is what it writes, and why. Other names and fields work alike (`satupeta scaffold --help`); a test makes a resource so in a copy of the project and calls it. Nothing is ever overwritten, and either all is written or nothing.
"""
_SHARED = """
## 7. The shared tables

Each of these gets some lines, which the command adds before a line that it knows; where that has changed, it says what to add by hand.

| File | What it lists |
|---|---|
{rows}

Who may read and change items is decided in `security/permissions.py`: no anonymous caller, no viewer; data managers and validators their own; administrators all. Every route names its permission there, or the server does not start. A record that a caller may not see is 404 to them.

## 8. See it

After `make run`, an item is made, read and changed as everything is in [the API by example](api.md). It stands in `/api/docs`, in the [API reference](api-reference.md), in the [tables](tables.md) and the [permissions](permissions.md). What users notice gets a line in the change log.
"""
_LISTED = {
    "satupeta_server/security/permissions.py": "Who may do what",
    "satupeta_server/queries/scopes.py": "What a scope means for a row",
    "satupeta_server/services/container.py": "All services",
    "satupeta_server/routes.py": "All paths",
    "satupeta_server/representations/trash.py": "What can be restored",
    "satupeta_server/maintenance/purging.py": "What is removed for good, and in which order",
    "satupeta_cli/commands/trash.py": "The same for the command line",
    "tests/docs_tables.py": "What a scope is called in the docs",
    "tests/handlers/test_resources.py": "What every resource must be able to do",
    "tests/test_permissions.py": "Who may do what, in its own right",
    "tests/situations.py": "Whose record in which state each caller may see",
    "docs/api.md": "All endpoints",
    "docs/data-model.md": "All tables",
}


def guide_page() -> str:
    """The guide, with the files of its example."""
    resource = scaffolding.read_resource("items", None, "note:text")
    files = {
        path.relative_to(ROOT).as_posix(): text
        for path, text in scaffolding.new_files(ROOT, resource).items()
    }
    parts = [_INTRODUCTION]
    for beginning, title, reason in _FLOORS:
        parts.append(f"\n## {title}\n\n{reason}\n")
        for name, text in files.items():
            if name.startswith(beginning):
                kind = _KINDS[Path(name).suffix]
                parts.append(f"\n`{name}`:\n\n```{kind}\n{text.strip()}\n```\n")
    rows = "\n".join(f"| `{name}` | {what} |" for name, what in _LISTED.items())
    parts.append(_SHARED.format(rows=rows))
    return "".join(parts)
