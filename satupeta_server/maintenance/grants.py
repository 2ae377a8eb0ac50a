"""What the role of the API may do in the database, where another one owns the tables."""

from typing import Any

from psycopg2 import sql

from satupeta_server.maintenance import catalog
from satupeta_server.maintenance.connections import transaction
from satupeta_server.settings import Settings

_LOCK_KEY = 0x5A705E2A
_ROWS = "SELECT, INSERT, UPDATE, DELETE"
_GRANTS = (
    "GRANT USAGE ON SCHEMA public TO {role}",
    f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {_ROWS} ON TABLES TO {{role}}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO {role}",
)
# What others own in the schema, an extension's functions say, is theirs to grant.
_OWNED = {
    f"GRANT {_ROWS} ON TABLE": "SELECT oid::regclass::text FROM pg_class "
    "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
    "AND pg_has_role(relowner, 'USAGE')",
    "GRANT USAGE, SELECT ON SEQUENCE": "SELECT oid::regclass::text FROM pg_class "
    "WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' "
    "AND pg_has_role(relowner, 'USAGE')",
    "GRANT EXECUTE ON FUNCTION": "SELECT oid::regprocedure::text FROM pg_proc "
    "WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' "
    "AND pg_has_role(proowner, 'USAGE')",
}
_ONLY_ADDED_TO = ("audit_log",)
_ONLY_READ = ("_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock")


def grant_to_api(settings: Settings) -> bool:
    """Let the API's role use all tables, and of the audit log only read and add.

    Settings are those of the owner. Tells whether there are two roles; with one alone nothing is
    done. Raises psycopg2.Error where PostgreSQL refuses.
    """
    role = settings.api_role
    if role is None:
        return False
    with transaction(settings) as cursor:
        # Two that grant the same at once would stumble over each other.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        name = sql.Identifier(role)
        for statement in _GRANTS:
            cursor.execute(sql.SQL(statement).format(role=name))
        for grant, owned in _OWNED.items():
            cursor.execute(owned)
            for (what,) in cursor.fetchall():
                # PostgreSQL itself has quoted the name.
                cursor.execute(sql.SQL(f"{grant} {what} TO {{}}").format(name))
        for table in (*_ONLY_ADDED_TO, *_ONLY_READ):
            _narrow(cursor, table, name)
    return True


def _narrow(cursor: Any, table: str, role: sql.Identifier) -> None:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"public.{table}",))
    # A restored backup may be older than a table.
    if not cursor.fetchone()[0]:
        return
    taken = "UPDATE, DELETE" if table in _ONLY_ADDED_TO else "INSERT, UPDATE, DELETE"
    statement = sql.SQL(f"REVOKE {taken}, TRUNCATE, REFERENCES, TRIGGER ON {{}} FROM {{}}")
    cursor.execute(statement.format(catalog.qualified(table), role))
