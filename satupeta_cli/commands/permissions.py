"""``satupeta permissions``: the permission table."""

from typing import Any

import click

from satupeta_cli.output import listing_options, write_listing


@click.command()
@listing_options
def command(form: str | None) -> None:
    """Print who may do what, and on which records; a dash means nobody may.

    Example: satupeta permissions --csv
    """
    from satupeta_server.security.permissions import CALLERS, GRANTS

    nothing: Any = None if form else "–"
    rows = [
        {"permission": permission, **{caller: granted.get(caller, nothing) for caller in CALLERS}}
        for permission, granted in GRANTS.items()
    ]
    write_listing(rows, ("permission", *CALLERS), form)
