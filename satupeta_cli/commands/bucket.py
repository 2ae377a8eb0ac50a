"""``satupeta bucket``: the bucket that holds the uploaded files."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from satupeta_cli import bucket_copies, bucket_rules, records
from satupeta_cli.buckets import (
    fallback_of,
    human,
    opened,
    opened_with_rows,
    record,
    sentences,
    write_long_listing,
)
from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.options import confirm, dry_run_option, yes_option
from satupeta_cli.output import listing_options, write_listing, write_record
from satupeta_cli.progress import progress

if TYPE_CHECKING:
    from satupeta_server.maintenance.bucket_orphans import Orphan
    from satupeta_server.maintenance.bucket_store import AdministeredStore

_FAULT_COLUMNS = ("problem", "size", "object_name", "file_id", "file", "found")
_ORPHAN_COLUMNS = ("kind", "size", "since", "name", "file_id")


@click.group()
def command() -> None:
    """See, check, copy and clean the bucket of the uploaded files."""


@command.command()
@click.option("--count", is_flag=True, help="Count the objects, too; it lists them all.")
@listing_options
@click.pass_obj
def status(context: Context, *, count: bool, form: str | None) -> None:
    """Show where the bucket is and how it is set up; the exit code is 1 when it is missing.

    Example: satupeta bucket status --count
    """
    from satupeta_server.maintenance.bucket_rows import count_rows

    with opened_with_rows(context) as (settings, store):
        place = store.place
        shown: records.Values = {"endpoint": place.endpoint, "bucket": place.bucket}
        shown["is_there"] = store.exists()
        if shown["is_there"]:
            shown |= _set_up(store)
        if count and shown["is_there"]:
            sizes = [entry.size for entry in store.entries()]
            shown |= {"objects": len(sizes), "object_bytes": sum(sizes)}
        shown["file_rows"], shown["file_bytes"] = count_rows()
        with fallback_of(settings) as fallback:
            shown["fallback"] = str(fallback.place) if fallback else None
    if form is None:
        shown = {name: human(one) if "bytes" in name else one for name, one in shown.items()}
    write_record(shown, form)
    if not shown["is_there"]:
        context.say("There is no such bucket; satupeta bucket create makes it.")
        click.get_current_context().exit(1)


def _set_up(store: "AdministeredStore") -> records.Values:
    from satupeta_server.maintenance.bucket_lifecycle import rules
    from satupeta_server.maintenance.bucket_policy import anonymous_access
    from satupeta_server.maintenance.bucket_store import RefusedError

    def tried(look: Any) -> Any:
        try:
            return look()
        except RefusedError:
            return "not known by this store"

    return {
        "region": store.region(),
        "versioning": tried(store.versioning),
        "anonymous_access": anonymous_access(store).text,
        "lifecycle": tried(lambda: "; ".join(one.does for one in rules(store)) or "no rules"),
    }


@command.command()
@click.argument("prefix", default="")
@click.option("--limit", type=click.IntRange(min=1), help="So many objects at most.")
@listing_options
@click.pass_obj
def ls(context: Context, prefix: str, limit: int | None, form: str | None) -> None:
    """List the objects whose names begin with PREFIX, with the files that they belong to.

    Example: satupeta bucket ls files/ --limit 20
    """
    from satupeta_server.maintenance.bucket_index import pages
    from satupeta_server.maintenance.bucket_rows import rows_of

    def listed(store: "AdministeredStore") -> Iterator[dict[str, Any]]:
        for page in pages(itertools.islice(store.entries(prefix), limit)):
            rows = rows_of([entry.name for entry in page])
            for entry in page:
                row = rows.get(entry.name)
                yield {
                    "size": entry.size,
                    "modified_at": entry.modified_at.isoformat(timespec="seconds"),
                    "name": entry.name,
                    "file_id": str(row.id) if row else None,
                    "file": row.name if row else None,
                    "is_deleted": row.is_deleted if row else None,
                }

    with opened_with_rows(context) as (_, store):
        more = ("file_id", "is_deleted") if form == "csv" else ()
        columns = ("size", "modified_at", "name", "file", *more)
        if not write_long_listing(listed(store), columns, form):
            context.say("Nothing found.")


@command.command()
@click.option(
    "--by", type=click.Choice(["kind", "organization"]), default="kind", show_default=True
)
@listing_options
@click.pass_obj
def usage(context: Context, by: str, form: str | None) -> None:
    """Show how many files and bytes each kind of use, or each organization, takes.

    A file belongs to the organization that shows it as its thumbnail, else to the uploader's.

    Example: satupeta bucket usage --by organization
    """
    from satupeta_server.maintenance import bucket_rows
    from satupeta_server.maintenance.bucket_index import ObjectIndex

    with opened_with_rows(context) as (_, store):
        rows = bucket_rows.usage(by)
        with (
            progress("Listing", is_quiet=context.is_quiet, unit="objects") as advance,
            ObjectIndex(store.entries(), advance) as index,
        ):
            for page in bucket_rows.row_pages():
                index.find([row.object_name for row in page])
            sizes = [entry.size for entry in index.unknown()]
    rows.append({by: "objects without a row", "files": len(sizes), "bytes": sum(sizes)})
    if form is None:
        rows = [{**row, "bytes": human(row["bytes"])} for row in rows]
    write_listing(rows, (by, "files", "bytes"), form)


@command.command()
@dry_run_option
@click.pass_obj
def create(context: Context, *, dry_run: bool) -> None:
    """Make the bucket that MINIO_BUCKET_NAME names, unless it is there.

    Example: satupeta bucket create
    """
    with opened(context) as (_, store):
        outcome = records.SAME if store.exists() else records.MADE
        if outcome == records.MADE and not dry_run:
            record(context, "create", bucket=store.bucket)
            store.make()
        records.tell(str(store.place), outcome, dry_run=dry_run)


@command.command()
@click.option("--quick", is_flag=True, help="Only presence and size, by listing; no content.")
@listing_options
@click.pass_obj
def verify(context: Context, *, quick: bool, form: str | None) -> None:
    """Prove that every row of a file has its object, with the right size and SHA-256.

    Rows of deleted files count, too: their objects stay. Each row that is wrong is a line, and
    the exit code is 1 when there is any. It changes nothing.

    Example: satupeta bucket verify
    """
    from satupeta_server.maintenance.bucket_rows import count_rows
    from satupeta_server.maintenance.bucket_verify import Verification

    with opened_with_rows(context) as (settings, store), fallback_of(settings) as fallback:
        _, total = count_rows()
        verification = Verification(store, fallback, is_quick=quick)
        quiet = context.is_quiet
        with progress("Verifying", total, is_quiet=quiet, unit="bytes") as advance:
            faults = (
                {
                    "problem": fault.problem,
                    "size": fault.row.size,
                    "object_name": fault.row.object_name,
                    "file_id": str(fault.row.id),
                    "file": fault.row.name,
                    "found": fault.found,
                }
                for fault in verification.run(advance)
            )
            wrong = write_long_listing(faults, _FAULT_COLUMNS, form)
    context.say(f"{verification.rows} files of {human(verification.bytes)}: {wrong} wrong")
    if wrong:
        click.get_current_context().exit(1)


@command.command()
@click.option(
    "--remove", is_flag=True, help="Remove objects without a row, end unfinished uploads."
)
@click.option("--older-than", default="1d", show_default=True, help="Such as 30m, 12h or 7d.")
@yes_option
@dry_run_option
@listing_options
@click.pass_obj
def orphans(
    context: Context, *, remove: bool, older_than: str, yes: bool, dry_run: bool, form: str | None
) -> None:
    """List objects without a row, rows without an object, and unfinished uploads.

    An upload under way is an object without a row for a moment: only what is older than
    --older-than counts. Just before an object is removed its row is looked for again. Rows are
    never removed; while one lacks its object the exit code is 1. Where versioning is on, the
    store keeps what is removed as an older version.

    Example: satupeta bucket orphans --remove --older-than 7d --dry-run
    """
    import datetime

    from satupeta_server.errors import StartError
    from satupeta_server.maintenance.bucket_orphans import ROW, find_orphans, remove_orphans
    from satupeta_server.maintenance.bucket_rows import count_rows
    from satupeta_server.maintenance.durations import parse_duration

    with sentences():
        before = datetime.datetime.now(datetime.UTC) - parse_duration(older_than)
    with opened_with_rows(context) as (settings, store), fallback_of(settings) as fallback:
        rows, _ = count_rows()
        with progress("Listing", is_quiet=context.is_quiet, unit="objects") as advance:
            found = list(find_orphans(store, before, fallback=fallback, advance=advance))
        if not write_long_listing(map(_orphan, found), _ORPHAN_COLUMNS, form):
            context.say("Nothing found.")
    removable = [one for one in found if one.kind != ROW]
    size = sum(one.size or 0 for one in removable)
    if remove and removable:
        if not rows and not dry_run:
            raise StartError(
                "DATABASE_URL has no files at all, so each object would be an orphan; "
                f"does the bucket {settings.minio_bucket_name} belong to another database?"
            )
        told = f"{len(removable)} objects and uploads of {human(size)}"
        confirm(f"Remove these {told}?", yes=yes, dry_run=dry_run)
        if dry_run:
            context.say(f"{told} would be removed")
        else:
            record(context, "remove_orphans", count=len(removable), bytes=size)
            with opened_with_rows(context) as (_, store):
                gone = sum(1 for _ in remove_orphans(store, removable))
                if store.versioning() != "off":
                    context.say("Versioning is on: the store keeps them as older versions.")
            context.say(f"{gone} removed")
    if len(removable) < len(found):
        context.say(f"{len(found) - len(removable)} rows have no object; restore the bucket.")
        click.get_current_context().exit(1)


def _orphan(one: "Orphan") -> dict[str, Any]:
    since = one.since.isoformat(timespec="seconds") if one.since else None
    row = {"kind": one.kind, "size": one.size, "since": since, "name": one.name}
    return {**row, "file_id": one.file_id}


@command.command()
@click.argument("file_id", type=click.UUID)
@click.option(
    "--expires", default="1h", show_default=True, help="Such as 30m, 12h or 7d, the most."
)
@dry_run_option
@click.pass_obj
def presign(context: Context, file_id: Any, expires: str, *, dry_run: bool) -> None:
    """Print an address under which anybody who has it can read the file FILE_ID for a while.

    Example: satupeta bucket presign 01968b53-a910-7f00-8000-000000000001 --expires 15m
    """
    import datetime

    from satupeta_server.errors import InputError
    from satupeta_server.maintenance.durations import parse_duration

    with sentences():
        duration = parse_duration(expires)
        if not datetime.timedelta(0) < duration <= datetime.timedelta(days=7):
            raise InputError("--expires must be between 1m and 7d.")

    async def work(administration: Administration) -> Any:
        row = await administration.services.files.find(administration.caller, file_id)
        if not dry_run:
            async with administration.change():
                await administration.record("presign", "files", file_id, expires=expires)
        return row

    row = administer(context, work)
    if dry_run:
        records.tell(row.name, "given an address", dry_run=True)
        return
    with opened(context) as (settings, store), fallback_of(settings) as fallback:
        holder = fallback if fallback and not store.has(row.object_name) else store
        address = holder.presigned(row.object_name, duration, row.name)
    context.say(f"Whoever has this address can read {row.name} for {expires}.")
    click.echo(address)


for _one in (
    bucket_copies.mirror, bucket_copies.move,
    bucket_rules.lifecycle, bucket_rules.policy, bucket_rules.versioning,
):  # fmt: skip
    command.add_command(_one)
