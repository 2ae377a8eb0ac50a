"""A second instance of this system, moved whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from satupeta_server import database, migrating
from satupeta_server.embedded import Addresses
from satupeta_server.security.encryption import Encryptor
from satupeta_server.seed.reference import seed_reference
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from satupeta_server.transfer.portal.addresses import FileAddresses, base_addresses, file_id
from tests.cli.program import SOME_FAILED, Program
from tests.conftest import address_of, make_settings, own_database, passable_folder
from tests.portals import second_instance
from tests.world import PASSWORD, World

TABLES = {
    "organizations": "",
    "users": "password_hash password_changed_at",
    "categories": "created_at updated_at",
    "classifications": "created_at updated_at",
    "map_projection_systems": "created_at updated_at",
    "regionals": "created_at updated_at",
    "map_sources": "",
    "mapsets": "",
    "news": "description",
    "mapset_sources": "",
    "mapset_histories": "",
    "credentials": "sensitive_data last_used_by last_used_at",
    "files": "object_name name description uploaded_by created_at updated_at",
}
"""Each table, with the columns that do not move; reference data was here before."""


@pytest.fixture(scope="module")
def other(addresses: Addresses, template: World) -> Iterator[tuple[Settings, str]]:
    with passable_folder() as folder, second_instance(addresses, folder) as found:
        yield found


@pytest.fixture(scope="module")
def here(addresses: Addresses, template: World) -> Iterator[Program]:
    """A new system with the reference data alone."""
    with passable_folder() as folder, own_database(addresses, "moved") as name:
        migrating.upgrade(address_of(addresses, name))
        settings = make_settings(
            addresses, name, data_dir=folder, minio_bucket_name="satupeta-moved"
        )
        ObjectStore(settings).ensure_bucket()
        database.connect(settings)
        with database.synchronous():
            seed_reference()
        database.database.close()
        yield Program(settings, folder)


def content(program: Program, table: str, without: str) -> dict[str, Any]:
    left_out = f" - '{{{','.join(['revision', 'search_text', *without.split()])}}}'::text[]"
    key = "mapset_id || ' ' || map_source_id" if table == "mapset_sources" else "id::text"
    where = "" if table.startswith("mapset_") else " WHERE deleted_at IS NULL"
    if table == "users":
        where += " AND NOT is_system"
    rows = program.rows(f"SELECT {key}, to_jsonb(t){left_out} FROM {table} t{where}")
    return dict(rows)


def move(program: Program, base: str, *options: str, code: int | None = None) -> dict[str, Any]:
    arguments = ("import", "portal", base, "--username", "administrator", *options, "--json")
    ended = program.inside(*arguments, code=code, SATUPETA_PASSWORD=PASSWORD)
    assert PASSWORD not in ended.stdout + ended.stderr
    return {
        row["resource"]: {name: row[name] for name in row if row[name] and name != "resource"}
        for row in json.loads(ended.stdout)
    }


def test_everything_of_a_second_instance_comes_and_comes_once(
    other: tuple[Settings, str], here: Program
) -> None:
    settings, base = other
    there = Program(settings, here.folder)
    tried = move(here, base, "--dry-run", "--known-as", "lama.example.org", code=0)
    assert here.rows("SELECT count(*) FROM mapsets") == [(0,)]
    assert here.audit() == []
    options = ("--update", "--known-as", "lama.example.org", "--report", "report.jsonl")
    first = move(here, base, *options, code=0)
    assert first["mapsets"] == {"created": 40} == tried["mapsets"]
    assert first["histories"] == {"created": len(content(there, "mapset_histories", ""))}
    for table, without in TABLES.items():
        ours, theirs = content(here, table, without), content(there, table, without)
        if table == "files":
            assert set(ours) <= set(theirs)
            assert len(ours) == 20
            theirs = {key: theirs[key] for key in ours}
        assert ours == theirs, table
    recorded = here.audit()
    assert recorded.count(("import_portal", "portal", "satupeta import portal")) == 1
    assert {action for action, *_ in recorded} == {"import_portal", "create", "update"}
    assert secrets_of(here) == secrets_of(there)
    assert pictures_of(here) == {
        key: found for key, found in pictures_of(there).items() if key in pictures_of(here)
    }
    (html,) = here.rows("SELECT description FROM news WHERE name = 'Bergambar'")[0]
    assert html.startswith(f'<p><img src="{here.settings.base_url}/api/files/')
    lines = (here.folder / "report.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == sum(sum(counts.values()) for counts in first.values())
    again = move(here, base, *options, code=0)
    assert {name for counts in again.values() for name in counts} == {"unchanged"}
    assert here.audit() == recorded
    differing = here.rows("UPDATE organizations SET address = 'Baru' RETURNING id")
    kept = move(here, base, "--only", "organizations", code=0)
    assert kept["organizations"] == {"skipped": len(differing)}
    taken = move(here, base, "--only", "organizations", "--update", code=0)
    assert taken["organizations"] == {"updated": len(differing)}


def secrets_of(program: Program) -> dict[str, dict[str, str]]:
    encryptor = Encryptor(program.settings.encryption_key_ring())
    rows = program.rows("SELECT id, encryption_key_id, sensitive_data FROM credentials")
    return {
        str(key): encryptor.decrypt(ring_key, bytes(sealed), f"credentials:{key}")
        for key, ring_key, sealed in rows
    }


def pictures_of(program: Program) -> dict[str, bytes]:
    store = ObjectStore(program.settings)
    rows = program.rows("SELECT id, object_name FROM files")
    found = {str(key): b"".join(store.open(name)) for key, name in rows}
    store.close()
    return found


def test_a_lesser_role_moves_what_it_may_read(
    other: tuple[Settings, str], settings: Settings, tmp_path: Path
) -> None:
    _, base = other
    program = Program(settings, tmp_path)
    arguments = ("import", "portal", base, "--username", "viewer", "--json", "--dry-run")
    ended = program.inside(*arguments, code=SOME_FAILED, SATUPETA_PASSWORD=PASSWORD)
    rows = {row["resource"]: row for row in json.loads(ended.stdout)}
    assert "viewer is data_viewer there" in ended.stderr
    assert rows["credentials"]["failed"] == rows["users"]["failed"] == 1
    assert rows["mapsets"]["created"] > 0


@pytest.mark.parametrize(
    ("given", "bases"),
    [
        ("https://a.example/api/", ("https://a.example/api",)),
        ("a.example", ("https://a.example", "https://a.example/api")),
        ("HTTP://a.example:81/x", ("http://a.example:81/x", "http://a.example:81/x/api")),
    ],
)
def test_the_api_is_looked_for_where_it_may_be(given: str, bases: tuple[str, ...]) -> None:
    assert base_addresses(given) == bases


def test_files_in_texts_are_found_and_pointed_here() -> None:
    key = "01968b53-a910-7a67-bd10-975b8923b92e"
    addresses = FileAddresses({"lama.example.org"}, "https://baru.example.org/api")
    html = (
        f'<img src="https://lama.example.org/api/files/{key}/download">'
        f'<img src="/api/files/{key}/download">'
        f'<img src="https://lain.example.org/files/{key}/download">'
    )
    ours = f'"https://baru.example.org/api/files/{key}/download"'
    assert [str(one) for one in addresses.ids_in(html)] == [key, key]
    rewritten = addresses.rewritten(html, lambda _key: True)
    assert rewritten.count(ours) == 2
    assert "https://lain.example.org" in rewritten
    assert addresses.rewritten(html, lambda _key: False) == html
    assert str(file_id(f"https://x.example/api/files/{key}/download")) == key
    long = "/" * 200_000
    assert list(addresses.ids_in(long)) == []
