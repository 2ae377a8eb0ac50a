"""The audit records of commands that work on the database as a whole."""

from typing import Any

from satupeta_server.models.audit import recording
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.security.callers import Caller

_COLUMNS = ("command", "run_by", "details", "changes", "session_id", "token_id")
_HAS_COLUMNS = (
    "SELECT count(*) = %s FROM information_schema.columns WHERE table_schema = 'public' "
    "AND table_name = 'audit_log' AND column_name = ANY(%s)"
)


def record(cursor: Any, caller: Caller, action: str, subject: str, **details: Any) -> bool:
    """Record an action in the cursor's transaction; tells whether the tables could take it.

    A database that is not migrated that far, or not seeded yet, has no place for it.
    """
    cursor.execute(_HAS_COLUMNS, (len(_COLUMNS), list(_COLUMNS)))
    if not cursor.fetchone()[0]:
        return False
    cursor.execute("SELECT EXISTS (SELECT FROM users WHERE id = %s)", (str(SYSTEM_USER_ID),))
    if not cursor.fetchone()[0]:
        return False
    cursor.execute(*recording(caller, action, subject, None, details).sql())
    return True
