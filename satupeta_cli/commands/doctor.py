"""``satupeta doctor``: what is wrong, and what to do about it."""

import os
from typing import TYPE_CHECKING

import click

from satupeta_cli.context import Context
from satupeta_cli.output import listing_options, write_listing

if TYPE_CHECKING:
    from satupeta_server.maintenance.doctor import Finding, Patient

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red", "skipped": "bright_black"}


@click.command()
@click.option("--strict", is_flag=True, help="Warnings count as wrong, too.")
@listing_options
@click.pass_obj
def command(context: Context, *, strict: bool, form: str | None) -> None:
    """Examine the installation: a line for each check, with what to do.

    It reads and changes nothing. The exit code is 1 when there is a problem.

    Example: satupeta doctor
    """
    from satupeta_server.maintenance.doctor import examine
    from satupeta_server.maintenance.examination import CHECKS

    findings = examine(_patient(context), CHECKS)
    if form is None:
        _write(context, findings)
    else:
        rows = [
            {"check": name, "state": one.state, "finding": one.text, "advice": one.advice or None}
            for name, one in findings.items()
        ]
        write_listing(rows, ("check", "state", "finding", "advice"), form)
    states = {one.state for one in findings.values()}
    if "problem" in states or (strict and "warning" in states):
        click.get_current_context().exit(1)


def _patient(context: Context) -> "Patient":
    from satupeta_cli.running import command_settings
    from satupeta_server.errors import StartError
    from satupeta_server.maintenance.doctor import Patient

    context.hush()
    try:
        return Patient(command_settings(context.env_file), context.env_file)
    except StartError as error:
        return Patient(None, context.env_file, str(error))


def _write(context: Context, findings: "dict[str, Finding]") -> None:
    # https://no-color.org: any value but the empty one turns colours off.
    colour = False if os.environ.get("NO_COLOR") else None
    width = max(map(len, findings))
    for name, one in findings.items():
        state = click.style(one.state.ljust(7), fg=_COLOURS[one.state])
        advice = f" → {one.advice}" if one.advice else ""
        click.echo(f"{state}  {name.ljust(width)}  {one.text}{advice}", color=colour)
    counted = [
        f"{sum(one.state == state for one in findings.values())} {state}" for state in _COLOURS
    ]
    context.say(", ".join(counted))
