"""Removing what is older in the audit log than it is to be kept."""

from satupeta_server.maintenance.auditing import record
from satupeta_server.maintenance.connections import transaction
from satupeta_server.security.callers import Caller
from satupeta_server.settings import Settings

ALLOW_UPKEEP = "SET LOCAL satupeta.audit_upkeep = 'on'"
"""Lets the owner of the audit log remove and change rows until the transaction ends."""
_OLD = "occurred_at < now() - make_interval(days => %s)"


def count_old(settings: Settings, days: int) -> int:
    """Count the records that are older than so many days."""
    with transaction(settings, is_snapshot=True) as cursor:
        cursor.execute(f"SELECT count(*) FROM audit_log WHERE {_OLD}", (days,))  # noqa: S608
        return int(cursor.fetchone()[0])


def prune(settings: Settings, caller: Caller, days: int) -> int:
    """Remove the records that are older than so many days, and record that; gives how many.

    Settings are those of the owner. Raises psycopg2.errors.InsufficientPrivilege for another.
    """
    with transaction(settings) as cursor:
        cursor.execute(ALLOW_UPKEEP)
        cursor.execute(f"DELETE FROM audit_log WHERE {_OLD}", (days,))  # noqa: S608
        count = int(cursor.rowcount)
        if count:
            record(cursor, caller, "prune", "audit_log", days=days, count=count)
        return count
