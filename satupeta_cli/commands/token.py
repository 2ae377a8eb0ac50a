"""``satupeta token``: tokens with which machines call the API."""

from typing import TYPE_CHECKING, Any

import click

from satupeta_cli import records
from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.options import confirm, dry_run_option, yes_option
from satupeta_cli.output import listing_options, write_listing, write_record
from satupeta_cli.users import find_user, with_ids

if TYPE_CHECKING:
    import uuid

_COLUMNS = ("id", "username", "name", "permissions", "expires_at", "last_used_at", "revoked_at")


@click.group()
def command() -> None:
    """Make and revoke the tokens with which machines call the API for a user."""


@command.command()
@click.argument("user")
@click.option("--name", required=True, help="What the token is for.")
@click.option(
    "--permission",
    "permissions",
    required=True,
    multiple=True,
    help="What it may, such as mapsets:read; may be given several times.",
)
@click.option("--organization", help="It may no more than a data manager of this one; name or id.")
@click.option("--expires-in", help="Such as 30d; 90d where it is not given, 366d at most.")
@dry_run_option
@listing_options
@click.pass_obj
def create(
    context: Context,
    /,
    *,
    user: str,
    expires_in: str | None,
    dry_run: bool,
    form: str | None,
    **options: Any,
) -> None:
    """Make a token for USER and print it; it is never shown again.

    It may what is named here, as long as USER may. satupeta permissions names what there is. No
    token can make tokens, end sessions, or change users.

    Example: satupeta token create pengelola --name Harvester --permission mapsets:read
    """
    name, permissions = options["name"], list(options["permissions"])
    given = records.given(organization=options["organization"])
    values = {"name": name, "permissions": permissions, "expires_at": _moment(expires_in)}

    async def work(administration: Administration) -> dict[str, Any]:
        from satupeta_server.schemas.api_tokens import TOKEN_FORM

        found = await find_user(administration, user)
        body = {**values, **await with_ids(administration, given)}
        checked = TOKEN_FORM.for_create({key: _plain(value) for key, value in body.items()})
        tokens = administration.services.tokens
        async with administration.change(dry_run=dry_run):
            return await tokens.create(administration.caller, checked, found.id)

    made = administer(context, work)
    if dry_run:
        records.tell(name, records.MADE, dry_run=True, form=form)
    elif form is not None:
        write_record(made, form)
    else:
        # The secret alone is the result, so that a script can take it.
        context.say(f"{name}: created, expires {made['expires_at']:%Y-%m-%d}, id {made['id']}")
        click.echo(made["token"])


@command.command("list")
@click.argument("user", required=False)
@listing_options
@click.pass_obj
def list_(context: Context, user: str | None, form: str | None) -> None:
    """List the tokens, of USER or of all, the newest first; their secrets are nowhere kept.

    Example: satupeta token list pengelola --json
    """

    async def work(administration: Administration) -> list[dict[str, Any]]:
        found = await find_user(administration, user) if user else None
        tokens = administration.services.tokens
        return await tokens.list(administration.caller, found.id if found else None)

    write_listing(administer(context, work), _COLUMNS, form, hint="No token.")


@command.command()
@click.argument("record_id", metavar="ID", type=click.UUID)
@yes_option
@dry_run_option
@click.pass_obj
def revoke(context: Context, record_id: "uuid.UUID", *, yes: bool, dry_run: bool) -> None:
    """End a token for good; the machine that has it gets 401 from then on.

    Example: satupeta token revoke 01968b53-a910-7f00-8000-000000000002 --yes
    """
    confirm(f"Revoke the token {record_id}?", yes=yes, dry_run=dry_run)

    async def work(administration: Administration) -> None:
        async with administration.change(dry_run=dry_run):
            await administration.services.tokens.revoke(administration.caller, record_id)

    administer(context, work)
    records.tell(str(record_id), "revoked", dry_run=dry_run)


def _moment(expires_in: str | None) -> str | None:
    import datetime

    from satupeta_server.errors import InputError
    from satupeta_server.maintenance.durations import parse_duration

    if expires_in is None:
        return None
    try:
        return (datetime.datetime.now(datetime.UTC) + parse_duration(expires_in)).isoformat()
    except InputError as error:
        raise click.UsageError(str(error)) from None


def _plain(value: Any) -> Any:
    """Write ids as the form reads them."""
    return value if value is None or isinstance(value, list) else str(value)
