"""``satupeta permissions``: the permission table."""

import click


@click.command()
def command() -> None:
    """Print who may do what.

    Example: satupeta permissions
    """
    from satupeta_server.security.permissions import CALLERS, GRANTS

    width = max(map(len, GRANTS)) + 2
    click.echo("permission".ljust(width) + "".join(caller.ljust(22) for caller in CALLERS))
    for permission, granted in GRANTS.items():
        scopes = "".join(str(granted.get(caller, "–")).ljust(22) for caller in CALLERS)
        click.echo((permission.ljust(width) + scopes).rstrip())
