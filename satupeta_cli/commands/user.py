"""``satupeta user``: users, their passwords and their sessions."""

import os
from typing import TYPE_CHECKING, Any

import click

from satupeta_cli import records
from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.options import (
    PASSWORD_VARIABLE,
    confirm,
    dry_run_option,
    has_password,
    password_options,
    read_password,
    yes_option,
)
from satupeta_cli.output import as_json, listing_options, write_listing, write_record
from satupeta_cli.users import (
    checked_for_create,
    checked_for_update,
    find_user,
    flat,
    make_link,
    make_user,
    shown_user,
    with_ids,
)

if TYPE_CHECKING:
    import uuid


ROLES = click.Choice(["administrator", "data_validator", "data_manager", "data_viewer"])
_COLUMNS = ("username", "name", "email", "role", "organization", "is_active")
_SESSION_COLUMNS = ("id", "username", "created_at", "last_used_at", "last_address", "user_agent")


@click.group()
def command() -> None:
    """Make, change and help users; a USER is a username, an email address or an id."""


@command.command()
@click.argument("username")
@click.option("--name", required=True, help="Full name.")
@click.option("--email", required=True, help="Email address; nobody else's.")
@click.option("--role", type=ROLES, required=True, help="What the user may do.")
@click.option("--organization", help="Name or id; a data manager must have one.")
@click.option("--employee-id", help="NIP.")
@click.option("--position", help="Position in the organization.")
@click.option("--inactive", is_flag=True, help="The user cannot log in yet.")
@click.option("--reset-link", is_flag=True, help="Set no password; print a link that sets one.")
@password_options
@dry_run_option
@listing_options
@click.pass_obj
def create(
    context: Context,
    /,
    *,
    password_fd: int | None,
    dry_run: bool,
    form: str | None,
    **options: Any,
) -> None:
    """Create a user, unless the same one is there already.

    A user who is there keeps the password: so a script may run this at every start. The password
    comes from a prompt, from --password-fd or from the variable SATUPETA_PASSWORD.

    \b
    Example: satupeta user create siti --name "Siti Aminah" \\
        --email siti@example.org --role administrator --reset-link
    """
    from satupeta_server.errors import ConflictError

    with_link = options.pop("reset_link")
    active = {"is_active": False} if options.pop("inactive") else {}
    values = records.given(**options) | active

    async def find(administration: Administration) -> "uuid.UUID | None":
        from satupeta_server.services.accounts import already_there

        checked = await checked_for_create(administration, values)
        users = administration.services.users
        return await already_there(users, administration.caller, checked, by="username")

    found = administer(context, find)
    if found is not None:
        _tell_user(context, found, records.SAME, dry_run=dry_run, form=form)
        return
    password = None if with_link else _new_password(password_fd, is_optional=dry_run)

    async def make(administration: Administration) -> "uuid.UUID":
        given = values | records.given(password=password)
        return await make_user(administration, given, dry_run=dry_run)

    try:
        made = administer(context, make)
    except ConflictError:
        # Another process may have made the same user since we looked.
        found = administer(context, find)
        if found is None:
            raise
        _tell_user(context, found, records.SAME, form=form)
        return
    if dry_run:
        records.tell(options["username"], records.MADE, dry_run=True, form=form)
        return
    link = make_link(context, str(made)) if with_link else None
    _tell_user(context, made, records.MADE, form=form, reset_link=link)


@command.command("list")
@click.option("--role", type=ROLES, help="Only users of this role.")
@click.option("--organization", help="Only users of this one; name or id.")
@records.activity_option
@records.page_options
@listing_options
@click.pass_obj
def list_(
    context: Context,
    /,
    *,
    role: str | None,
    organization: str | None,
    is_active: bool | None,
    form: str | None,
    **page: Any,
) -> None:
    """List users.

    Example: satupeta user list --role data_manager --active --csv
    """

    async def work(administration: Administration) -> list[records.Values]:
        narrowed = await with_ids(
            administration, records.given(role=role, organization=organization)
        )
        equal = {**narrowed, "is_active": is_active}
        return await records.rows_of(administration, administration.services.users, equal, **page)

    write_listing(map(flat, administer(context, work)), _COLUMNS, form)


@command.command()
@click.argument("user")
@listing_options
@click.pass_obj
def show(context: Context, user: str, form: str | None) -> None:
    """Show one user, with sessions and failed logins.

    Example: satupeta user show administrator
    """
    write_record(administer(context, lambda one: shown_user(one, user)), form)


