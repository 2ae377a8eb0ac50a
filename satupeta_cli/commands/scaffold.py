"""``satupeta scaffold``: the files of a new resource."""

from pathlib import Path

import click

from satupeta_cli.context import Context
from satupeta_cli.options import dry_run_option
from satupeta_cli.output import listing_options, write_listing


@click.command()
@click.argument("name")
@click.option(
    "--fields",
    default="",
    help="Besides the name, such as note:text,size:number; kinds: text, number, boolean, day.",
)
@click.option("--singular", help="The name of one, where it is not NAME without its s.")
@dry_run_option
@listing_options
@click.pass_obj
def command(
    context: Context,
    name: str,
    *,
    fields: str,
    singular: str | None,
    dry_run: bool,
    form: str | None,
) -> None:
    """Write a new resource into the checkout in this folder: NAME is its plural, such as items.

    Records belong to the user who makes them; change that in security/permissions.py. It writes
    migration, model, representation, schema, service and tests, and a line wherever routes,
    permissions, trash and documents list what there is: all of it, or nothing.
    docs/create-an-endpoint.md explains each.

    Example: satupeta scaffold items --fields note:text,size:number --dry-run
    """
    from satupeta_cli import scaffolding
    from satupeta_server.errors import InputError

    checkout = Path.cwd()
    try:
        resource = scaffolding.read_resource(name, singular, fields)
        files = scaffolding.planned(checkout, resource)
        if not dry_run:
            scaffolding.write(files)
    except InputError as error:
        raise click.UsageError(str(error)) from None
    rows = [{"file": str(path.relative_to(checkout))} for path in files]
    write_listing(rows, ("file",), form)
    context.say(
        "Nothing was changed." if dry_run else "Next: make format, then the generated pages."
    )
