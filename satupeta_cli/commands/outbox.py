"""``satupeta outbox``: mails and webhooks."""

from typing import TYPE_CHECKING, Any

import click

from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.options import confirm, dry_run_option, yes_option
from satupeta_cli.output import listing_options, write_listing

if TYPE_CHECKING:
    import uuid

_COLUMNS = ("id", "channel", "event", "status", "attempts", "error", "created_at", "delivered_at")
_STATUSES = ("waiting", "delivered", "failed")


@click.group()
def command() -> None:
    """See what was told by mail and webhook, and try again what failed."""


@command.command("list")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those of this status.")
@click.option("--limit", type=click.IntRange(min=1), default=100, help="So many at most; else 100.")
@listing_options
@click.pass_obj
def list_(context: Context, *, status: str | None, limit: int, form: str | None) -> None:
    """List deliveries, the newest first.

    Example: satupeta outbox list --status failed
    """

    async def work(administration: Administration) -> list[dict[str, Any]]:
        rows = await administration.services.deliveries.list(status=status, limit=limit)
        return [{name: getattr(row, name) for name in _COLUMNS} for row in rows]

    write_listing(administer(context, work), _COLUMNS, form, hint="There are no such deliveries.")


@command.command()
@click.argument("ids", metavar="ID", type=click.UUID, nargs=-1)
@click.option("--failed", "all_failed", is_flag=True, help="All that failed.")
@yes_option
@dry_run_option
@click.pass_obj
def retry(
    context: Context, *, ids: tuple["uuid.UUID", ...], all_failed: bool, yes: bool, dry_run: bool
) -> None:
    """Try failed deliveries again, from the beginning: those named, or with --failed all.

    Example: satupeta outbox retry --failed --dry-run
    """
    if bool(ids) == all_failed:
        raise click.UsageError("Name the deliveries, or give --failed.")
    confirm("Send what failed once more?", yes=yes, dry_run=dry_run)

    async def work(administration: Administration) -> int:
        async with administration.change(dry_run=dry_run):
            number = await administration.services.deliveries.retry(list(ids) or None)
            await administration.record("retry", "outbox", count=number)
        return number

    number = administer(context, work)
    click.echo(f"{number} deliveries {'would be ' if dry_run else ''}waiting again")


@command.command("test-mail")
@click.argument("address")
@dry_run_option
@click.pass_obj
def test_mail(context: Context, address: str, *, dry_run: bool) -> None:
    """Send a mail to ADDRESS at once, and say what the mail server says.

    Example: satupeta outbox test-mail siti@example.org
    """

    async def work(administration: Administration) -> None:
        from satupeta_server.services.deliveries import DeliveryError

        if dry_run:
            return
        try:
            await administration.services.deliveries.send_test(address)
        except DeliveryError as error:
            raise click.ClickException(f"{error}.") from None

    administer(context, work)
    click.echo(f"{address}: {'would be ' if dry_run else ''}sent")
