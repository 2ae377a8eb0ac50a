"""Making a copy of the system fit to be tested with: no person can be told from it any more."""

import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg2.extras import execute_values

from satupeta_server.errors import InputError
from satupeta_server.maintenance import catalog
from satupeta_server.maintenance.auditing import record
from satupeta_server.maintenance.connections import transaction
from satupeta_server.models.credentials import encryption_context
from satupeta_server.security.callers import Caller
from satupeta_server.security.encryption import Encryptor
from satupeta_server.security.passwords import broken_password_rule, hash_password
from satupeta_server.settings import Settings

_BATCH = 1000


@dataclass(frozen=True)
class Step:
    """A statement, and what it works on; a preparing one changes what the next one changes."""

    subject: str
    statement: str
    is_preparing: bool = False


# Two living users never share a name, not even while the rows are changed one by one.
_APART = """
UPDATE users SET username = id::text, email = id::text || '@example.org',
    employee_id = CASE WHEN employee_id IS NOT NULL THEN id::text END
WHERE NOT is_system
"""
_USERS = """
UPDATE users SET
    username = numbered.role || '-' || numbered.of_role,
    name = initcap(replace(numbered.role, '_', ' ')) || ' ' || numbered.of_role,
    email = numbered.role || '-' || numbered.of_role || '@example.org',
    employee_id = CASE WHEN employee_id IS NOT NULL THEN lpad(numbered.of_all::text, 18, '0') END,
    position = CASE WHEN position IS NOT NULL THEN 'Jabatan' END,
    profile_picture = NULL,
    password_hash = CASE WHEN is_active AND deleted_at IS NULL THEN %(password_hash)s END,
    password_changed_at = NULL
FROM (
    SELECT users.id, roles.name AS role, row_number() OVER (ORDER BY users.id) AS of_all,
        row_number() OVER (PARTITION BY roles.name ORDER BY users.id) AS of_role
    FROM users JOIN roles ON roles.id = users.role_id WHERE NOT users.is_system
) AS numbered
WHERE users.id = numbered.id
"""
_FILES = r"""
UPDATE files SET description = NULL, name = 'file-' || numbered.number ||
    coalesce(lower(substring(files.name FROM '\.[A-Za-z0-9]{1,10}$')), '')
FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM files) AS numbered
WHERE files.id = numbered.id
"""
_ORGANIZATIONS = """
UPDATE organizations SET address = NULL, phone_number = NULL,
    email = 'organization-' || numbered.number || '@example.org'
FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM organizations) AS numbered
WHERE organizations.id = numbered.id
"""
_STEPS = (
    Step("users", _APART, is_preparing=True),
    Step("users", _USERS),
    Step("sessions", "DELETE FROM sessions"),
    Step("idempotency_keys", "DELETE FROM idempotency_keys"),
    # Whatever jobs were given, and nothing of it is to be done from a copy.
    Step("procrastinate_periodic_defers", "DELETE FROM procrastinate_periodic_defers"),
    Step("procrastinate_events", "DELETE FROM procrastinate_events"),
    Step("procrastinate_jobs", "DELETE FROM procrastinate_jobs"),
    Step("outbox", "DELETE FROM outbox"),
    Step("api_tokens", "DELETE FROM api_tokens"),
    Step("password_resets", "DELETE FROM password_resets"),
    Step("login_failures", "DELETE FROM login_failures"),
    Step(
        "audit_log",
        "UPDATE audit_log SET address = NULL, request_id = NULL, run_by = NULL, changes = NULL, "
        "details = NULL",
    ),
    Step("imports", "UPDATE imports SET files = '{}'"),
    Step("import_batches", "UPDATE import_batches SET errors = NULL WHERE errors IS NOT NULL"),
    Step("files", _FILES),
    Step("mapsets", "UPDATE mapsets SET notes = NULL WHERE notes IS NOT NULL"),
    Step("mapset_histories", "UPDATE mapset_histories SET notes = NULL WHERE notes IS NOT NULL"),
    Step(
        "mapset_revisions",
        """UPDATE mapset_revisions SET state = state || '{"notes": null}' """
        "WHERE state ->> 'notes' IS NOT NULL",
    ),
    Step("credentials", "UPDATE credentials SET description = NULL", is_preparing=True),
)


class _DryRunError(Exception):
    """Carries a dry run out of its transaction."""


def check_allowed(settings: Settings) -> None:
    """Raise InputError in production, where nothing may ever be made unrecognisable."""
    if settings.environment == "production":
        raise InputError(
            "This is a production system (ENVIRONMENT=production), which is never anonymized; "
            "restore a backup elsewhere, and anonymize that copy."
        )


def anonymize(
    settings: Settings,
    caller: Caller,
    *,
    password: str | None = None,
    with_organizations: bool = False,
    is_dry_run: bool = False,
) -> dict[str, int]:
    """Replace what tells of persons, in one transaction; gives the number of rows by table.

    The same rows give the same replacements. With a password all active users get it, without
    one none can log in. Raises InputError in production and for a password that is too weak.
    """
    check_allowed(settings)
    steps = [*_STEPS]
    if with_organizations:
        steps.append(Step("organizations", _ORGANIZATIONS))
    values = {"password_hash": _hashed(settings, password)}
    counts: dict[str, int] = {}
    with contextlib.suppress(_DryRunError), transaction(settings) as cursor:
        _replace(cursor, steps, values, counts)
        counts["credentials"] = _empty_credentials(cursor, settings)
        record(cursor, caller, "anonymize", "database", **counts)
        if is_dry_run:
            raise _DryRunError
    return counts


def _hashed(settings: Settings, password: str | None) -> str | None:
    if password is None:
        return None
    broken = broken_password_rule(password)
    if broken is not None:
        raise InputError(broken.text("en"))
    return hash_password(password, settings.bcrypt_rounds)


def _replace(
    cursor: Any, steps: list[Step], values: Mapping[str, object], counts: dict[str, int]
) -> None:
    # An audit log that refuses changes does not keep what it says of persons for that.
    rules = catalog.triggers(cursor)
    for rule in rules:
        cursor.execute(rule.away)
    for step in steps:
        cursor.execute(step.statement, values if "%(" in step.statement else None)
        if not step.is_preparing:
            counts[step.subject] = cursor.rowcount
    for rule in rules:
        cursor.execute(rule.back)
    catalog.notify(cursor)


def _empty_credentials(cursor: Any, settings: Settings) -> int:
    """Put encrypted nothing in the place of what the credentials hold; gives their number."""
    encryptor = Encryptor(settings.encryption_key_ring())
    cursor.execute("SELECT id::text FROM credentials ORDER BY id")
    ids = [row_id for (row_id,) in cursor.fetchall()]
    for start in range(0, len(ids), _BATCH):
        rows = [
            (row_id, *encryptor.encrypt({}, encryption_context(uuid.UUID(row_id))))
            for row_id in ids[start : start + _BATCH]
        ]
        execute_values(
            cursor,
            "UPDATE credentials SET encryption_key_id = sealed.key_id, "
            "sensitive_data = sealed.data FROM (VALUES %s) AS sealed (id, key_id, data) "
            "WHERE credentials.id = sealed.id::uuid",
            rows,
            template="(%s, %s, %s::bytea)",
            page_size=_BATCH,
        )
    return len(ids)
