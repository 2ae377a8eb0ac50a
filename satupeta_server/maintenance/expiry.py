"""Removing what has expired and serves nobody any more: sessions, one-time links, kept answers."""

from satupeta_server.maintenance.connections import transaction
from satupeta_server.settings import Settings

KEPT_DAYS = 30
"""Sessions and links stay so long after their end, for whoever looks into what happened."""
_EXPIRED = {
    "sessions": "expires_at < now() - make_interval(days => %(days)s)",
    "password_resets": "expires_at < now() - make_interval(days => %(days)s)",
    "login_failures": "last_failed_at < now() - make_interval(days => %(days)s)",
    "outbox": "created_at < now() - make_interval(days => %(days)s) AND status <> 'waiting'",
    "idempotency_keys": "expires_at < now()",
}


def remove_expired(settings: Settings) -> dict[str, int]:
    """Remove it, table by table; gives how many rows of each.

    Raises psycopg2.OperationalError or UnavailableError when the server is or goes away.
    """
    removed = {}
    for table, condition in _EXPIRED.items():
        with transaction(settings) as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE {condition}", {"days": KEPT_DAYS})  # noqa: S608
            removed[table] = int(cursor.rowcount)
    return removed
