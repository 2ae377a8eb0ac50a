"""``satupeta db``: on databases of its own."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest

from satupeta_server.migration_files import migration_names
from tests.cli.conftest import UNAVAILABLE, USAGE, Satupeta
from tests.world import EAST_JAVA

COUNTS = (
    "SELECT (SELECT count(*) FROM roles), (SELECT count(*) FROM classifications), "
    "(SELECT count(*) FROM map_projection_systems), (SELECT count(*) FROM categories), "
    "(SELECT count(*) FROM regionals), (SELECT count(*) FROM users)"
)
APPLIED = "SELECT count(*) FROM _yoyo_migration"
TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'mapsets'"


def first_row(address: str, statement: str) -> tuple[Any, ...]:
    """The first row of a statement, which is committed."""
    connection = psycopg2.connect(address)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row: tuple[Any, ...] = cursor.fetchone() or ()
    connection.close()
    return row


def test_upgrade_and_seed_make_a_database_and_then_change_nothing(
    satupeta: Satupeta, empty: str
) -> None:
    # As deployments of the older backend have it in their file.
    address = empty.replace("postgresql://", "postgresql+asyncpg://")
    (satupeta.folder / ".env").write_text(f"DATABASE_URL={address}\n", encoding="utf-8")
    assert "satupeta db upgrade" in satupeta.refusal("db", "seed")
    assert "satupeta db upgrade" in satupeta.refusal("user", "reset-link", "budi")
    assert satupeta("db", "upgrade").stdout == f"{len(migration_names())} migrations applied\n"
    assert satupeta("db", "upgrade").stdout == "0 migrations applied\n"
    assert satupeta("db", "seed").stdout.endswith(" users added\n")
    counts = first_row(empty, COUNTS)
    assert counts[:2] == (4, 3)
    assert all(counts)
    code = f"SELECT code FROM regionals WHERE id = '{EAST_JAVA}'"
    assert first_row(empty, code) == ("35",)
    described = "roles SET description = 'ours' WHERE name = 'data_viewer' RETURNING description"
    first_row(empty, f"UPDATE {described}")
    with ThreadPoolExecutor(2) as threads:
        again = list(threads.map(lambda _: satupeta("db", "seed"), range(2)))
    assert [ended.returncode for ended in again] == [0, 0]
    assert first_row(empty, COUNTS) == counts
    kept = "SELECT description FROM roles WHERE name = 'data_viewer'"
    assert first_row(empty, kept) == ("ours",)
    assert {one.name for one in satupeta.folder.iterdir()} == {".env", "var"}


def test_downgrade_asks_and_without_a_yes_nothing_is_lost(configured: Satupeta) -> None:
    address = configured.environment["DATABASE_URL"]
    before = first_row(address, COUNTS), first_row(address, APPLIED)
    ended = configured("db", "downgrade", typed="n\n")
    assert ended.returncode == USAGE
    assert "drops tables" in ended.stderr
    assert "To be rolled back: 0001.roles-and-users" in ended.stderr
    tried = configured("db", "downgrade", "--dry-run", "--to", "0004.map-sources")
    count = len(migration_names()) - 4
    assert tried.stdout == f"{count} migrations would be rolled back\n"
    assert (first_row(address, COUNTS), first_row(address, APPLIED)) == before


def test_downgrade_goes_back_to_a_migration_or_to_nothing(configured: Satupeta) -> None:
    address, names = configured.environment["DATABASE_URL"], migration_names()
    for name in ("0", "mapsets", ""):
        ended = configured("db", "downgrade", "--yes", "--to", name)
        assert ended.returncode == USAGE
        assert "is no migration" in ended.stderr
    assert first_row(address, APPLIED) == (len(names),)
    ended = configured("db", "downgrade", "--to", names[-2], "--yes")
    assert ended.stdout == "1 migrations rolled back\n"
    ended = configured("db", "downgrade", "--yes")
    assert ended.stdout == f"{len(names) - 1} migrations rolled back\n"
    assert first_row(address, TABLES) == (0,)


COMMANDS = [
    ["db", "upgrade"],
    ["db", "downgrade", "--yes"],
    ["db", "seed"],
    ["db", "status"],
    ["db", "check"],
    ["db", "break-lock"],
    ["db", "anonymize", "--yes"],
    ["db", "backup", "--no-objects", "x.tar"],
    ["user", "reset-link", "budi"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_that_is_not_there_is_one_sentence(
    satupeta: Satupeta, command: list[str]
) -> None:
    address = "postgresql://budi:geheim@127.0.0.1:9/nothing"
    said = satupeta.refusal(*command, code=UNAVAILABLE, DATABASE_URL=address)
    assert "DATABASE_URL cannot be reached" in said or "does not answer" in said
    assert "geheim" not in said


def test_a_database_that_is_not_set_is_one_sentence(satupeta: Satupeta) -> None:
    assert "DATABASE_URL is not set" in satupeta.refusal("user", "reset-link", "budi")


def test_a_wrong_password_is_one_sentence_without_it(satupeta: Satupeta, empty: str) -> None:
    user, _, place = empty.removeprefix("postgresql://").partition("@")
    address = f"postgresql://{user.partition(':')[0]}:geheim@{place}"
    said = satupeta.refusal("db", "upgrade", DATABASE_URL=address)
    assert "DATABASE_URL" in said
    assert "geheim" not in said
