"""``satupeta routes``: every method of every path."""

import click


@click.command()
def command() -> None:
    """Print every route with the permission that it needs.

    Example: satupeta routes
    """
    from satupeta_server.routes import PREFIX, ROUTES

    for route in ROUTES:
        for method, operation in route.operations.items():
            click.echo(f"{method:<7} {PREFIX + route.path:<42} {operation.permission}")
