"""Which migrations the program brings, for those who only need their names."""

from pathlib import Path

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
_ROLLBACK = ".rollback.sql"


def migration_names() -> list[str]:
    """The names of all migrations that the program knows, in their order."""
    names = (path.name for path in MIGRATIONS.glob("*.sql"))
    return sorted(name.removesuffix(".sql") for name in names if not name.endswith(_ROLLBACK))
