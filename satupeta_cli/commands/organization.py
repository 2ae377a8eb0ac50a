"""``satupeta organization``: the agencies that publish mapsets."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from satupeta_cli import records
from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.options import confirm, dry_run_option, yes_option
from satupeta_cli.output import listing_options, write_listing, write_record

Function = TypeVar("Function", bound=Callable[..., Any])

_COLUMNS = ("name", "email", "phone_number", "website", "count_mapset", "is_active")
_DETAILS = {
    "--description": "What the organization does.",
    "--address": "Where it is.",
    "--phone-number": "Telephone number.",
    "--email": "Email address.",
    "--website": "Address of its website, with https://.",
    "--thumbnail": "Id of an uploaded file, its picture.",
}


def _detail_options(command: Function) -> Function:
    for name, text in reversed(_DETAILS.items()):
        command = click.option(name, help=text)(command)
    return command


@click.group()
def command() -> None:
    """Make and change organizations; an ORGANIZATION is a name or an id."""


@command.command("list")
@records.activity_option
@records.page_options
@listing_options
@click.pass_obj
def list_(context: Context, /, *, is_active: bool | None, form: str | None, **page: Any) -> None:
    """List organizations, with how many public mapsets each has.

    Example: satupeta organization list --search dinas --json
    """

    async def work(administration: Administration) -> list[records.Values]:
        organizations = administration.services.organizations
        return await records.rows_of(
            administration, organizations, {"is_active": is_active}, **page
        )

    write_listing(administer(context, work), _COLUMNS, form)


@command.command()
@click.argument("organization")
@listing_options
@click.pass_obj
def show(context: Context, organization: str, form: str | None) -> None:
    """Show one organization.

    Example: satupeta organization show "Dinas Pekerjaan Umum"
    """
    write_record(administer(context, lambda one: _shown(one, organization)), form)


@command.command()
@click.argument("name")
@_detail_options
@click.option("--inactive", is_flag=True, help="Only administrators and validators see it.")
@dry_run_option
@listing_options
@click.pass_obj
def create(
    context: Context,
    /,
    *,
    name: str,
    inactive: bool,
    dry_run: bool,
    form: str | None,
    **details: Any,
) -> None:
    """Create an organization, unless the same one is there already.

    Example: satupeta organization create "Dinas Perhubungan" --email dishub@example.org
    """
    values = {"name": name, **records.given(**details)}
    values |= {"is_active": False} if inactive else {}

    async def work(administration: Administration) -> tuple[str, records.Values]:
        outcome = await _ensure(administration, values, dry_run=dry_run)
        is_there = outcome == records.SAME or not dry_run
        return outcome, await _shown(administration, name) if is_there else {}

    outcome, shown = administer(context, work)
    records.tell(name, outcome, dry_run=dry_run, record=shown, form=form)


@command.command()
@click.argument("organization")
@click.option("--name", help="New name.")
@_detail_options
@dry_run_option
@click.pass_obj
def update(context: Context, /, *, organization: str, dry_run: bool, **options: Any) -> None:
    """Change what is given of an organization; "" takes a detail away.

    Example: satupeta organization update "Dinas Pekerjaan Umum" --phone-number "+62 31 5320011"
    """
    from satupeta_server.schemas.organizations import ORGANIZATION_FORM

    values = records.given(**options)
    if not values:
        raise click.UsageError("Say with an option what to change.")
    checked = ORGANIZATION_FORM.for_update(values)
    records.change_called(context, "organizations", organization, checked, dry_run=dry_run)


@command.command()
@click.argument("organization")
@dry_run_option
@click.pass_obj
def activate(context: Context, organization: str, *, dry_run: bool) -> None:
    """Show an organization to everybody again.

    Example: satupeta organization activate "Dinas Kehutanan"
    """
    _set_active(context, organization, is_active=True, dry_run=dry_run)


@command.command()
@click.argument("organization")
@dry_run_option
@click.pass_obj
def deactivate(context: Context, organization: str, *, dry_run: bool) -> None:
    """Show an organization only to those who administer; its mapsets and users stay.

    Example: satupeta organization deactivate "Dinas Kehutanan"
    """
    _set_active(context, organization, is_active=False, dry_run=dry_run)


@command.command()
@click.argument("organization")
@yes_option
@dry_run_option
@click.pass_obj
def delete(context: Context, organization: str, *, yes: bool, dry_run: bool) -> None:
    """Delete an organization; mapsets and users that refer to it stay and keep showing it.

    Example: satupeta organization delete "Dinas Kehutanan" --yes
    """
    shown = administer(context, lambda one: _shown(one, organization))
    what = f"{shown['name']}, which has {shown['mapsets']} mapsets and {shown['users']} users"
    confirm(f"Delete {what}?", yes=yes, dry_run=dry_run)

    async def work(administration: Administration) -> str:
        found = await _find(administration, shown["id"])
        organizations = administration.services.organizations
        return await records.delete(administration, organizations, found.id, dry_run=dry_run)

    records.tell(shown["name"], administer(context, work), dry_run=dry_run)


def _set_active(context: Context, organization: str, *, is_active: bool, dry_run: bool) -> None:
    values = {"is_active": is_active}
    records.change_called(context, "organizations", organization, values, dry_run=dry_run)


async def _ensure(administration: Administration, values: records.Values, *, dry_run: bool) -> str:
    from satupeta_server.schemas.organizations import ORGANIZATION_FORM
    from satupeta_server.services.accounts import already_there

    organizations, caller = administration.services.organizations, administration.caller
    checked = ORGANIZATION_FORM.for_create(values)
    if await already_there(organizations, caller, checked, by="name") is not None:
        return records.SAME
    async with administration.change(dry_run=dry_run):
        await organizations.create(caller, checked)
    return records.MADE


async def _find(administration: Administration, called: str) -> Any:
    from satupeta_server.services.finding import find

    return await find(administration.services.organizations, administration.caller, called)


async def _shown(administration: Administration, called: str) -> records.Values:
    import json

    from satupeta_server.models.mapsets import Mapset
    from satupeta_server.models.users import User

    found = await _find(administration, called)
    document = await administration.services.organizations.get(administration.caller, found.id)
    row: records.Values = json.loads(document.json)
    return row | {
        "mapsets": await _count(Mapset, Mapset.producer_id == found.id),
        "users": await _count(User, User.organization_id == found.id),
    }


async def _count(model: Any, condition: Any) -> int:
    number: int = await model.select().where(condition & model.living()).aio_count()
    return number
