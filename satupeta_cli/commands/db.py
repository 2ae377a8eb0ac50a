"""``satupeta db``: the database's tables and first data."""

import click

from satupeta_cli.context import Context, known_tables


@click.group()
def command() -> None:
    """Migrate and fill the database that DATABASE_URL names."""


@command.command()
@click.pass_obj
def upgrade(context: Context) -> None:
    """Apply all pending migrations.

    Example: satupeta db upgrade
    """
    from satupeta_server import migrating
    from satupeta_server.settings import require_servers

    url = require_servers(context.settings(), object_store=False)
    applied = migrating.upgrade(url)
    click.echo(f"{len(applied)} migrations applied")


@command.command()
@click.option("--to", help="Name of the last migration to keep; without it all are rolled back.")
@click.confirmation_option(prompt="This drops tables with all that is in them. Go on?")
@click.pass_obj
def downgrade(context: Context, to: str | None) -> None:
    """Roll migrations back.

    Example: satupeta db downgrade --to 0004.map-sources --yes
    """
    from satupeta_server import migrating
    from satupeta_server.settings import require_servers

    url = require_servers(context.settings(), object_store=False)
    if to is not None and to not in migrating.migration_names():
        raise click.BadParameter(f"{to!r} is no migration.", param_hint="--to")
    rolled_back = migrating.downgrade(url, to)
    click.echo(f"{len(rolled_back)} migrations rolled back")


@command.command()
@click.pass_obj
def seed(context: Context) -> None:
    """Add what every installation needs and does not have yet.

    Example: satupeta db seed
    """
    from satupeta_server import database
    from satupeta_server.seed.reference import seed_reference
    from satupeta_server.settings import require_servers

    settings = context.settings()
    require_servers(settings, object_store=False)
    database.connect(settings)
    with database.translated(), known_tables(), database.synchronous():
        seed_reference()
    click.echo("Seeded")
