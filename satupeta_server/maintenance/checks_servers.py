"""What the doctor looks at in the servers that not every installation has."""

import asyncio

import psycopg2

from satupeta_server.database import server_parameters
from satupeta_server.mail_server import MAIL_ERRORS, mail_server, what_failed
from satupeta_server.maintenance.checks_database import ask, connection
from satupeta_server.maintenance.doctor import Finding, Patient
from satupeta_server.settings import Settings

_MAIL_SECONDS = 5.0


def pooler(patient: Patient) -> Finding:
    """Whether what a pooler keeps the API from asking for is asked for by the role."""
    settings = patient.known_settings
    if not settings.database_pooler:
        return Finding("skipped", "DATABASE_POOLER is not set")
    asked = server_parameters(settings)
    with connection(settings) as connected, connected.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        role, name = cursor.fetchone()
        cursor.execute("SELECT lower(name), setting FROM pg_settings")
        found = dict(cursor.fetchall())
    lacking = [f"{key} = '{value}'" for key, value in asked.items() if found.get(key) != value]
    if lacking:
        begin = f"ALTER ROLE {role} IN DATABASE {name} SET"
        commands = "; ".join(f"{begin} {one}" for one in lacking)
        text = f"the role {role} lacks {', '.join(lacking)}"
        return Finding("problem", text, f"run {commands}; then restart the pooler")
    return Finding("ok", f"the role {role} has what each connection needs")


def replica(patient: Patient) -> Finding:
    """Whether the standby answers, is one of this server, and follows it."""
    settings = patient.known_settings
    url = settings.database_replica_url
    if url is None:
        return Finding("skipped", "DATABASE_REPLICA_URL is not set")
    statement = "SELECT system_identifier, pg_is_in_recovery() FROM pg_control_system()"
    ((system, _),) = ask(settings, statement)
    ((written,),) = ask(settings, "SELECT pg_current_wal_flush_lsn()")
    try:
        standby = settings.model_copy(update={"database_url": url})
        with connection(standby) as connected, connected.cursor() as cursor:
            cursor.execute(statement)
            if cursor.fetchone() != (system, True):
                text = "DATABASE_REPLICA_URL is no standby of DATABASE_URL"
                return Finding("problem", text, "correct it, or unset it")
            cursor.execute("SELECT greatest(0, %s - pg_last_wal_replay_lsn())::bigint", (written,))
            (behind,) = cursor.fetchone()
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        return Finding("warning", reason, "start the standby; until then the primary is read")
    return Finding("ok", f"a standby, {behind} bytes behind")


def mail(patient: Patient) -> Finding:
    """Whether the mail server takes the settings; no mail is sent."""
    settings = patient.known_settings
    if settings.smtp_host is None:
        return Finding("skipped", "SMTP_HOST is not set")
    name = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        asyncio.run(_greet(settings))
    except MAIL_ERRORS as error:
        advice = "correct the settings SMTP_*; until then mails wait, for about a day"
        return Finding("problem", f"{name} does not take us: {what_failed(error)}", advice)
    return Finding("ok", f"{name} takes us")


async def _greet(settings: Settings) -> None:
    async with mail_server(settings, _MAIL_SECONDS) as server:
        await server.noop()
