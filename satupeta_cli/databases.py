"""What the commands of the database share: settings, refusals, counts and sizes."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from satupeta_cli.context import Context

if TYPE_CHECKING:
    from satupeta_server.settings import Settings


def server_settings(context: Context, *, object_store: bool = False) -> "Settings":
    """Give the settings of the tables' owner.

    Raises StartError when a server that is needed is not set.
    """
    from satupeta_server.settings import require_servers

    settings = context.settings().owner()
    require_servers(settings, object_store=object_store)
    return settings


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Say why a file or a name cannot be used (exit code 2), or what failed with it (1)."""
    import psycopg2

    from satupeta_server.errors import InputError
    from satupeta_server.maintenance.backup_format import FailedError

    try:
        yield
    except FailedError as error:
        raise click.ClickException(str(error)) from None
    except InputError as error:
        raise click.UsageError(str(error)) from None
    except psycopg2.ProgrammingError as error:
        # Rights that its user lacks, for one.
        reason = str(error).strip().splitlines()[0]
        raise click.ClickException(f"PostgreSQL refuses this: {reason}.") from None


def counted(counts: Mapping[str, int]) -> str:
    """Put counts by table into words."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def size_text(size: float) -> str:
    """Write a number of bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
