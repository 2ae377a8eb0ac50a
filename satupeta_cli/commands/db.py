"""``satupeta db``: the database's tables and first data, backups, and copies to test with."""

import contextlib
from pathlib import Path

import click

from satupeta_cli.context import Context, administer, command_caller, known_tables
from satupeta_cli.databases import counted, refusals, server_settings, size_text
from satupeta_cli.options import (
    confirm,
    dry_run_option,
    has_password,
    password_options,
    read_password,
    yes_option,
)
from satupeta_cli.output import listing_options, write_listing
from satupeta_cli.progress import progress

FILE = click.Path(allow_dash=True, dir_okay=False, path_type=Path)
_NO_OBJECTS = "Only the database; the bucket is left alone."


@click.group()
def command() -> None:
    """Migrate, fill, back up and restore the database, and the objects of its files."""


@command.command()
@dry_run_option
@click.pass_obj
def upgrade(context: Context, *, dry_run: bool) -> None:
    """Apply all pending migrations.

    Example: satupeta db upgrade
    """
    from satupeta_server.maintenance import migrations

    settings = server_settings(context)
    if dry_run:
        found = migrations.migrations(settings)
        applied = [one.name for one in found if one.state == "pending"]
        for name in applied:
            context.say(f"Would apply migration {name}")
    else:
        applied = migrations.upgrade(settings, command_caller(), context.say)
    click.echo(f"{len(applied)} migrations {'would be ' if dry_run else ''}applied")


@command.command()
@click.option("--to", help="Name of the last migration to keep; without it all are rolled back.")
@yes_option
@dry_run_option
@click.pass_obj
def downgrade(context: Context, to: str | None, *, yes: bool, dry_run: bool) -> None:
    """Roll migrations back, with all that stands in the tables that they made.

    Example: satupeta db downgrade --to 0004.map-sources --yes
    """
    from satupeta_server.maintenance import migrations
    from satupeta_server.maintenance.connections import place

    settings = server_settings(context)
    with refusals():
        names = migrations.to_roll_back(settings, to)
        for name in names:
            context.say(f"{'Would roll' if dry_run else 'To be rolled'} back: {name}")
        if names:
            question = f"This drops tables of {place(settings)} with all that is in them. Go on?"
            confirm(question, yes=yes, dry_run=dry_run)
        if names and not dry_run:
            names = migrations.downgrade(settings, command_caller(), to, context.say)
    click.echo(f"{len(names)} migrations {'would be ' if dry_run else ''}rolled back")


@command.command()
@click.option("--tables", is_flag=True, help="List the tables: about how many rows, what size.")
@listing_options
@click.pass_obj
def status(context: Context, *, tables: bool, form: str | None) -> None:
    """List the migrations, applied or pending, with the time (UTC); or the tables.

    Example: satupeta db status
    """
    from satupeta_server.maintenance import migrations

    settings = server_settings(context)
    server = migrations.server(settings)
    found = migrations.migrations(settings)
    if tables:
        rows = migrations.tables(settings)
        write_listing(rows, ("table", "rows", "bytes"), form, hint="There are no tables yet.")
    else:
        listed = [vars(one) for one in found]
        write_listing(listed, ("name", "state", "applied_at"), form)
    pending = sum(one.state == "pending" for one in found)
    context.say(
        f"PostgreSQL {server.version}, database {server.database}, {size_text(server.size)}, "
        f"{pending} migrations pending"
    )


@command.command("count-ahead")
@click.pass_obj
def count_ahead(context: Context) -> None:
    """Count what visitors ask for most, so that none of them waits for it.

    Of use right after an import of very many mapsets; from then on the counts are kept.

    Example: satupeta db count-ahead
    """
    number = administer(context, lambda each: each.services.counting_ahead.run())
    click.echo(f"{number} counts are kept")


