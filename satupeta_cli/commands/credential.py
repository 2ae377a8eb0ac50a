"""``satupeta credential``: access data of map servers, and the keys that encrypt it."""

from typing import TYPE_CHECKING, Any

import click

from satupeta_cli import records
from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.options import dry_run_option
from satupeta_cli.output import listing_options, write_listing, write_record
from satupeta_cli.progress import progress

if TYPE_CHECKING:
    from satupeta_server.services.key_rotation import Rotation

_COLUMNS = ("name", "credential_type", "environment", "version", "key", "last_used_at", "is_active")


@click.group()
def command() -> None:
    """See stored credentials, and encrypt them anew; what they keep secret is never shown."""


@command.command("list")
@records.activity_option
@records.page_options
@listing_options
@click.pass_obj
def list_(context: Context, /, *, is_active: bool | None, form: str | None, **page: Any) -> None:
    """List the stored credentials, with the id of the key that encrypts each.

    Example: satupeta credential list --json
    """

    async def work(administration: Administration) -> list[records.Values]:
        credentials = administration.services.credentials
        rows = await records.rows_of(administration, credentials, {"is_active": is_active}, **page)
        keys = await _keys()
        return [_flat(row, keys) for row in rows]

    write_listing(administer(context, work), _COLUMNS, form)


@command.command()
@click.argument("credential")
@listing_options
@click.pass_obj
def show(context: Context, credential: str, form: str | None) -> None:
    """Show one credential, by name or id, and the map sources that use it.

    Example: satupeta credential show GeoServer
    """

    async def work(administration: Administration) -> records.Values:
        import json

        from satupeta_server.models.map_sources import MapSource
        from satupeta_server.services.finding import find

        credentials = administration.services.credentials
        found = await find(credentials, administration.caller, credential)
        row = json.loads((await credentials.get(administration.caller, found.id)).json)
        users = MapSource.select(MapSource.name).where(
            (MapSource.credential_id == found.id) & MapSource.living()
        )
        shown = _flat(row, await _keys())
        shown["key_is_known"] = shown["key"] in administration.settings.encryption_key_ring()
        shown["map_sources"] = [source.name for source in await users.aio_execute()]
        return shown

    write_record(administer(context, work), form)


@command.command("rotate-key")
@dry_run_option
@listing_options
@click.pass_obj
def rotate_key(context: Context, *, dry_run: bool, form: str | None) -> None:
    """Encrypt all credentials under the first key of ENCRYPTION_KEYS.

    Put the new key first (openssl rand -base64 32 makes one), keep the old ones, start the API
    processes anew, then run this. It may be interrupted and run again. Every value is decrypted
    and compared before it is written. At the end it says which keys may be removed. The exit
    code is 1 while any credential needs another key.

    Example: satupeta credential rotate-key --dry-run
    """
    rotation = administer(context, lambda one: _rotate(one, dry_run=dry_run))
    if form is not None:
        write_record(_report(rotation, dry_run=dry_run), form)
    else:
        _tell(rotation, dry_run=dry_run)
    if rotation.needed:
        # 1: some could not be moved.
        click.get_current_context().exit(1)


async def _rotate(administration: Administration, *, dry_run: bool) -> "Rotation":
    from satupeta_server.services.key_rotation import KeyRotation

    context = administration.context
    told: list[bool] = []

    def wait() -> None:
        if not told:
            context.say("Another rotation is under way; this one takes turns with it.")
            told.append(True)

    rotation = KeyRotation(administration.settings)
    total = await rotation.pending()
    with progress("Encrypting", total, is_quiet=context.is_quiet, unit="credentials") as advance:
        return await rotation.run(
            administration.caller, dry_run=dry_run, advance=advance, wait=wait
        )


def _report(rotation: "Rotation", *, dry_run: bool) -> records.Values:
    return {
        "key": rotation.key_id,
        "is_dry_run": dry_run,
        "rotated": rotation.rotated,
        "failed": [{"id": str(one.id), "name": one.name} for one in rotation.failed],
        "still_needed": rotation.needed,
        "may_be_removed": rotation.unused,
    }


def _tell(rotation: "Rotation", *, dry_run: bool) -> None:
    verb = "would be encrypted" if dry_run else "encrypted"
    click.echo(f"{rotation.rotated} credentials {verb} under the key “{rotation.key_id}”")
    for one in rotation.failed:
        click.echo(
            f"{one.name} ({one.id}): its key “{one.key_id}” is not in ENCRYPTION_KEYS or does "
            "not open it; put the key back, or give the credential new data",
            err=True,
        )
    for key_id, count in rotation.needed.items():
        click.echo(f"{count} credentials still need the key “{key_id}”: keep it", err=True)
    for key_id in rotation.unused:
        verb = "would be needed" if dry_run else "is needed"
        click.echo(f"The key “{key_id}” {verb} by none; it may leave ENCRYPTION_KEYS")


def _flat(row: records.Values, keys: dict[str, str]) -> records.Values:
    metadata = row["credential_metadata"]
    shown = {"environment": metadata["environment"], "version": metadata["version"]}
    return {**row, **shown, "key": keys.get(row["id"])}


async def _keys() -> dict[str, str]:
    """Give the id of each credential's encryption key."""
    from satupeta_server.models.credentials import Credential

    query = Credential.select(Credential.id, Credential.encryption_key_id).tuples()
    return {str(record_id): key_id for record_id, key_id in await query.aio_execute()}
