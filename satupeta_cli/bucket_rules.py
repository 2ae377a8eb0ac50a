"""``satupeta bucket lifecycle``, ``policy`` and ``versioning``: how the bucket is set up."""

from typing import Any

import click

from satupeta_cli import records
from satupeta_cli.buckets import opened, record, sentences
from satupeta_cli.context import Context
from satupeta_cli.options import confirm, dry_run_option, yes_option
from satupeta_cli.output import listing_options, write_listing, write_record

_RULE_COLUMNS = ("name", "is_enabled", "prefix", "does")


@click.group()
def lifecycle() -> None:
    """See and set what the store tidies up by itself; living objects never expire."""


@lifecycle.command("show")
@listing_options
@click.pass_obj
def show_lifecycle(context: Context, form: str | None) -> None:
    """List the rules, those that others made too.

    Example: satupeta bucket lifecycle show
    """
    from satupeta_server.maintenance.bucket_lifecycle import rules

    with opened(context) as (_, store):
        rows = [
            {
                "name": one.name, "is_enabled": one.is_enabled, "prefix": one.prefix,
                "does": one.does, "is_ours": one.is_ours,
            }
            for one in rules(store)
        ]  # fmt: skip
    write_listing(rows, _RULE_COLUMNS, form, hint="There are no rules.")


@lifecycle.command("set")
@click.option("--abort-unfinished-after", help="Whole days, such as 7d.")
@click.option("--remove-old-versions-after", help="Whole days, such as 30d.")
@dry_run_option
@click.pass_obj
def set_lifecycle(context: Context, /, *, dry_run: bool, **options: str | None) -> None:
    """Let the store end unfinished uploads, and remove old versions of objects, after a while.

    Rules of other names stay as they are.

    Example: satupeta bucket lifecycle set --abort-unfinished-after 7d
    """
    from satupeta_server.maintenance import bucket_lifecycle as rules
    from satupeta_server.maintenance.durations import whole_days

    names = {
        rules.ABORT_UNFINISHED: options["abort_unfinished_after"],
        rules.REMOVE_OLD_VERSIONS: options["remove_old_versions_after"],
    }
    with sentences():
        days = {name: whole_days(text) for name, text in names.items() if text is not None}
    if not days:
        raise click.UsageError("Say with an option what to set.")
    with opened(context) as (_, store):
        changed = rules.set_rules(store, days, dry_run=True)
        if changed and not dry_run:
            record(context, "set_lifecycle", **days)
            rules.set_rules(store, days)
    _tell("lifecycle", records.CHANGED, is_change=bool(changed), dry_run=dry_run)


@lifecycle.command("clear")
@yes_option
@dry_run_option
@click.pass_obj
def clear_lifecycle(context: Context, *, yes: bool, dry_run: bool) -> None:
    """Take all rules away, those that others made too.

    Example: satupeta bucket lifecycle clear --yes
    """
    from satupeta_server.maintenance.bucket_lifecycle import clear_rules, rules

    with opened(context) as (_, store):
        names = [one.name for one in rules(store)]
        if names:
            listed = ", ".join(names)
            confirm(f"Take away the rules {listed}?", yes=yes, dry_run=dry_run)
        if names and not dry_run:
            record(context, "clear_lifecycle", rules=names)
            clear_rules(store)
    _tell("lifecycle", "cleared", is_change=bool(names), dry_run=dry_run)


@click.group()
def policy() -> None:
    """See what anybody may do without a key, and close it."""


@policy.command("show")
@listing_options
@click.pass_obj
def show_policy(context: Context, form: str | None) -> None:
    """Show what callers without a key may do, by the policy and really tried.

    The exit code is 1 when there is anything.

    Example: satupeta bucket policy show
    """
    from satupeta_server.maintenance.bucket_policy import anonymous_access

    with opened(context) as (_, store):
        store.require()
        access = anonymous_access(store)
    shown: dict[str, Any] = {
        "is_open": access.is_open,
        "declared": list(access.declared),
        "anybody_can_list": access.can_list,
        "anybody_can_read": access.can_read,
    }
    write_record(shown, form)
    if access.is_open:
        context.say("Close it with satupeta bucket policy close.")
        click.get_current_context().exit(1)


@policy.command("close")
@yes_option
@dry_run_option
@click.pass_obj
def close_policy(context: Context, *, yes: bool, dry_run: bool) -> None:
    """Take from the bucket's policy what it allows to everybody, and try again.

    Example: satupeta bucket policy close --yes
    """
    from satupeta_server.maintenance import bucket_policy

    with opened(context) as (_, store):
        store.require()
        statements = bucket_policy.close_policy(store, dry_run=True)
        if statements:
            access = bucket_policy.anonymous_access(store)
            confirm(f"Close it: {access.text}?", yes=yes, dry_run=dry_run)
        if statements and not dry_run:
            record(context, "close_policy", statements=statements)
            bucket_policy.close_policy(store)
        _tell("policy", "closed", is_change=bool(statements), dry_run=dry_run)
        after = bucket_policy.anonymous_access(store)
        if after.is_open and not dry_run:
            raise click.ClickException(f"Still {after.text}; close it in the store's own settings.")


@click.group()
def versioning() -> None:
    """See and set whether the store keeps older versions of objects."""


@versioning.command("show")
@listing_options
@click.pass_obj
def show_versioning(context: Context, form: str | None) -> None:
    """Show whether older versions are kept: off, enabled or suspended.

    Example: satupeta bucket versioning show
    """
    with opened(context) as (_, store):
        write_record({"versioning": store.versioning()}, form)


@versioning.command("enable")
@dry_run_option
@click.pass_obj
def enable_versioning(context: Context, *, dry_run: bool) -> None:
    """Keep what is overwritten or removed from now on as older versions.

    Example: satupeta bucket versioning enable --dry-run
    """
    _set_versioning(context, "enabled", dry_run=dry_run)


@versioning.command("suspend")
@dry_run_option
@click.pass_obj
def suspend_versioning(context: Context, *, dry_run: bool) -> None:
    """Keep no more older versions; those that are there stay.

    Example: satupeta bucket versioning suspend
    """
    _set_versioning(context, "suspended", dry_run=dry_run)


def _set_versioning(context: Context, state: str, *, dry_run: bool) -> None:
    with opened(context) as (_, store):
        before = store.versioning()
        # Nothing was ever kept where it was never on.
        is_change = before != state and not (state == "suspended" and before == "off")
        if is_change and not dry_run:
            record(context, "set_versioning", state=state)
            store.set_versioning(state)
    _tell("versioning", state, is_change=is_change, dry_run=dry_run)


def _tell(what: str, outcome: str, *, is_change: bool, dry_run: bool) -> None:
    records.tell(what, outcome if is_change else records.SAME, dry_run=dry_run)
