"""How backups are made and restored at a terminal: questions before, and what came of it."""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from satupeta_cli.context import Context, command_caller
from satupeta_cli.databases import counted, refusals, server_settings, size_text
from satupeta_cli.options import confirm
from satupeta_cli.output import write_record
from satupeta_cli.progress import progress

if TYPE_CHECKING:
    from satupeta_server.maintenance.backing_up import Backup, Progress
    from satupeta_server.maintenance.backup_format import BackupFile, Summary
    from satupeta_server.maintenance.restoring import Restoration
    from satupeta_server.settings import Settings


@dataclass(frozen=True)
class Wish:
    """How a backup is to be restored."""

    verify_only: bool
    with_objects: bool
    yes: bool
    dry_run: bool

    @property
    def is_reading(self) -> bool:
        """Whether nothing is to be changed."""
        return self.verify_only or self.dry_run


def back_up(
    context: Context, file: Path, *, with_objects: bool, yes: bool, form: str | None
) -> int:
    """Make a backup, and give the exit code."""
    settings = server_settings(context, object_store=with_objects)
    path = _path(file)
    if path is None and sys.stdout.isatty():
        raise click.UsageError("A backup is not for a terminal; name a file, or use a pipe.")
    if path is not None and path.is_file():
        confirm(f"{path} exists. Replace it?", yes=yes)
    with refusals():
        made = _write(context, settings, path, with_objects=with_objects)
    _tell_made(context, file, made, form if path else None)
    return 1 if made.summary.missing else 0


def _write(
    context: Context, settings: "Settings", path: Path | None, *, with_objects: bool
) -> "Backup":
    from satupeta_server.maintenance.backing_up import Backup
    from satupeta_server.maintenance.backup_output import Pipe, replacing, writing

    def run(output: Any, folder: Path | None) -> Backup:
        backup = Backup(
            settings,
            output,
            has_objects=with_objects,
            progress=_bars(context),
            missing=lambda name: click.echo(f"Missing, or not what its row says: {name}", err=True),
        )
        backup.run(folder)
        return backup

    if path is None:
        with writing("Standard output"):
            return run(Pipe(sys.stdout.fileno()), None)
    with replacing(path) as output:
        return run(output, path.parent)


def _tell_made(context: Context, file: Path, made: "Backup", form: str | None) -> None:
    summary = made.summary
    if form is not None:
        write_record({"file": str(file), "bytes": made.size, **vars(summary)}, form)
    else:
        # A backup on standard output leaves no place there for what is said of it.
        text = f"{file}: {_held(summary)}; {size_text(made.size)}"
        click.echo(text, err=_path(file) is None)
    if made.encryption_keys:
        context.say(
            f"Keep ENCRYPTION_KEYS (here {_quoted(made.encryption_keys)}) elsewhere: they are not "
            "in the backup, and without them stored credentials cannot be read."
        )
    if summary.missing:
        click.echo(f"{_lacking(summary)}; they are not in the backup.", err=True)


def restore(context: Context, file: Path, wish: Wish, form: str | None) -> int:
    """Restore a backup, or only read it, and give the exit code."""
    from satupeta_server.maintenance.backup_format import opened

    path = _path(file)
    standard_input: Any = None if path else sys.stdin.buffer
    with refusals(), opened(path, standard_input) as backup:
        restoration = _restored(context, backup, wish)
        _tell_restored(backup, restoration, wish, form)
    return 1 if restoration.strange or restoration.summary.missing else 0


def _restored(context: Context, backup: "BackupFile", wish: Wish) -> "Restoration":
    from satupeta_server.maintenance.restoring import Restore, check_version

    if wish.verify_only:
        settings: Any = None
    else:
        check_version(backup)
        with_objects = wish.with_objects and backup.manifest.has_objects
        settings = server_settings(context, object_store=with_objects)
        _ask(context, settings, backup, wish)
    work = Restore(settings, backup, command_caller(), progress=_bars(context), say=context.say)
    restoration = work.verify()
    if not wish.is_reading:
        work.run(restoration, with_objects=with_objects)
    return restoration


def _ask(context: Context, settings: "Settings", backup: "BackupFile", wish: Wish) -> None:
    from satupeta_server.maintenance.connections import place
    from satupeta_server.maintenance.restoring import holdings, missing_keys

    lost = missing_keys(settings, backup)
    if lost:
        context.say(
            f"ENCRYPTION_KEYS lacks {_quoted(lost)}, without which credentials of the backup "
            "cannot be read; put them back."
        )
    if not backup.manifest.has_objects:
        context.say(f"{backup.name} has no objects; the bucket is left alone.")
    held = holdings(settings)
    if held:
        what = f"{place(settings)} holds {counted(held)}"
        if wish.dry_run:
            context.say(f"{what}, which would be replaced.")
        confirm(f"{what}. Replace all of it?", yes=wish.yes, dry_run=wish.dry_run)


def _tell_restored(
    backup: "BackupFile", restoration: "Restoration", wish: Wish, form: str | None
) -> None:
    summary, manifest = restoration.summary, backup.manifest
    if form is not None:
        record = {
            "file": backup.name,
            "created_at": manifest.created_at,
            "version": manifest.version,
            "is_restored": not wish.is_reading,
            "objects_put": restoration.put,
            "strange_tables": restoration.strange,
            **vars(summary),
        }
        write_record(record, form)
    else:
        state = "whole" if wish.verify_only else "would be restored" if wish.dry_run else "restored"
        click.echo(f"{backup.name}: {state}; of {manifest.created_at}, {_held(summary)}")
    for name in restoration.strange:
        click.echo(f"The table {name} is not one of the program's; it was left out.", err=True)
    if summary.missing:
        click.echo(f"{_lacking(summary)}; the backup was made without them.", err=True)


def _bars(context: Context) -> "Progress":
    return partial(progress, is_quiet=context.is_quiet)


def _path(file: Path) -> Path | None:
    """Give the file; None is standard input or output."""
    return None if str(file) == "-" else file


def _held(summary: "Summary") -> str:
    return (
        f"{sum(summary.rows.values()):,} rows in {len(summary.rows)} tables, "
        f"{summary.objects:,} objects of {size_text(summary.object_bytes)}"
    )


def _lacking(summary: "Summary") -> str:
    return f"{summary.missing} objects are missing, or not what their rows say"


def _quoted(names: list[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)
