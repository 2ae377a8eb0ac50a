"""``satupeta trash``: deleted records."""

from typing import TYPE_CHECKING, Any

import click

from satupeta_cli import records
from satupeta_cli.context import Administration, Context, administer, command_caller, known_tables
from satupeta_cli.options import confirm, dry_run_option, yes_option
from satupeta_cli.output import listing_options, write_listing, write_record
from satupeta_cli.progress import progress

if TYPE_CHECKING:
    import datetime
    import uuid

    from satupeta_server.maintenance.purging import Purged
    from satupeta_server.settings import Settings

SUBJECTS = (
    "mapsets",
    "news",
    "organizations",
    "categories",
    "classifications",
    "map_projection_systems",
    "regionals",
    "map_sources",
    "credentials",
    "users",
    "files",
)
"""As the API calls them; written out, so that help loads none of it."""
_SUBJECT = click.Choice(SUBJECTS)
_COLUMNS = ("subject", "id", "name", "deleted_at")
_PURGED_COLUMNS = ("subject", "removed", "kept", "kept_by")


@click.group()
def command() -> None:
    """See deleted records, bring them back, or remove them for good."""


@command.command("list")
@click.argument("subject", type=_SUBJECT, required=False)
@click.option("--limit", type=click.IntRange(min=1), help="So many rows of each kind at most.")
@listing_options
@click.pass_obj
def list_(context: Context, subject: str | None, limit: int | None, form: str | None) -> None:
    """List deleted records, of one kind or of all, the last deleted first.

    Example: satupeta trash list mapsets --json
    """

    async def work(administration: Administration) -> list[records.Values]:
        found = []
        for one in [subject] if subject else SUBJECTS:
            trash = administration.services.trash[one]
            rows = await records.rows_of(administration, trash, {}, limit=limit)
            found += [{"subject": one, **_named(row)} for row in rows]
        return found

    write_listing(administer(context, work), _COLUMNS, form, hint="The trash is empty.")


def _named(row: records.Values) -> records.Values:
    return {name: row[name] for name in _COLUMNS[1:]}


@command.command()
@click.argument("subject", type=_SUBJECT)
@click.argument("record_id", metavar="ID", type=click.UUID)
@listing_options
@click.pass_obj
def show(context: Context, subject: str, record_id: "uuid.UUID", form: str | None) -> None:
    """Show one deleted record.

    Example: satupeta trash show news 01968b53-a910-7e00-8000-000000000001
    """

    async def work(administration: Administration) -> records.Values:
        import json

        trash = administration.services.trash[subject]
        document = await trash.get(administration.caller, record_id)
        shown: records.Values = json.loads(document.json)
        return shown

    write_record(administer(context, work), form)


@command.command()
@click.argument("subject", type=_SUBJECT)
@click.argument("record_id", metavar="ID", type=click.UUID)
@dry_run_option
@click.pass_obj
def restore(context: Context, subject: str, record_id: "uuid.UUID", *, dry_run: bool) -> None:
    """Bring a deleted record back as it was.

    What it refers to must be there, and no other record may have taken its name meanwhile.

    Example: satupeta trash restore news 01968b53-a910-7e00-8000-000000000001
    """

    async def work(administration: Administration) -> None:
        trash = administration.services.trash[subject]
        async with administration.change(dry_run=dry_run):
            await trash.restore(administration.caller, record_id)

    administer(context, work)
    records.tell(str(record_id), "restored", dry_run=dry_run)


@command.command()
@click.option("--older-than", help="Such as 30d; TRASH_RETENTION_DAYS where it is not given.")
@yes_option
@dry_run_option
@listing_options
@click.pass_obj
def purge(
    context: Context, *, older_than: str | None, yes: bool, dry_run: bool, form: str | None
) -> None:
    """Remove for good what was deleted long ago, with its sources, histories and revisions.

    What a living record, or a deleted one that stays, still refers to is kept, and so is who is
    named in the audit log. Files lose their row first and then their object. It may be
    interrupted and run again. The exit code is 1 when an object could not be removed; satupeta
    bucket orphans finds it.

    Example: satupeta trash purge --older-than 365d --dry-run
    """
    from satupeta_server.maintenance.purging import count_old
    from satupeta_server.maintenance.purging import purge as run
    from satupeta_server.settings import require_servers

    settings = context.settings()
    require_servers(settings)
    before = _limit(settings, older_than)
    if before is None:
        context.say("TRASH_RETENTION_DAYS is 0, so all is kept; --older-than says otherwise.")
        return
    with known_tables():
        total = count_old(settings, before)
        if total:
            question = f"Remove up to {total} records deleted before {before:%Y-%m-%d %H:%M} UTC?"
            confirm(question, yes=yes, dry_run=dry_run)
        caller = command_caller()
        with progress("Purging", total, is_quiet=context.is_quiet, unit="records") as advance:
            purged = run(settings, caller, before, is_dry_run=dry_run, advance=advance)
    _tell(context, purged, dry_run=dry_run, form=form)


def _limit(settings: "Settings", older_than: str | None) -> "datetime.datetime | None":
    import datetime

    from satupeta_server.errors import InputError
    from satupeta_server.maintenance.durations import parse_duration

    age = datetime.timedelta(days=settings.trash_retention_days)
    if older_than is not None:
        try:
            age = parse_duration(older_than)
        except InputError as error:
            raise click.UsageError(str(error)) from None
    elif not age:
        return None
    return datetime.datetime.now(datetime.UTC) - age


def _tell(context: Context, purged: list["Purged"], *, dry_run: bool, form: str | None) -> None:
    rows: list[dict[str, Any]] = [
        {
            "subject": one.subject,
            "removed": one.removed,
            "kept": one.kept,
            "kept_by": one.kept_by if form in ("json", "jsonl") else _reasons(one.kept_by),
        }
        for one in purged
        if form is not None or one.removed or one.kept
    ]
    write_listing(rows, _PURGED_COLUMNS, form, hint="Nothing to remove.")
    if dry_run:
        context.say("Nothing was changed.")
    left = [name for one in purged for name in one.objects_left]
    for name in left:
        context.say(f"{name}: the store did not remove it; satupeta bucket orphans finds it")
    if left:
        # 1: some of it failed.
        click.get_current_context().exit(1)


def _reasons(kept_by: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in kept_by.items())
