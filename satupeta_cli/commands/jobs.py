"""``satupeta jobs``: the queue of background work."""

from typing import TYPE_CHECKING, Any

import click

from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.options import confirm, dry_run_option, yes_option
from satupeta_cli.output import listing_options, write_listing, write_record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

_COLUMNS = ("id", "task", "status", "attempts", "changed_at", "scheduled_at")
_STATUSES = ("todo", "doing", "succeeded", "failed", "cancelled", "aborted")
_IDS = click.argument("ids", metavar="ID", type=click.IntRange(min=1), nargs=-1, required=True)


@click.group()
def command() -> None:
    """See the background work, do it again, or cancel it."""


@command.command("list")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those of this status.")
@click.option("--task", help="Only of this task, such as purge_trash.")
@click.option("--limit", type=click.IntRange(min=1), default=100, help="So many at most; else 100.")
@listing_options
@click.pass_obj
def list_(
    context: Context, *, status: str | None, task: str | None, limit: int, form: str | None
) -> None:
    """List jobs, the newest first.

    Example: satupeta jobs list --status failed
    """

    async def work(_administration: Administration) -> list[dict[str, Any]]:
        from satupeta_server.services import background

        return await background.list_jobs(status=status, task=task, limit=limit)

    write_listing(administer(context, work), _COLUMNS, form, hint="There are no such jobs.")


@command.command()
@listing_options
@click.pass_obj
def status(context: Context, form: str | None) -> None:
    """Count jobs by status, and say how long the oldest waits and how many workers live.

    Example: satupeta jobs status --json
    """

    async def work(_administration: Administration) -> dict[str, Any]:
        from satupeta_server.services import background

        return await background.summarize()

    write_record(administer(context, work), form)


@command.command()
@_IDS
@dry_run_option
@click.pass_obj
def retry(context: Context, *, ids: tuple[int, ...], dry_run: bool) -> None:
    """Let jobs that failed be done again at once: all of those named, or none.

    Example: satupeta jobs retry 118 120
    """
    from satupeta_server.services import background

    _change(context, background.retry, "retry", ids, dry_run=dry_run)
    _tell(ids, "waiting again", dry_run=dry_run)


@command.command()
@_IDS
@yes_option
@dry_run_option
@click.pass_obj
def cancel(context: Context, *, ids: tuple[int, ...], yes: bool, dry_run: bool) -> None:
    """Let jobs that wait never begin: all of those named, or none. Those under way go on.

    Example: satupeta jobs cancel 118 --dry-run
    """
    from satupeta_server.services import background

    confirm(f"Cancel {len(ids)} jobs?", yes=yes, dry_run=dry_run)
    _change(context, background.cancel, "cancel", ids, dry_run=dry_run)
    _tell(ids, "cancelled", dry_run=dry_run)


def _change(
    context: Context,
    work: "Callable[[Sequence[int]], Awaitable[None]]",
    action: str,
    ids: tuple[int, ...],
    *,
    dry_run: bool,
) -> None:
    async def change(administration: Administration) -> None:
        async with administration.change(dry_run=dry_run):
            await work(ids)
            await administration.record(action, "jobs", ids=list(ids))

    administer(context, change)


def _tell(ids: tuple[int, ...], outcome: str, *, dry_run: bool) -> None:
    for one in ids:
        click.echo(f"{one}: {'would be ' if dry_run else ''}{outcome}")
