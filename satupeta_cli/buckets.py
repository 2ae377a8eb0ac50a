"""What the commands of the bucket share: the store, its errors, its audit records, listings."""

import contextlib
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from satupeta_cli.context import Administration, Context, administer, known_tables

if TYPE_CHECKING:
    from satupeta_server.maintenance.bucket_store import AdministeredStore
    from satupeta_server.settings import Settings
    from satupeta_server.storage import Place

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Say what maintenance refuses as click does; what the store refuses is exit code 1."""
    from satupeta_server.errors import InputError
    from satupeta_server.maintenance.bucket_store import RefusedError

    try:
        yield
    except InputError as error:
        raise click.UsageError(str(error)) from None
    except RefusedError as error:
        raise click.ClickException(str(error)) from error


@contextlib.contextmanager
def opened(context: Context) -> Iterator[tuple["Settings", "AdministeredStore"]]:
    """Give the settings and the store; errors become sentences."""
    from satupeta_server.maintenance.bucket_store import AdministeredStore
    from satupeta_server.settings import require_servers

    settings = context.settings()
    require_servers(settings)
    store = AdministeredStore(settings)
    with contextlib.closing(store), sentences():
        yield settings, store


@contextlib.contextmanager
def opened_with_rows(context: Context) -> Iterator[tuple["Settings", "AdministeredStore"]]:
    """Give the settings and the store, with the rows of files at hand."""
    from satupeta_server.maintenance.bucket_rows import file_rows

    with opened(context) as (settings, store), known_tables(), file_rows(settings):
        yield settings, store


@contextlib.contextmanager
def fallback_of(settings: "Settings") -> Iterator["AdministeredStore | None"]:
    """Give the fallback store; None where none is set."""
    from satupeta_server.maintenance.bucket_store import AdministeredStore
    from satupeta_server.storage import fallback_place

    place = fallback_place(settings)
    if place is None:
        yield None
        return
    with contextlib.closing(AdministeredStore(place)) as store:
        yield store


def record(context: Context, action: str, **details: object) -> None:
    """Leave the audit record of a change; before it, since the store knows no transactions."""

    async def work(administration: Administration) -> None:
        async with administration.change():
            await administration.record(action, "bucket", **details)

    administer(context, work)


def find_target(settings: "Settings", target: str) -> "Place | None":
    """Read an address of a bucket, such as s3://s3.example.org/copy; None for a folder's path.

    Raises InputError for an address that is none, StartError when the keys are missing.
    """
    from urllib.parse import urlsplit

    from satupeta_server.errors import InputError, StartError
    from satupeta_server.settings_values import is_bucket_name, is_web_address
    from satupeta_server.storage import Place

    if "://" not in target:
        return None
    parts = urlsplit(target)
    scheme = "https" if parts.scheme == "s3" else parts.scheme
    endpoint, bucket = f"{scheme}://{parts.netloc}", parts.path.strip("/")
    if not is_web_address(endpoint) or not is_bucket_name(bucket):
        # Not shown: it may hold a password.
        raise InputError("TARGET must look like s3://s3.example.org/bucket, http too, or a folder.")
    secret = settings.mirror_secret_key
    if not settings.mirror_access_key or secret is None:
        raise StartError("MIRROR_ACCESS_KEY and MIRROR_SECRET_KEY must be set for another store.")
    return Place(
        endpoint, bucket, settings.mirror_access_key, secret.get_secret_value(),
        key_names="MIRROR_ACCESS_KEY and MIRROR_SECRET_KEY",
    )  # fmt: skip


def human(size: float | None) -> str:
    """Write a size in bytes for people."""
    if size is None:
        return ""
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {_UNITS[-1]}"


def write_long_listing(
    rows: Iterable[dict[str, Any]], columns: Sequence[str], form: str | None
) -> int:
    """Write rows as they come, whatever their number, and count them.

    People get lines without a frame, with sizes as they read them and the longest cell last.
    """
    if form is None:
        return _write_lines(rows, columns)
    count = 0
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        writer.writerow(columns)
    for count, row in enumerate(rows, 1):
        if form == "csv":
            writer.writerow([row.get(column) for column in columns])
        else:
            begin = "" if form == "jsonl" else "[" if count == 1 else ","
            click.echo(begin + json.dumps(row, ensure_ascii=False, default=str))
    if form == "json":
        click.echo("]" if count else "[]")
    return count


def _write_lines(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> int:
    count = 0
    for count, row in enumerate(rows, 1):
        if count == 1:
            click.echo("  ".join(name.rjust(9) if name == "size" else name for name in columns))
        cells = [_cell(column, row.get(column)) for column in columns]
        click.echo("  ".join(cells).rstrip())
    return count


def _cell(column: str, value: Any) -> str:
    if column == "size":
        return human(value).rjust(9)
    return "" if value is None else str(value)
