"""``satupeta role``: the four roles."""

import click

from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.output import listing_options, write_listing, write_record
from satupeta_cli.records import Values, rows_of


@click.group()
def command() -> None:
    """See the roles; their names are fixed, and what each may do is one table."""


@command.command("list")
@listing_options
@click.pass_obj
def list_(context: Context, form: str | None) -> None:
    """List the roles, with how many users have each.

    Example: satupeta role list
    """
    columns = ("name", "description", "users", "is_active")
    write_listing(administer(context, _roles), columns, form)


@command.command()
@click.argument("role")
@listing_options
@click.pass_obj
def show(context: Context, role: str, form: str | None) -> None:
    """Show one role, with each of its permissions and the records on which it holds.

    Example: satupeta role show data_manager
    """

    async def work(administration: Administration) -> Values:
        from satupeta_server.services.finding import find

        found = await find(administration.services.roles, administration.caller, role)
        return next(row for row in await _roles(administration) if row["name"] == found.name)

    from satupeta_server.security.permissions import GRANTS

    shown = administer(context, work)
    permissions = {
        permission: str(granted[shown["name"]])
        for permission, granted in GRANTS.items()
        if shown["name"] in granted
    }
    if form is None:
        write_record({**shown, **permissions}, None)
    else:
        write_record({**shown, "permissions": permissions}, form)


async def _roles(administration: Administration) -> list[Values]:
    from peewee import fn

    from satupeta_server.models.users import User

    rows = await rows_of(administration, administration.services.roles, {})
    counted = User.select(User.role_id, fn.count(User.id).alias("users"))
    counted = counted.where(User.living() & ~User.is_system).group_by(User.role_id)
    numbers = {str(row["role_id"]): row["users"] for row in await counted.dicts().aio_execute()}
    return [{**row, "users": numbers.get(row["id"], 0)} for row in rows]
