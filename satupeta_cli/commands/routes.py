"""``satupeta routes``: every method of every path."""

import click

from satupeta_cli.output import listing_options, write_listing


@click.command()
@listing_options
def command(form: str | None) -> None:
    """Print every route with the permission that it needs.

    Example: satupeta routes --json
    """
    from satupeta_server.routes import PREFIX, ROUTES

    rows = [
        {"method": method, "path": PREFIX + route.path, "permission": operation.permission}
        for route in ROUTES
        for method, operation in route.operations.items()
    ]
    write_listing(rows, ("method", "path", "permission"), form)
