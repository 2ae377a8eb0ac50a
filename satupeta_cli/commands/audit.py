"""``satupeta audit``: who did what, when and from where."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from satupeta_cli.commands.export import opened
from satupeta_cli.context import Administration, Context, administer, command_caller, known_tables
from satupeta_cli.databases import refusals, server_settings
from satupeta_cli.options import confirm, dry_run_option, yes_option
from satupeta_cli.output import listing_options, write_listing
from satupeta_cli.progress import progress
from satupeta_cli.records import Values, given

if TYPE_CHECKING:
    from satupeta_server.queries.listing import ListRequest

Function = TypeVar("Function", bound=Callable[..., Any])

_COLUMNS = ("occurred_at", "user", "command", "address", "action", "subject", "subject_id")
_FORMATS = ("jsonl", "csv")


@click.group()
def command() -> None:
    """See, export and prune the audit log; nobody changes it."""


def _filter_options(command: Function) -> Function:
    for option in (
        click.option("--search", default="", help="Every word must occur, in any order."),
        click.option("--until", metavar="TIME", help="Only what was before this time."),
        click.option("--since", metavar="TIME", help="Only from this day or time on (RFC 3339)."),
        click.option("--request-id", help="Only what one request did."),
        click.option("--record", "subject_id", type=click.UUID, help="Only of this record."),
        click.option("--subject", help="Only of records of this kind, such as mapsets."),
        click.option("--action", help="Only of this name, such as delete or fail_login."),
        click.option("--user", help="Only by this user; username, email or id."),
    ):
        command = option(command)
    return command


@command.command("list")
@_filter_options
@click.option("--limit", type=click.IntRange(min=1), help="So many at most; else LIST_LIMIT.")
@listing_options
@click.pass_obj
def list_(context: Context, /, *, limit: int | None, form: str | None, **filters: Any) -> None:
    """List what happened, the newest first.

    Example: satupeta audit list --action fail_login --since 2026-01-31 --limit 20
    """

    async def work(administration: Administration) -> list[Values]:
        request = await _request(administration, limit=limit, **filters)
        page = await administration.services.audit.list(administration.caller, request)
        rows: list[Values] = json.loads(page.items)
        return rows

    found = administer(context, work)
    if form is None:
        found = [{**row, "user": (row["user"] or {}).get("username")} for row in found]
    write_listing(found, _COLUMNS, form)


@command.command()
@click.option("-o", "--output", default="-", help="File to write; .gz is packed; - is the output.")
@click.option("--format", "chosen", type=click.Choice(_FORMATS), help="Else by the ending.")
@_filter_options
@click.pass_obj
def export(context: Context, /, *, output: str, chosen: str | None, **filters: Any) -> None:
    """Write all that happened into a file, the newest first: JSON Lines, or CSV.

    Cells of CSV that a spreadsheet would run as a formula begin with an apostrophe.

    Example: satupeta audit export --since 2026-01-01 -o audit.jsonl
    """
    from satupeta_server.transfer.auditing import COLUMNS, export_audit
    from satupeta_server.transfer.writing import make_writer

    name = output.removesuffix(".gz")
    form = chosen or next((one for one in _FORMATS if name.endswith(f".{one}")), "jsonl")
    request = administer(context, lambda one: _request(one, **filters))
    with (
        opened(output) as file,
        known_tables(),
        progress("Exporting the audit log", is_quiet=context.is_quiet) as advance,
        make_writer("csv" if form == "csv" else "jsonl", file, COLUMNS) as writer,
    ):
        for row in export_audit(context.settings(), request):
            writer.write(row)
            advance(1)


@command.command()
@yes_option
@dry_run_option
@click.pass_obj
def prune(context: Context, *, yes: bool, dry_run: bool) -> None:
    """Remove what is older than AUDIT_RETENTION_DAYS, and record that.

    It is meant to be run once a day, and works as the owner of the tables.

    Example: satupeta audit prune --dry-run
    """
    from satupeta_server.maintenance import audit_retention

    settings = server_settings(context)
    days = settings.audit_retention_days
    if not days:
        click.echo("Audit log: unchanged; AUDIT_RETENTION_DAYS keeps it for ever")
        return
    with refusals(), known_tables():
        count = audit_retention.count_old(settings, days)
        if count:
            question = f"This removes {count:,} records that are older than {days} days. Go on?"
            confirm(question, yes=yes, dry_run=dry_run)
        if count and not dry_run:
            count = audit_retention.prune(settings, command_caller(), days)
    would = "would be " if dry_run else ""
    click.echo(f"Audit log: {count:,} records {would}removed" if count else "Audit log: unchanged")


async def _request(
    administration: Administration,
    *,
    user: str | None,
    since: str | None,
    until: str | None,
    search: str,
    limit: int | None = None,
    **equal: Any,
) -> "ListRequest":
    from satupeta_server.queries.filters import Atom
    from satupeta_server.queries.listing import ListRequest

    if user is not None:
        equal["user_id"] = await _user_id(administration, user)
    atoms = [Atom(name, "=", str(value)) for name, value in given(**equal).items()]
    bounds = {">=": since, "<": until}
    atoms += [Atom("occurred_at", sign, moment) for sign, moment in bounds.items() if moment]
    return ListRequest(filters=tuple((atom,) for atom in atoms), search=search, limit=limit)


async def _user_id(administration: Administration, user: str) -> str:
    """Give an id as it is: what a user did stays, also when the user was deleted."""
    from satupeta_cli.users import find_user
    from satupeta_server.queries.values import ValueProblem, parse_uuid

    try:
        return str(parse_uuid(user))
    except ValueProblem:
        return str((await find_user(administration, user)).id)
