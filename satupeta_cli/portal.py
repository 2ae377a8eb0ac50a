"""``satupeta import portal``: a whole portal from another backend."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.options import dry_run_option, password_options, read_password
from satupeta_cli.output import listing_options, write_listing
from satupeta_cli.progress import progress

if TYPE_CHECKING:
    from satupeta_server.transfer.portal.links import LinkFile
    from satupeta_server.transfer.portal.moving import Advance, Moved, Plan, Told

# Repeated here so that help comes without loading what moves.
RESOURCES = (
    "roles", "organizations", "users", "categories", "classifications", "map_projection_systems",
    "regionals", "credentials", "map_sources", "mapsets", "histories", "news",
)  # fmt: skip
COLUMNS = (
    "resource", "created", "updated", "unchanged", "mapped", "skipped", "failed", "incomplete",
)  # fmt: skip

_PATH = click.Path(dir_okay=False, path_type=Path)


class _RefusedError(click.ClickException):
    """What was typed does not fit; said in a sentence, as what the services refuse."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Write it."""
        click.echo(f"satupeta: {self.message}", file=file, err=True)


@click.command("portal")
@click.argument("address", metavar="URL")
@click.option("--username", required=True, help="An administrator there.")
@password_options
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(RESOURCES),
    help="Move this resource; can be given several times. Mapsets come with their histories.",
)
@click.option("--update", "may_update", is_flag=True, help="Where both differ, take theirs.")
@click.option(
    "--known-as",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="Another name of their host, as links in their news have it.",
)
@click.option("--report", type=_PATH, help="Write each record's result here (.jsonl, .csv).")
@click.option(
    "--reset-links", type=_PATH, help="Write one-time links of users without a password here."
)
@click.option("--ask-initial", is_flag=True, help="Ask for one first password of all new users.")
@click.option(
    "--initial-password-fd",
    type=click.IntRange(min=0),
    help="Read that first password from this file descriptor.",
)
@dry_run_option
@listing_options
@click.pass_obj
def command(
    context: Context,
    /,
    *,
    address: str,
    username: str,
    password_fd: int | None,
    report: Path | None,
    reset_links: Path | None,
    form: str | None,
    **options: Any,
) -> int:
    """Move a whole portal here from another backend, at URL, that has the same API.

    Every record keeps its id and its dates, pictures come with the records that show them, and
    credentials are encrypted under our own key. It may be interrupted and run again: what is
    here is not touched, unless --update says so, and a record that another one here stands in
    the way of is reported as failed. Passwords cannot be read: see --reset-links.

    The password of the user there comes from a prompt, from --password-fd or from the variable
    SATUPETA_PASSWORD.

    Example: satupeta import portal "$OLD_PORTAL" --username administrator --dry-run
    """
    from satupeta_server.errors import InputError
    from satupeta_server.transfer.portal.links import link_file
    from satupeta_server.transfer.portal.report import reporting

    try:
        with contextlib.ExitStack() as stack:
            links = None if options["dry_run"] else stack.enter_context(link_file(reset_links))
            told = stack.enter_context(reporting(report))
            plan = _plan(context, options)
            password = read_password(password_fd, f"Password of {username} there", is_new=False)
            run = _Run(context, address, username, password, plan, told, form)
            moved = administer(context, lambda one: run.work(one, links), object_store=True)
    except InputError as error:
        raise _RefusedError(str(error)) from None
    _tell_passwords(context, moved, has_links=reset_links is not None)
    return 0 if moved.tally.is_whole else 1


def _plan(context: Context, options: dict[str, Any]) -> "Plan":
    from satupeta_server.transfer.portal.moving import Plan
    from satupeta_server.transfer.portal.passwords import checked_hash

    first: str | None = None
    if options["initial_password_fd"] is not None or options["ask_initial"]:
        first = read_password(
            options["initial_password_fd"], "First password of new users", variable=None
        )
    return Plan(
        options["only"] or RESOURCES,
        may_update=options["may_update"],
        is_dry_run=options["dry_run"],
        hosts=options["hosts"],
        password_hash=first and checked_hash(first, context.settings().bcrypt_rounds),
    )


@dataclass(frozen=True)
class _Run:
    """One move, from the login to its totals."""

    context: Context
    address: str
    username: str
    password: str
    plan: "Plan"
    told: "Told"
    form: str | None

    async def work(self, administration: Administration, links: "LinkFile | None") -> "Moved":
        """Move, and write the totals, however it ends."""
        from satupeta_server.fetching import Guard
        from satupeta_server.transfer.portal.client import PortalClient
        from satupeta_server.transfer.portal.exchange import Exchange
        from satupeta_server.transfer.portal.moving import Move

        services, caller = administration.services, administration.caller
        guard = Guard(services.settings.fetch_allowed_networks)
        with Exchange(guard) as exchange:
            client = PortalClient(exchange, self.username, self.password)
            await client.open(self.address)
            self._warn(client.base, await client.role())
            move = Move(client, services, caller, self.plan, self.told, self._watch)
            try:
                await move.run()
                if links is not None:
                    await links.write(services, caller, move.moved.without_password)
                await client.close()
            finally:
                write_listing(move.moved.tally.rows(), COLUMNS, self.form, hint="Nothing came.")
        return move.moved

    def _warn(self, base: str, role: str | None) -> None:
        if base.startswith("http://"):
            self.context.say(f"{base} is not encrypted: others on the way may read what comes.")
        if role not in (None, "administrator"):
            self.context.say(
                f"{self.username} is {role} there: what only administrators may read stays."
            )

    @contextlib.contextmanager
    def _watch(self, resource: str, total: int | None) -> "Iterator[Advance]":
        quiet = self.context.is_quiet
        with progress(f"Moving {resource}", total, is_quiet=quiet, unit="records") as advance:
            yield advance


def _tell_passwords(context: Context, moved: "Moved", *, has_links: bool) -> None:
    number = len(moved.without_password)
    if not number or has_links:
        return
    context.say(
        f"{number} users who came have no password, which no portal tells: run it again with"
        " --reset-links FILE, or use satupeta user reset-link USER."
    )
