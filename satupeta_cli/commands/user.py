"""``satupeta user``: users."""

import click

from satupeta_cli.context import Administration, Context, administer


@click.group()
def command() -> None:
    """Help users of the database that DATABASE_URL names."""


@command.command("reset-link")
@click.argument("username")
@click.pass_obj
def reset_link(context: Context, username: str) -> None:
    """Print a one-time link with which USERNAME sets a new password.

    Example: satupeta user reset-link budi
    """
    from satupeta_server.errors import NotFoundError

    async def make(administration: Administration) -> str:
        logins = administration.services.logins
        async with administration.change():
            token = await logins.make_reset_token(username)
            await administration.record("make_reset_link", "users", username=username)
        return f"{administration.settings.base_url}/api/auth/password-reset/page#{token}"

    try:
        link = administer(context, make)
    except NotFoundError:
        raise click.UsageError(f"There is no active user {username!r}.") from None
    click.echo(link)
