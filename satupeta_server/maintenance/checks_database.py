"""What the doctor looks at in the database."""

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

import psycopg2

from satupeta_server.jobs import LIVING_WORKERS, OLDEST_WAITING
from satupeta_server.maintenance.checks_settings import ACCOUNTS_FILE
from satupeta_server.maintenance.doctor import Finding, Patient, State, worst
from satupeta_server.migrating import OLDEST_POSTGRESQL
from satupeta_server.migration_files import MIGRATIONS, migration_names
from satupeta_server.security.permissions import ADMINISTRATOR, MANAGER
from satupeta_server.settings import Settings

EXTENSIONS = ("btree_gin", "fuzzystrmatch", "pg_trgm", "unaccent")
_CONNECT_SECONDS = 3
_STATEMENT_MILLISECONDS = 5000
_MOST_NAMED = 5
_LONG_SECONDS = 600

_CREATE_INDEX = r"CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?(?:IF NOT EXISTS )?(\w+)\s+ON (\w+)"
_INDEX_STATEMENT = re.compile(
    rf"{_CREATE_INDEX}|DROP INDEX (?:CONCURRENTLY )?(?:IF EXISTS )?(\w+)"
    r"|ALTER INDEX (?:IF EXISTS )?(\w+) RENAME TO (\w+)|DROP TABLE (?:IF EXISTS )?(\w+)",
    re.IGNORECASE,
)


@contextlib.contextmanager
def connection(settings: Settings) -> Iterator[Any]:
    """Connect for one check, with little patience; raises psycopg2.Error."""
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    limit = f"-c statement_timeout={_STATEMENT_MILLISECONDS}"
    connected = psycopg2.connect(
        url,
        connect_timeout=_CONNECT_SECONDS,
        options="" if settings.database_pooler else limit,
        application_name="satupeta doctor",
    )
    connected.autocommit = True
    try:
        yield connected
    finally:
        connected.close()