@command.command()
@click.argument("user")
@click.option("--username", help="New username.")
@click.option("--name", help="Full name.")
@click.option("--email", help="Email address.")
@click.option("--role", type=ROLES, help="What the user may do.")
@click.option("--organization", help='Name or id; "" takes it away.')
@click.option("--employee-id", help='NIP; "" takes it away.')
@click.option("--position", help='Position in the organization; "" takes it away.')
@dry_run_option
@click.pass_obj
def update(context: Context, /, *, user: str, dry_run: bool, **options: Any) -> None:
    """Change what is given of a user.

    Example: satupeta user update pengelola --position "Kepala Seksi" --dry-run
    """
    values = records.given(**options)
    if not values:
        raise click.UsageError("Say with an option what to change.")
    _change(context, user, values, dry_run=dry_run)


@command.command()
@click.argument("user")
@password_options
@dry_run_option
@click.pass_obj
def password(context: Context, user: str, password_fd: int | None, *, dry_run: bool) -> None:
    """Set a user's password; all sessions of the user end.

    The new password comes from a prompt, from --password-fd or from SATUPETA_PASSWORD.

    Example: satupeta user password viewer --password-fd 0 < password.txt
    """
    administer(context, lambda one: find_user(one, user))
    values = {"password": _new_password(password_fd)}
    _change(context, user, values, dry_run=dry_run)


@command.command()
@click.argument("user")
@dry_run_option
@click.pass_obj
def activate(context: Context, user: str, *, dry_run: bool) -> None:
    """Let a user log in again.

    Example: satupeta user activate viewer
    """
    _change(context, user, {"is_active": True}, dry_run=dry_run)


@command.command()
@click.argument("user")
@dry_run_option
@click.pass_obj
def deactivate(context: Context, user: str, *, dry_run: bool) -> None:
    """Let a user no longer log in, and end the user's sessions.

    The last active administrator stays.

    Example: satupeta user deactivate viewer
    """
    _change(context, user, {"is_active": False}, dry_run=dry_run)


@command.command()
@click.argument("user")
@yes_option
@dry_run_option
@click.pass_obj
def delete(context: Context, user: str, *, yes: bool, dry_run: bool) -> None:
    """Delete a user and end the user's sessions; what the user made stays.

    Example: satupeta user delete viewer --yes
    """
    found = administer(context, lambda one: find_user(one, user))
    confirm(f"Delete the user {found.username}?", yes=yes, dry_run=dry_run)

    async def work(administration: Administration) -> str:
        users = administration.services.users
        return await records.delete(administration, users, found.id, dry_run=dry_run)

    records.tell(user, administer(context, work), dry_run=dry_run)


@command.command("export-data")
@click.argument("user")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), default="-")
@click.pass_obj
def export_data(context: Context, user: str, file: str) -> None:
    """Write all that is kept of a person into FILE, as JSON; - is standard output.

    The account, sessions with addresses, the audit log, histories and revisions, mapsets, uploads
    and imports; of deleted users, too. That it was given out is recorded. Only its owner can read
    a new file.

    Example: satupeta user export-data viewer viewer.json
    """

    async def work(administration: Administration) -> str:
        from satupeta_server.services.finding import find

        data, caller = administration.services.personal_data, administration.caller
        found = await find(data, caller, user)
        return as_json(await data.export(caller, found.id))

    text = administer(context, work)
    if file == "-":
        click.echo(text)
        return
    try:
        with open(file, "w", encoding="utf-8", opener=_private) as written:
            written.write(f"{text}\n")
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror}.") from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@command.command()
@click.argument("user")
@yes_option
@dry_run_option
@click.pass_obj
def erase(context: Context, user: str, *, yes: bool, dry_run: bool) -> None:
    """Erase what tells of a user as a person, for good; what the user did stays, without a name.

    Name, username, addresses, NIP, position, picture and password go, and all sessions end. The
    user is deleted and can never be restored. The audit log loses names and addresses of the
    person, and nothing else. The last active administrator stays.

    Example: satupeta user erase viewer --dry-run
    """

    async def find_person(administration: Administration) -> Any:
        from satupeta_server.services.finding import find

        return await find(administration.services.personal_data, administration.caller, user)

    found = administer(context, find_person, object_store=True)
    confirm(f"Erase all that tells of {found.name}, for good?", yes=yes, dry_run=dry_run)

    async def work(administration: Administration) -> str:
        data, caller = administration.services.personal_data, administration.caller
        if not dry_run:
            return "erased" if await data.erase(caller, found.id) else records.SAME
        outcome = records.SAME
        async with administration.change(dry_run=True):
            if await data.erase(caller, found.id, is_trial=True):
                outcome = "erased"
        return outcome

    records.tell(user, administer(context, work, object_store=True), dry_run=dry_run)


