"""``satupeta user``: users."""

import asyncio
from pathlib import Path

import click


@click.group()
def command() -> None:
    """Help users of the database that DATABASE_URL names."""


@command.command("reset-link")
@click.argument("username")
@click.pass_obj
def reset_link(env_file: Path, username: str) -> None:
    """Print a one-time link with which USERNAME sets a new password.

    Example: satupeta user reset-link budi
    """
    from satupeta_cli.context import command_settings, usable_database  # noqa: PLC0415
    from satupeta_server.errors import NotFoundError, StartError  # noqa: PLC0415
    from satupeta_server.services.logins import LoginService  # noqa: PLC0415
    from satupeta_server.services.sessions import SessionService  # noqa: PLC0415

    settings = command_settings(env_file)
    logins = LoginService(settings, SessionService(settings))

    async def make() -> str:
        with usable_database(settings) as database:
            try:
                return await logins.make_reset_token(username)
            finally:
                await database.aio_close()

    try:
        token = asyncio.run(make())
    except NotFoundError:
        raise StartError(f"There is no active user {username!r}.") from None
    click.echo(f"{settings.base_url}/api/auth/password-reset/page#{token}")