def ask(settings: Settings, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run one statement, past a pooler, and give its rows."""
    with connection(settings.direct()) as connected, connected.cursor() as cursor:
        cursor.execute(statement, values or None)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def server(patient: Patient) -> Finding:
    """Whether PostgreSQL answers, and is new enough."""
    settings = patient.known_settings
    if settings.database_url is None:
        advice = "set DATABASE_URL, or start satupeta dev"
        return Finding("problem", "DATABASE_URL is not set", advice)
    begin = time.monotonic()
    try:
        with connection(settings) as connected:
            number = connected.server_version
            version = connected.info.parameter_status("server_version")
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        advice = "start PostgreSQL, or correct DATABASE_URL"
        if "unsupported startup parameter" in reason:
            advice = "set DATABASE_POOLER=true: this is a pooler, such as pgbouncer"
        return Finding("problem", reason, advice)
    if number < OLDEST_POSTGRESQL:
        return Finding("problem", f"PostgreSQL {version} is too old", "use 15 or newer")
    milliseconds = (time.monotonic() - begin) * 1000
    return Finding("ok", f"PostgreSQL {version} answers in {milliseconds:.0f} ms")


def migrations(patient: Patient) -> Finding:
    """Whether the tables are those of this version."""
    settings, known = patient.known_settings, migration_names()
    applied: set[str] = set()
    if ask(settings, "SELECT to_regclass('_yoyo_migration')::text")[0][0] is not None:
        rows = ask(settings, "SELECT migration_id FROM _yoyo_migration")
        applied = {name for (name,) in rows}
    pending = [name for name in known if name not in applied]
    if pending:
        return Finding("problem", f"pending: {_named(pending)}", "run satupeta db upgrade")
    newer = sorted(applied.difference(known))
    if newer:
        text = f"the database knows more than this version: {_named(newer)}"
        return Finding("warning", text, "install the version that made them")
    return Finding("ok", f"all {len(known)} are applied")


def jobs(patient: Patient) -> Finding:
    """Whether background work piles up, and somebody does it."""
    settings = patient.known_settings
    ((workers,),) = ask(settings, LIVING_WORKERS)
    ((seconds,),) = ask(settings, OLDEST_WAITING)
    text = f"{workers} workers live; the oldest job waits for {(seconds or 0) / 60:.0f} minutes"
    if not workers:
        advice = "start satupeta worker"
        return Finding("problem" if (seconds or 0) > _LONG_SECONDS else "warning", text, advice)
    if (seconds or 0) > _LONG_SECONDS:
        return Finding("warning", text, "start another satupeta worker, or look at its log")
    return Finding("ok", text)


def deliveries(patient: Patient) -> Finding:
    """Whether all mails and webhooks have reached somebody."""
    statement = "SELECT channel, count(*) FROM outbox WHERE status = 'failed' GROUP BY 1 ORDER BY 1"
    failed = ask(patient.known_settings, statement)
    if failed:
        text = ", ".join(f"{channel}: {count} failed" for channel, count in failed)
        advice = "see satupeta outbox list --status failed, then satupeta outbox retry --failed"
        return Finding("warning", text, advice)
    return Finding("ok", "no delivery has failed")


def extensions(patient: Patient) -> Finding:
    """Whether the extensions that searches use can be had."""
    statement = "SELECT name FROM pg_available_extensions WHERE name = ANY(%s)"
    rows = ask(patient.known_settings, statement, list(EXTENSIONS))
    missing = sorted(set(EXTENSIONS).difference(name for (name,) in rows))
    if missing:
        advice = "install postgresql-contrib on the database's server"
        return Finding("warning", f"not available: {_named(missing)}", advice)
    return Finding("ok", f"available: {', '.join(EXTENSIONS)}")


def indexes(patient: Patient) -> Finding:
    """Whether all indexes of the migrations are there and can be used."""
    statement = (
        "SELECT class.relname, index.indisvalid AND index.indisready FROM pg_index AS index "
        "JOIN pg_class AS class ON class.oid = index.indexrelid "
        "JOIN pg_namespace AS space ON space.oid = class.relnamespace "
        "WHERE space.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')"
    )
    found = dict(ask(patient.known_settings, statement))
    invalid = sorted(name for name, is_valid in found.items() if not is_valid)
    missing = sorted(expected_indexes().difference(found))
    findings = []
    if invalid:
        commands = "; ".join(f"REINDEX INDEX CONCURRENTLY {name}" for name in invalid[:_MOST_NAMED])
        findings.append(Finding("problem", f"invalid: {_named(invalid)}", f"run {commands}"))
    if missing:
        advice = "create them as the files in migrations/ do"
        findings.append(Finding("problem", f"missing: {_named(missing)}", advice))
    return worst(findings, f"{len(found)}, all valid")


def expected_indexes() -> set[str]:
    """Read from the migrations which indexes there must be."""
    tables: dict[str, str] = {}
    for name in migration_names():
        text = re.sub(r"--.*", "", (MIGRATIONS / f"{name}.sql").read_text(encoding="utf-8"))
        for match in _INDEX_STATEMENT.finditer(text):
            created, table, dropped, old, new, dropped_table = match.groups()
            if created:
                tables[created] = table
            elif old:
                tables[new] = tables.pop(old, "")
            else:
                gone = [one for one, of in tables.items() if of == dropped_table]
                for one in [dropped, *gone]:
                    tables.pop(one, None)
    return set(tables)


def credentials(patient: Patient) -> Finding:
    """Whether the keys are there that stored credentials need."""
    settings = patient.known_settings
    ring = list(settings.encryption_key_ring())
    rows = ask(
        settings, "SELECT encryption_key_id, count(*) FROM credentials GROUP BY 1 ORDER BY 1"
    )
    lost = [f"“{key_id}” for {count}" for key_id, count in rows if key_id not in ring]
    if lost:
        text = f"ENCRYPTION_KEYS lacks the key {_named(lost)}"
        return Finding("problem", text, "put the key back; without it they are lost")
    older = sum(count for key_id, count in rows if key_id != ring[0])
    if older:
        text = f"{older} are not under the first key"
        return Finding("warning", text, "run satupeta credential rotate-key")
    return Finding("ok", f"{sum(count for _, count in rows)} under the key “{ring[0]}”")


def audit(patient: Patient) -> Finding:
    """Whether the API can only add to the audit log."""
    rows = ask(
        patient.known_settings,
        "SELECT pg_has_role(current_user, class.relowner, 'MEMBER'), "
        "has_table_privilege(class.oid, 'UPDATE, DELETE, TRUNCATE'), "
        "EXISTS (SELECT FROM pg_trigger AS trigger WHERE trigger.tgrelid = class.oid "
        "AND trigger.tgname = 'append_only' AND trigger.tgenabled IN ('O', 'A')) "
        "FROM pg_class AS class WHERE class.oid = 'public.audit_log'::regclass",
    )
    is_owner, may_change, is_guarded = rows[0]
    if not is_guarded:
        text = "the trigger append_only of audit_log is off"
        return Finding("problem", text, "run ALTER TABLE audit_log ENABLE TRIGGER append_only")
    if is_owner:
        text = "the role of DATABASE_URL owns audit_log, and so could turn off what guards it"
        advice = "give the API a role of its own, and set MIGRATION_DATABASE_URL to the owner's"
        return Finding("warning", text, advice)
    if may_change:
        text = "the role of DATABASE_URL may change audit_log; only the trigger keeps it from that"
        return Finding("warning", text, "run satupeta db upgrade with MIGRATION_DATABASE_URL")
    return Finding("ok", "the API can read and add, and blank what names an erased person")


def accounts(patient: Patient) -> Finding:
    """Whether there is an administrator, and no account that anybody could guess."""
    settings = patient.known_settings
    rows = ask(
        settings,
        "SELECT users.username, users.email, roles.name, users.organization_id IS NOT NULL, "
        "users.password_hash IS NOT NULL, users.password_changed_at IS NOT NULL, EXISTS ("
        "SELECT FROM password_resets AS link WHERE link.user_id = users.id "
        "AND link.used_at IS NULL AND link.expires_at > now()) "
        "FROM users JOIN roles ON roles.id = users.role_id "
        "WHERE users.is_active AND users.deleted_at IS NULL ORDER BY users.username",
    )
    found = [*_lacking(settings, rows), *_guessable(settings, rows)]
    return worst(found, f"{len(rows)} active")


def _lacking(settings: Settings, rows: list[tuple[Any, ...]]) -> Iterator[Finding]:
    if not any(role == ADMINISTRATOR for _, _, role, *_ in rows):
        advice = "run satupeta user create NAME --role administrator"
        yield Finding("problem", "there is no active administrator", advice)
    is_tried = settings.environment == "development"
    silent = [
        name
        for name, email, _, _, has_password, _, has_link in rows
        if not (has_password or has_link or (is_tried and _is_sample(email)))
    ]
    if silent:
        text = f"without a password: {_named(silent)}"
        yield Finding("warning", text, f"run satupeta user reset-link {silent[0]}")
    homeless = [name for name, _, role, has_home, *_ in rows if role == MANAGER and not has_home]
    if homeless:
        text = f"data managers without an organization: {_named(homeless)}"
        advice = f"run satupeta user update {homeless[0]} --organization NAME"
        yield Finding("warning", text, advice)


def _guessable(settings: Settings, rows: list[tuple[Any, ...]]) -> Iterator[Finding]:
    first = [
        name
        for name, _, role, _, has_password, was_changed, _ in rows
        if role == ADMINISTRATOR and has_password and not was_changed
    ]
    if first:
        text = f"administrators with a first password: {_named(first)}"
        yield Finding("warning", text, f"run satupeta user password {first[0]}")
    if settings.environment != "production":
        return
    samples = [name for name, email, *_ in rows if _is_sample(email)]
    if samples:
        state: State = "problem"
        text = f"accounts of the sample data: {_named(samples)}"
        yield Finding(state, text, f"run satupeta user deactivate {samples[0]}")
    if (settings.data_dir / ACCOUNTS_FILE).exists():
        text = f"{settings.data_dir / ACCOUNTS_FILE} holds first passwords"
        yield Finding("warning", text, "remove it once they are changed")


def _is_sample(email: str) -> bool:
    """Tell whether an account is one that development makes: none of a real person ends so."""
    domain = email.rpartition("@")[2].lower()
    return domain == "example.org" or domain.endswith(".example.org")


def _named(names: list[str]) -> str:
    """Name the first few, and count the rest."""
    shown = ", ".join(names[:_MOST_NAMED])
    return f"{shown} and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else shown