@command.command()
@listing_options
@click.pass_obj
def check(context: Context, form: str | None) -> int:
    """Tell what keeps the tables from being those of this version.

    The exit code is 1 when a migration is pending, or one is applied that this version does not
    know.

    Example: satupeta db check
    """
    from satupeta_server.maintenance import migrations

    found = migrations.migrations(server_settings(context))
    wrong = [one for one in found if one.state != "applied"]
    rows = [{"name": one.name, "state": one.state} for one in wrong]
    write_listing(rows, ("name", "state"), form, hint=f"All {len(found)} migrations are applied.")
    if any(one.state == "pending" for one in wrong):
        context.say("Run satupeta db upgrade.")
    if any(one.state == "unknown" for one in wrong):
        context.say("Unknown ones are of another version of the program; install that.")
    return 1 if wrong else 0


@command.command()
@click.argument("name")
@dry_run_option
def new(name: str, *, dry_run: bool) -> None:
    """Begin a migration: write its two files, after all that there are.

    Example: satupeta db new licences-of-mapsets --dry-run
    """
    from satupeta_server.maintenance import migrations

    with refusals():
        written = migrations.write_new(name, is_dry_run=dry_run)
    for file_name in written:
        click.echo(f"migrations/{file_name}{': would be written' if dry_run else ''}")


@command.command()
@dry_run_option
@click.pass_obj
def seed(context: Context, *, dry_run: bool) -> None:
    """Add what every installation needs and does not have yet.

    Example: satupeta db seed
    """
    from satupeta_server import database
    from satupeta_server.seed.recorded import seed as add_reference

    database.connect(server_settings(context))
    with database.translated(), known_tables(), database.synchronous():
        added = add_reference(command_caller(), is_dry_run=dry_run)
    _tell_added("Seed", added, dry_run=dry_run)


@command.command()
@click.option("--count", type=click.IntRange(min=0), default=500, show_default=True,
              help="So many mapsets.")  # fmt: skip
@yes_option
@dry_run_option
@click.pass_obj
def sample(context: Context, count: int, *, yes: bool, dry_run: bool) -> None:
    """Load a made-up catalogue: mapsets, and organizations, users, servers, news and pictures.

    The same count gives the same records everywhere; what is there is not added again. The
    bucket is made where it is missing. In production it asks first.

    Example: satupeta db sample --count 20
    """
    from satupeta_server import database
    from satupeta_server.maintenance.connections import place
    from satupeta_server.seed.recorded import add_sample
    from satupeta_server.seed.sample.load import missing_mapsets
    from satupeta_server.storage import ObjectStore

    settings = server_settings(context, object_store=True)
    if settings.environment == "production":
        question = f"This mixes made-up records with those of {place(settings)}. Go on?"
        confirm(question, yes=yes, dry_run=dry_run)
    database.connect(settings)
    with database.translated(), known_tables(), database.synchronous():
        if dry_run:
            missing = missing_mapsets(count)
            _tell_added("Sample", {"mapsets": missing} if missing else {}, dry_run=True)
            return
        with contextlib.closing(ObjectStore(settings)) as store:
            store.ensure_bucket()
            with progress("Loading", count, is_quiet=context.is_quiet, unit="mapsets") as advance:
                done = 0

                def tell(now: int, _count: int) -> None:
                    nonlocal done
                    advance(now - done)
                    done = now

                added = add_sample(settings, store, command_caller(), count, tell)
    _tell_added("Sample", added)


@command.command()
@click.argument("file", type=FILE)
@click.option("--no-objects", is_flag=True, help=_NO_OBJECTS)
@yes_option
@listing_options
@click.pass_obj
def backup(context: Context, file: Path, *, no_objects: bool, yes: bool, form: str | None) -> int:
    """Write one moment of the database, and the objects of its files, into FILE.

    The system goes on working meanwhile. FILE, or - for standard output, is a tar with checksums;
    it has its name only once it is whole, and only its owner can read it. It does not hold
    SECRET_KEY and ENCRYPTION_KEYS: keep those elsewhere. The exit code is 1 when an object is
    missing or not what its row says; all others are in the backup all the same.

    Example: satupeta db backup satupeta-2026-01-31.satupeta.tar
    """
    from satupeta_cli.backups import back_up

    return back_up(context, file, with_objects=not no_objects, yes=yes, form=form)


