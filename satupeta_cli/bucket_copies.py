"""``satupeta bucket mirror`` and ``move``: copying objects to other places."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from satupeta_cli.buckets import (
    fallback_of,
    find_target,
    human,
    opened,
    opened_with_rows,
    record,
)
from satupeta_cli.context import Context, known_tables
from satupeta_cli.options import confirm, dry_run_option, yes_option
from satupeta_cli.output import listing_options, write_record
from satupeta_cli.progress import progress

if TYPE_CHECKING:
    from satupeta_server.maintenance.bucket_store import AdministeredStore
    from satupeta_server.maintenance.mirror_sides import Side
    from satupeta_server.maintenance.mirroring import Mirror
    from satupeta_server.settings import Settings

_MOST_NAMED = 100


@click.command()
@click.argument("target")
@click.option("--back", is_flag=True, help="From TARGET into the bucket.")
@click.option("--remove", is_flag=True, help="Remove there what the source lacks; it asks.")
@click.option("--checksum", is_flag=True, help="Compare contents, too, not only sizes and tags.")
@yes_option
@dry_run_option
@listing_options
@click.pass_obj
def mirror(context: Context, /, *, target: str, form: str | None, **options: Any) -> None:
    """Copy what changed to TARGET, a folder or the bucket of another store, or back.

    A store's address is s3://s3.example.org/copy, https:// likewise, or http:// without TLS; its
    keys are the settings MIRROR_ACCESS_KEY and MIRROR_SECRET_KEY. It may be interrupted and run
    again: what is there stays, and nothing is half-written. The exit code is 1 when an object
    could not be copied.

    Example: satupeta bucket mirror backup --dry-run
    """
    dry_run = options["dry_run"]
    with opened(context) as (settings, store), contextlib.ExitStack() as stack:
        from satupeta_server.maintenance.bucket_rows import file_rows, rows_of
        from satupeta_server.maintenance.mirror_sides import BucketSide
        from satupeta_server.maintenance.mirroring import Mirror

        store.require()
        ours: Side = BucketSide(store)
        is_to = not options["back"]
        theirs = stack.enter_context(_other(settings, target, is_written=is_to and not dry_run))
        source, goal = (ours, theirs) if is_to else (theirs, ours)
        _require_folder(theirs, is_back=options["back"])
        job = Mirror(source, goal, compares_content=options["checksum"], is_dry_run=dry_run)
        if options["remove"]:
            if options["back"]:
                _require_no_rows(settings, job)
            _ask(job, yes=options["yes"], dry_run=dry_run)
        if not dry_run:
            record(context, "mirror", source=str(source), target=str(goal), **_chosen(options))
        if options["back"]:
            # What comes back must be what its row says, and what has a row is never removed.
            stack.enter_context(known_tables())
            stack.enter_context(file_rows(settings))
            job.rows = rows_of
        _run(context, job, form, removes=options["remove"])


def _require_folder(theirs: "Side", *, is_back: bool) -> None:
    """Refuse to come back from nowhere; raises InputError."""
    from satupeta_server.errors import InputError
    from satupeta_server.maintenance.mirror_sides import FolderSide

    if is_back and isinstance(theirs, FolderSide) and not theirs.folder.is_dir():
        raise InputError(f"There is no folder {theirs.folder}.")


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    return {"removes": options["remove"], "is_back": options["back"]}


@contextlib.contextmanager
def _other(settings: "Settings", target: str, *, is_written: bool) -> Iterator["Side"]:
    """Give the side that TARGET names, made where it is to be written to."""
    from satupeta_server.errors import InputError
    from satupeta_server.maintenance.bucket_store import AdministeredStore
    from satupeta_server.maintenance.mirror_sides import BucketSide, FolderSide
    from satupeta_server.storage import main_place

    place = find_target(settings, target)
    if place is None:
        folder = FolderSide(Path(target))
        with folder.alone() if is_written else contextlib.nullcontext():
            yield folder
        return
    if place.is_same_as(main_place(settings)):
        raise InputError("TARGET is the bucket itself.")
    with contextlib.closing(AdministeredStore(place)) as store:
        if is_written:
            store.make()
        elif not store.exists():
            raise InputError(f"There is no bucket {place}.")
        yield BucketSide(store)


def _require_no_rows(settings: "Settings", job: "Mirror") -> None:
    """Keep what rows of files name, whatever a copy lacks; raises InputError that counts it."""
    from satupeta_server.errors import InputError
    from satupeta_server.maintenance.bucket_index import pages
    from satupeta_server.maintenance.bucket_rows import file_rows, rows_of

    with known_tables(), file_rows(settings):
        extra = pages(entry.name for entry in job.extra())
        count = sum(len(rows_of(names)) for names in extra)
    if count:
        raise InputError(
            f"{job.source} lacks {count} objects that rows of files name; --remove would lose them."
        )


def _ask(job: "Mirror", *, yes: bool, dry_run: bool) -> None:
    """Say what would be removed, and ask."""
    from satupeta_server.errors import InputError

    if next(iter(job.source.entries()), None) is None:
        raise InputError(f"{job.source} has no objects; --remove would empty {job.target}.")
    count = size = 0
    for entry in job.extra():
        count, size = count + 1, size + entry.size
        if count <= _MOST_NAMED and not yes:
            click.echo(f"{entry.name}: only in {job.target}", err=True)
    if count:
        question = f"Remove {count} objects of {human(size)} from {job.target}?"
        confirm(question, yes=yes, dry_run=dry_run)


@click.command()
@dry_run_option
@listing_options
@click.pass_obj
def move(context: Context, *, dry_run: bool, form: str | None) -> None:
    """Copy from the fallback what the bucket lacks, the last step of a move without downtime.

    Before it, MINIO_FALLBACK_ settings name the new place, then the old one; see the docs on
    operation. What is copied must have the checksum of its row. Nothing is removed at the old
    place. The exit code is 1 while anything could not be copied.

    Example: satupeta bucket move --dry-run
    """
    with opened(context) as (settings, store), fallback_of(settings) as fallback:
        from satupeta_server.errors import StartError
        from satupeta_server.maintenance.bucket_rows import rows_of
        from satupeta_server.maintenance.mirror_sides import BucketSide
        from satupeta_server.maintenance.mirroring import Mirror

        if fallback is None:
            raise StartError(
                "No fallback is set: set MINIO_FALLBACK_BUCKET_NAME or MINIO_FALLBACK_ENDPOINT_URL."
            )
        if fallback.place.is_same_as(store.place):
            raise StartError(f"The fallback is the bucket itself: {store.place}.")
        for one in (store, fallback):
            one.require()
        if not dry_run:
            record(context, "move", source=str(fallback.place), target=str(store.place))
    with opened_with_rows(context) as (settings, store), fallback_of(settings) as fallback:
        if fallback is not None:
            job = Mirror(
                BucketSide(fallback), BucketSide(store), rows_of,
                keeps_other=True, is_dry_run=dry_run,
            )  # fmt: skip
            _run(context, job, form)
            _require_all(store, dry_run=dry_run)
    if not dry_run:
        context.say("Nothing is left to copy; the MINIO_FALLBACK_ settings may be removed.")


def _require_all(store: "AdministeredStore", *, dry_run: bool) -> None:
    """Name the rows whose objects are at neither place; the exit code is 1 then."""
    from satupeta_server.maintenance.bucket_verify import Verification

    if dry_run:
        return
    lost = 0
    for fault in Verification(store, is_quick=True).run(lambda _amount: None):
        click.echo(f"{fault.row.object_name}: {fault.problem}", err=True)
        lost += 1
    if lost:
        click.get_current_context().exit(1)


def _run(context: Context, job: "Mirror", form: str | None, *, removes: bool = False) -> None:
    """Run a job, tell what came of it, and end with 1 when something failed."""
    from satupeta_server.maintenance.mirroring import COPIED, FAILED, REMOVED, SAME

    counted: Counter[str] = Counter()
    copied, failed = 0, list[dict[str, str]]()
    with progress("Copying", is_quiet=context.is_quiet, unit="objects") as advance:
        for outcome in job.run(removes=removes):
            counted[outcome.result] += 1
            advance(1)
            copied += outcome.size if outcome.result == COPIED else 0
            if outcome.result == FAILED and len(failed) < _MOST_NAMED:
                failed.append({"name": outcome.name, "reason": outcome.reason})
    numbers = {result: counted[result] for result in (COPIED, SAME, REMOVED, FAILED)}
    if form is not None:
        shown = {**numbers, "bytes": copied, "is_dry_run": job.is_dry_run, "failures": failed}
        write_record(shown, form)
    else:
        for one in failed:
            click.echo(f"{one['name']}: {one['reason']}", err=True)
        parts = ", ".join(f"{number} {result}" for result, number in numbers.items())
        would = "would be " if job.is_dry_run else ""
        click.echo(f"{job.target}: {would}{parts} ({human(copied)})")
    if counted[FAILED]:
        click.get_current_context().exit(1)
