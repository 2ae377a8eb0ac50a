"""What the commands of plain records share: listing, looking, creating and changing them."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.output import Row, write_record

if TYPE_CHECKING:
    import uuid

    from satupeta_server.services.records import ReadService, RecordService

Function = TypeVar("Function", bound=Callable[..., Any])
Values = dict[str, Any]

MADE, CHANGED, DELETED, SAME = "created", "updated", "deleted", "unchanged"


def activity_option(command: Function) -> Function:
    """Give a listing ``--active`` and ``--inactive``, which reach it as ``is_active``."""
    return click.option(
        "--active/--inactive", "is_active", default=None, help="Only active ones, or only others."
    )(command)


def page_options(command: Function) -> Function:
    """Give a listing ``--search``, ``--sort`` and ``--limit``."""
    for option in (
        click.option("--limit", type=click.IntRange(min=1), help="So many rows at most."),
        click.option("--sort", help="Such as name:asc or created_at:desc."),
        click.option("--search", default="", help="Every word must occur, in any order."),
    ):
        command = option(command)
    return command


def given(**options: Any) -> Values:
    """Give the options that were used."""
    return {name: value for name, value in options.items() if value is not None}


async def rows_of(
    administration: Administration,
    service: "ReadService",
    equal: Mapping[str, object],
    *,
    search: str = "",
    sort: str | None = None,
    limit: int | None = None,
) -> list[Values]:
    """Give the records of a list as the API gives them, narrowed to equal values."""
    from satupeta_server.queries.filters import Atom
    from satupeta_server.queries.listing import ListRequest

    filters = tuple(
        (Atom(name, "=", str(value).lower()),) for name, value in equal.items() if value is not None
    )
    request = ListRequest(filters=filters, search=search, sort=sort, limit=limit)
    page = await service.list(administration.caller, request)
    rows: list[Values] = json.loads(page.items)
    return rows


async def change(
    administration: Administration,
    service: "RecordService",
    record_id: "uuid.UUID",
    values: Values,
    *,
    dry_run: bool = False,
) -> str:
    """Change a record; gives what came of it."""
    caller, outcome = administration.caller, SAME
    async with administration.change(dry_run=dry_run):
        # Held from here on, so its revision tells whether this very change is one.
        row = await service.locked(caller, record_id, None)
        before = row.revision
        document = await service.update(caller, record_id, values)
        if document.revision != before:
            outcome = CHANGED
    return outcome


async def delete(
    administration: Administration,
    service: "RecordService",
    record_id: "uuid.UUID",
    *,
    dry_run: bool = False,
) -> str:
    """Delete a record softly."""
    async with administration.change(dry_run=dry_run):
        await service.delete(administration.caller, record_id)
    return DELETED


def change_called(
    context: Context,
    subject: str,
    called: str,
    values: Values,
    *,
    dry_run: bool = False,
) -> None:
    """Change the one record that is called so, and tell what came of it."""

    async def work(administration: Administration) -> str:
        from satupeta_server.services.finding import find

        service = getattr(administration.services, subject)
        row = await find(service, administration.caller, called)
        return await change(administration, service, row.id, values, dry_run=dry_run)

    tell(called, administer(context, work), dry_run=dry_run)


def tell(
    called: str,
    outcome: str,
    *,
    dry_run: bool = False,
    record: Row | None = None,
    form: str | None = None,
) -> None:
    """Say what came of a change: a line for people, the record for programs."""
    if form is not None:
        write_record({"outcome": outcome, "is_dry_run": dry_run, **(record or {})}, form)
        return
    would = dry_run and outcome != SAME
    click.echo(f"{called}: {'would be ' if would else ''}{outcome}")