@command.command()
@click.argument("file", type=FILE)
@click.option("--verify-only", is_flag=True, help="Only read it and compare its checksums.")
@click.option("--no-objects", is_flag=True, help=_NO_OBJECTS)
@yes_option
@dry_run_option
@listing_options
@click.pass_obj
def restore(
    context: Context,
    file: Path,
    *,
    verify_only: bool,
    no_objects: bool,
    yes: bool,
    dry_run: bool,
    form: str | None,
) -> int:
    """Bring the database and the objects back as a backup has them.

    FILE, or - for standard input, is read whole and verified before anything is changed. Then
    objects are put into the bucket, which is made where it is missing, and all rows are replaced
    in one transaction. Into a database that holds anything it asks first. It may be interrupted
    and run again. The settings, with SECRET_KEY and ENCRYPTION_KEYS, are not in a backup.

    Example: satupeta db restore satupeta-2026-01-31.satupeta.tar --yes
    """
    from satupeta_cli.backups import Wish, restore

    wish = Wish(verify_only=verify_only, with_objects=not no_objects, yes=yes, dry_run=dry_run)
    return restore(context, file, wish, form)


@command.command()
@click.option("--organizations", is_flag=True,
              help="Their addresses, too; they are public otherwise.")  # fmt: skip
@password_options
@yes_option
@dry_run_option
@listing_options
@click.pass_obj
def anonymize(
    context: Context,
    *,
    organizations: bool,
    password_fd: int | None,
    yes: bool,
    dry_run: bool,
    form: str | None,
) -> None:
    """Make a copy of the system fit to be tested with; never in production.

    Names and addresses of users, notes, file names, and what the audit log says of persons are
    replaced or removed, in one transaction; sessions end, and stored credentials become empty.
    All active users get the password from --password-fd or SATUPETA_PASSWORD; without one nobody
    can log in. Objects, pictures of persons among them, stay as they are.

    Example: satupeta db anonymize --dry-run
    """
    from satupeta_server.maintenance import anonymizing
    from satupeta_server.maintenance.connections import place

    settings = server_settings(context)
    with refusals(), known_tables():
        anonymizing.check_allowed(settings)
        password = read_password(password_fd) if has_password(password_fd) else None
        question = f"This replaces what tells of persons in {place(settings)}, for good. Go on?"
        confirm(question, yes=yes, dry_run=dry_run)
        counts = anonymizing.anonymize(
            settings,
            command_caller(),
            password=password,
            with_organizations=organizations,
            is_dry_run=dry_run,
        )
    rows = [{"table": name, "rows": count} for name, count in counts.items()]
    write_listing(rows, ("table", "rows"), form)
    if dry_run:
        context.say("Nothing was changed.")
    elif password is None:
        context.say("No user can log in; set passwords with satupeta user password.")


@command.command("break-lock")
@dry_run_option
@click.pass_obj
def break_lock(context: Context, *, dry_run: bool) -> int:
    """Remove the lock that a killed migration left behind.

    It is not needed before upgrade, downgrade and restore, which do the same. While a process
    really works on the tables nothing is removed; it is named, and the exit code is 1.

    Example: satupeta db break-lock
    """
    from satupeta_server.maintenance import migrations

    found = migrations.break_lock(server_settings(context), command_caller(), is_dry_run=dry_run)
    if isinstance(found, migrations.Holder):
        raise click.ClickException(
            f"A process works on the tables: number {found.pid} in PostgreSQL, from {found.host}, "
            f"since {found.since:%Y-%m-%d %H:%M:%S %z}. Its lock is not broken."
        )
    would = "would be " if dry_run else ""
    click.echo(f"Lock: {would}broken" if found else "Lock: unchanged; there is none")
    return 0


def _tell_added(called: str, added: dict[str, int], *, dry_run: bool = False) -> None:
    would = "would be " if dry_run else ""
    click.echo(f"{called}: {counted(added)} {would}added" if added else f"{called}: unchanged")
