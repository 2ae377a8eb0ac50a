"""Writing the files of a new resource into a checkout, and what the shared tables need of it."""

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from satupeta_server.errors import InputError
from satupeta_server.models.base import BaseModel

TEMPLATES = Path(__file__).resolve().parent / "scaffold"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 40
_OF_ALL = {
    "id", "name", "created_by", "revision", "created_at", "updated_at", "modified_at", "deleted_at",
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A type of field on each floor."""

    sql: str
    model: str
    member: str
    rule: str
    example: str
    imports: str


KINDS: Mapping[str, Kind] = {
    "text": Kind("text", "TextField", "text", "text()", '"Isi"', "text"),
    "number": Kind(
        "double precision", "DoubleField", "number", "number(-1e9, 1e9)", "7.5", "number"
    ),
    "boolean": Kind(
        "boolean NOT NULL DEFAULT false", "BooleanField", "boolean", "switch(default=False)",
        "True", "switch",
    ),
    "day": Kind("date", "DateField", "day", "day()", '"2026-01-31"', "day"),
}  # fmt: skip
"""By the names that ``--fields`` takes."""


@dataclass(frozen=True)
class Edit:
    """A line of a shared file before which something new belongs."""

    path: str
    anchor: str
    text: str
    marker: str = ""
    """Where the file has this already, nothing is added."""


@dataclass(frozen=True)
class Resource:
    """What is to be made; ``fields`` are names with the names of their kinds."""

    plural: str
    singular: str
    fields: Mapping[str, str]

    @property
    def words(self) -> dict[str, str]:
        """What stands in the templates."""
        noun = self.singular.replace("_", " ")
        article = "an" if noun[0] in "aeiou" else "a"
        kinds = {name: KINDS[kind] for name, kind in self.fields.items()}
        nullable = {name: not kind.sql.startswith("boolean") for name, kind in kinds.items()}
        members = {"identifier", "text", *(kind.member for kind in kinds.values())}
        rules = {"name", *(kind.imports for kind in kinds.values())}
        body = ", ".join([f'"name": "Uji {noun}"', *_pairs(kinds, '"{name}": {one.example}')])
        null = {name: ", null=True" if is_null else "" for name, is_null in nullable.items()}
        defaults = {name: "null=True" if one else "default=False" for name, one in nullable.items()}
        return {
            "plural": self.plural,
            "singular": self.singular,
            "noun": noun,
            "article": article,
            "Article": article.capitalize(),
            "Title": self.plural.replace("_", " ").capitalize(),
            "Class": "".join(word.capitalize() for word in self.singular.split("_")),
            "CONSTANT": self.singular.upper(),
            "CONSTANTS": self.plural.upper(),
            "sql_columns": "".join(_pairs(kinds, '    "{name}" {one.sql},\n')),
            "model_columns": "".join(
                f"    {name} = peewee.{one.model}({defaults[name]})\n"
                for name, one in kinds.items()
            ),
            "representation_imports": "".join(f"    {one},\n" for one in sorted(members)),
            "representation_members": "".join(
                f'        "{name}": {one.member}("{name}"{null[name]}),\n'
                for name, one in kinds.items()
            ),
            "filters": "".join(_pairs(kinds, '"{name}", ')),
            "schema_imports": ", ".join(sorted(rules)),
            "schema_fields": "".join(_pairs(kinds, '        "{name}": {one.rule},\n')),
            "body": "{" + body + "}",
        }


def _pairs(kinds: Mapping[str, Kind], text: str) -> list[str]:
    return [text.format(name=name, one=one) for name, one in kinds.items()]


def read_resource(plural: str, singular: str | None, fields: str) -> Resource:
    """Check names and fields; raises InputError that says what is wrong."""
    singular = singular or _singular(plural)
    for name in (plural, singular):
        _check_name(name)
    if plural == singular:
        raise InputError(f"{plural} is no plural that is understood; give --singular.")
    found: dict[str, str] = {}
    for part in filter(None, fields.split(",")):
        name, _, kind = part.strip().partition(":")
        _check_name(name)
        if hasattr(BaseModel, name) and name not in _OF_ALL:
            raise InputError(f"{name!r} means something else in every model.")
        if kind not in KINDS:
            raise InputError(f"{name}: the kind {kind!r} is none of {', '.join(KINDS)}.")
        if name in found or name in _OF_ALL:
            raise InputError(f"{name}: every record has it, or it is named twice.")
        found[name] = kind
    return Resource(plural, singular, found)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise InputError(f"{name!r} is no name: use words of a-z and 0-9 joined by _.")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise InputError(f"{name!r} is a word of Python.")


def _singular(plural: str) -> str:
    if plural.endswith("ies"):
        return f"{plural[:-3]}y"
    return plural.removesuffix("s")


def planned(checkout: Path, resource: Resource) -> dict[Path, str]:
    """Give each file that is to be written, with its whole new text; writes nothing.

    Raises InputError where it is no checkout, something of the name is there, or a shared file
    does not look as it did.
    """
    if not (checkout / "satupeta_server" / "routes.py").is_file():
        raise InputError(f"{checkout} is no checkout of the program.")
    files = new_files(checkout, resource)
    for path in files:
        if path.exists():
            raise InputError(f"{path.relative_to(checkout)} is there already.")
    return files | _edited(checkout, _edits(resource.words))


def new_files(checkout: Path, resource: Resource) -> dict[Path, str]:
    """Give the files that are of this resource alone, with their texts."""
    migrations = sorted(path.stem for path in (checkout / "migrations").glob("[0-9]*.sql"))
    before = [one for one in migrations if not one.endswith(".rollback")][-1]
    number = int(before.partition(".")[0]) + 1
    words = {**resource.words, "before": before}
    return {
        checkout / name: _filled(template, words)
        for name, template in _files(resource.plural, number).items()
    }


def write(files: Mapping[Path, str]) -> None:
    """Write all files, or none: what was there is put back where one cannot be written."""
    before = {path: path.read_text("utf-8") if path.exists() else None for path in files}
    try:
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        for path, old in before.items():
            if old is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(old, encoding="utf-8")
        raise InputError(f"{error.filename} cannot be written: {error.strerror}.") from error


def _filled(template: str, words: Mapping[str, str]) -> str:
    return Template((TEMPLATES / template).read_text("utf-8")).substitute(words)


def _files(plural: str, number: int) -> dict[str, str]:
    floors = ("model", "representation", "schema", "service")
    return {
        f"migrations/{number:04}.{plural.replace('_', '-')}.sql": "migration.sql.txt",
        f"migrations/{number:04}.{plural.replace('_', '-')}.rollback.sql": "rollback.sql.txt",
        **{f"satupeta_server/{floor}s/{plural}.py": f"{floor}.py.txt" for floor in floors},
        f"tests/handlers/test_{plural}.py": "test.py.txt",
    }


def _edited(checkout: Path, edits: Sequence[Edit]) -> dict[Path, str]:
    texts: dict[Path, str] = {}
    for edit in edits:
        path = checkout / edit.path
        original = path.read_text("utf-8")
        text = texts.get(path, original)
        if edit.marker and edit.marker in text:
            continue
        if text.count(edit.anchor) != 1:
            raise InputError(
                f"{edit.path} has changed: {edit.anchor.strip()!r} does not stand there once. Add "
                f"by hand: {edit.text.strip()}"
            )
        if edit.text in original:
            raise InputError(f"{edit.path} has this already: {edit.text.strip()}")
        texts[path] = text.replace(edit.anchor, edit.text + edit.anchor)
    return texts


def _edits(words: Mapping[str, str]) -> list[Edit]:
    """What the shared files need, each before a line that stands there once."""
    filled = (
        Edit(edit.path, edit.anchor, Template(edit.text).substitute(words), edit.marker)
        for edit in _SHARED
    )
    return list(filled)


_SERVER = "satupeta_server/"
_OWNER = "Scope.CREATED"
# Before the last of each group, so that the order of what is there stays.
_SHARED = (
    Edit(
        _SERVER + "security/permissions.py",
        '    SELF = "self"\n',
        '    CREATED = "own creation"\n    """Only records that the caller made."""\n',
        "    CREATED =",
    ),
    Edit(
        _SERVER + "queries/scopes.py",
        "    Scope.SELF: lambda",
        "    Scope.CREATED: lambda caller, source: source.created_by == _uuid(caller.user_id),\n",
        _OWNER,
    ),
    Edit(
        "tests/docs_tables.py",
        '    Scope.SELF: "only oneself",\n',
        '    Scope.CREATED: "only records that the caller made",\n',
        _OWNER,
    ),
    Edit(
        _SERVER + "security/permissions.py",
        '    "me:read": (None,',
        '    "$plural:read": (None, None, Scope.CREATED, Scope.CREATED, _ALL),\n'
        '    "$plural:write": (None, None, Scope.CREATED, Scope.CREATED, _ALL),\n',
    ),
    Edit(
        _SERVER + "services/container.py",
        "from satupeta_server.services.logins import",
        "from satupeta_server.services.$plural import ${Class}Service\n",
    ),
    Edit(
        _SERVER + "services/container.py",
        "    repeats: RepeatService\n",
        "    $plural: ${Class}Service\n",
    ),
    Edit(
        _SERVER + "services/container.py",
        "        repeats=RepeatService(settings),\n",
        "        $plural=${Class}Service(settings),\n",
    ),
    Edit(
        _SERVER + "routes.py",
        "from satupeta_server.representations.map_projection_systems import",
        "from satupeta_server.representations.$plural import $CONSTANT\n",
    ),
    Edit(
        _SERVER + "routes.py",
        "from satupeta_server.schemas.logins import",
        "from satupeta_server.schemas.$plural import ${CONSTANT}_FORM\n",
    ),
    Edit(
        _SERVER + "routes.py",
        '    *_read_only("roles",',
        '    *_resource("$plural", $CONSTANT, "$noun", ${CONSTANT}_FORM),\n',
    ),
    Edit(
        _SERVER + "routes.py",
        '    *_trash("news",',
        '    *_trash("$plural", "$noun", "$plural:write"),\n',
    ),
    Edit(
        _SERVER + "representations/trash.py",
        "from satupeta_server.representations.map_projection_systems import",
        "from satupeta_server.representations.$plural import $CONSTANT, ${CONSTANTS}_LISTING\n",
    ),
    Edit(
        _SERVER + "representations/trash.py",
        '    "news": _deleted(',
        '    "$plural": _deleted($CONSTANT, ${CONSTANTS}_LISTING),\n',
    ),
    Edit(
        _SERVER + "maintenance/purging.py", '    "news",\n    "map_sources",\n', '    "$plural",\n'
    ),
    Edit("satupeta_cli/commands/trash.py", '    "news",\n', '    "$plural",\n'),
    Edit(
        "tests/handlers/test_resources.py", '    "map_sources": {"name"', '    "$plural": $body,\n'
    ),
    Edit("tests/test_permissions.py", '    "search": EVERYBODY,\n', '    "$plural": STAFF,\n'),
    Edit(
        "tests/test_permissions.py",
        '    "users": USER_KEEPERS,\n}\nOTHERS',
        '    "$plural": STAFF,\n',
    ),
    Edit(
        "tests/situations.py",
        '    "/audit/{id}": {"any"',
        '    "/$plural/{id}": {\n'
        '        "an administrator\'s": Situation(\n'
        '            record("$plural"), (401, 403, 404, 404, 200), (401, 403, 404, 404, 200)\n'
        "        )\n"
        "    },\n",
    ),
    Edit(
        "tests/situations.py",
        '    **of_trash("news",',
        "    **of_trash(\n"
        '        "$plural",\n'
        '        {"an administrator\'s": (record("$plural"), (401, 403, 404, 404, 200))},\n'
        "    ),\n",
    ),
    Edit("tests/situations.py", '    "/users": NO_MANAGER,\n', '    "/$plural": STAFF,\n'),
    Edit(
        "docs/api.md",
        "| `GET /statistics` |",
        "| `GET /$plural` | List $plural |\n"
        "| `POST /$plural` | Create $article $noun |\n"
        "| `GET /$plural/{id}` | Get $article $noun |\n"
        "| `PATCH /$plural/{id}` | Change $article $noun |\n"
        "| `DELETE /$plural/{id}` | Delete $article $noun |\n"
        "| `GET /trash/$plural` | List deleted $plural |\n"
        "| `GET /trash/$plural/{id}` | Get a deleted $noun |\n"
        "| `POST /trash/$plural/{id}/restore` | Restore a deleted $noun |\n",
    ),
    Edit(
        "docs/data-model.md",
        "| `kept_counts` |",
        "| `$plural` | ${Title}, each of which belongs to the user who made it. |\n",
    ),
    Edit(
        "docs/data-model.md",
        '    users ||--o{ api_tokens : "user_id"\n',
        '    users ||--o{ $plural : "created_by"\n',
    ),
)
