"""``satupeta db``: the database's tables and first data."""

from pathlib import Path

import click


@click.group()
def command() -> None:
    """Migrate and fill the database that DATABASE_URL names."""


@command.command()
@click.pass_obj
def upgrade(env_file: Path) -> None:
    """Apply all pending migrations.

    Example: satupeta db upgrade
    """
    from satupeta_cli.context import command_settings  # noqa: PLC0415
    from satupeta_server import migrating  # noqa: PLC0415
    from satupeta_server.settings import require_servers  # noqa: PLC0415

    url = require_servers(command_settings(env_file), object_store=False)
    applied = migrating.upgrade(url)
    click.echo(f"{len(applied)} migrations applied")


@command.command()
@click.option("--to", help="Name of the last migration to keep; without it all are rolled back.")
@click.confirmation_option(prompt="This drops tables with all that is in them. Go on?")
@click.pass_obj
def downgrade(env_file: Path, to: str | None) -> None:
    """Roll migrations back.

    Example: satupeta db downgrade --to 0004.map-sources
    """
    from satupeta_cli.context import command_settings  # noqa: PLC0415
    from satupeta_server import migrating  # noqa: PLC0415
    from satupeta_server.settings import require_servers  # noqa: PLC0415

    url = require_servers(command_settings(env_file), object_store=False)
    if to is not None and to not in migrating.migration_names():
        raise click.BadParameter(f"{to!r} is no migration.", param_hint="--to")
    rolled_back = migrating.downgrade(url, to)
    click.echo(f"{len(rolled_back)} migrations rolled back")


@command.command()
@click.pass_obj
def seed(env_file: Path) -> None:
    """Add what every installation needs and does not have yet.

    Example: satupeta db seed
    """
    from satupeta_cli.context import command_settings, usable_database  # noqa: PLC0415
    from satupeta_server import database  # noqa: PLC0415
    from satupeta_server.seed.reference import seed_reference  # noqa: PLC0415

    with usable_database(command_settings(env_file)), database.synchronous():
        seed_reference()
    click.echo("Seeded")