@command.command()
@click.argument("user")
@click.argument("role", type=ROLES)
@click.option("--organization", help="Name or id; a data manager must have one.")
@dry_run_option
@click.pass_obj
def role(
    context: Context, user: str, role: str, organization: str | None, *, dry_run: bool
) -> None:
    """Give a user another role; it holds at once, in open sessions too.

    Example: satupeta user role viewer data_manager
    """
    values = records.given(role=role, organization=organization)
    _change(context, user, values, dry_run=dry_run)


@command.command()
@click.argument("user")
@dry_run_option
@click.pass_obj
def unlock(context: Context, user: str, *, dry_run: bool) -> None:
    """Take the delay away that failed logins have put on a user's next ones.

    Example: satupeta user unlock pengelola
    """

    async def work(administration: Administration) -> str:
        found = await find_user(administration, user)
        outcome = records.SAME
        async with administration.change(dry_run=dry_run):
            if await administration.services.logins.forget_failures(found.username):
                outcome = "unlocked"
                await administration.record("unlock", "users", found.id)
        return outcome

    records.tell(user, administer(context, work), dry_run=dry_run)


@command.command("reset-link")
@click.argument("user")
@dry_run_option
@click.pass_obj
def reset_link(context: Context, user: str, *, dry_run: bool) -> None:
    """Print a one-time link with which USER sets a new password; older links end.

    Example: satupeta user reset-link pengelola
    """
    link = make_link(context, user, dry_run=dry_run)
    if dry_run:
        records.tell(user, "given a link", dry_run=True)
    else:
        click.echo(link)


@command.group()
def sessions() -> None:
    """See and end the sessions of users."""


@sessions.command("list")
@click.argument("user", required=False)
@listing_options
@click.pass_obj
def list_sessions(context: Context, user: str | None, form: str | None) -> None:
    """List the open sessions, of USER or of all, the last used first.

    Example: satupeta user sessions list pengelola
    """

    async def work(administration: Administration) -> list[dict[str, Any]]:
        from satupeta_server.services.accounts import open_sessions

        found = await find_user(administration, user) if user else None
        return await open_sessions(administration.caller, found.id if found else None)

    write_listing(administer(context, work), _SESSION_COLUMNS, form, hint="No open session.")


@sessions.command()
@click.argument("user")
@click.argument("session", required=False, type=click.UUID)
@click.option("--all", "every", is_flag=True, help="End all sessions of the user.")
@dry_run_option
@click.pass_obj
def revoke(
    context: Context, user: str, session: "uuid.UUID | None", *, every: bool, dry_run: bool
) -> None:
    """End one session of USER, or all; whoever uses it must log in again.

    Example: satupeta user sessions revoke pengelola --all
    """
    if every == (session is not None):
        raise click.UsageError("Name one SESSION, or say --all.")

    async def work(administration: Administration) -> int:
        from satupeta_server.services.accounts import revoke_sessions

        found = await find_user(administration, user)
        async with administration.change(dry_run=dry_run):
            ended = await revoke_sessions(administration.caller, found.id, session)
            if ended:
                details = {"sessions": ended}
                await administration.record("revoke_sessions", "users", found.id, **details)
        return ended

    ended = administer(context, work)
    records.tell(user, f"{ended} sessions ended" if ended else records.SAME, dry_run=dry_run)


def _change(context: Context, user: str, values: records.Values, *, dry_run: bool) -> None:
    async def work(administration: Administration) -> str:
        found = await find_user(administration, user)
        checked = await checked_for_update(administration, values)
        users = administration.services.users
        return await records.change(administration, users, found.id, checked, dry_run=dry_run)

    records.tell(user, administer(context, work), dry_run=dry_run)


def _new_password(password_fd: int | None, *, is_optional: bool = False) -> str | None:
    if is_optional and not has_password(password_fd):
        return None
    return read_password(password_fd, f"New password (or set {PASSWORD_VARIABLE})")


def _tell_user(
    context: Context,
    user_id: "uuid.UUID",
    outcome: str,
    *,
    dry_run: bool = False,
    form: str | None,
    reset_link: str | None = None,
) -> None:
    shown = administer(context, lambda one: shown_user(one, str(user_id)))
    if reset_link is not None and form is None:
        # The link alone is the result, so that a script can take it.
        context.say(f"{shown['username']}: {outcome}")
        click.echo(reset_link)
        return
    shown |= records.given(reset_link=reset_link)
    records.tell(shown["username"], outcome, dry_run=dry_run, record=shown, form=form)
