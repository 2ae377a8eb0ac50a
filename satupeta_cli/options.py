"""The options that commands share: dry runs, questions, passwords."""

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

PASSWORD_VARIABLE = "SATUPETA_PASSWORD"  # noqa: S105  the name of the variable


def dry_run_option(command: Function) -> Function:
    """Give a command ``--dry-run``."""
    return click.option("--dry-run", is_flag=True, help="Tell what would happen, change nothing.")(
        command
    )


def yes_option(command: Function) -> Function:
    """Give a command ``--yes``, which answers its question; see :func:`confirm`."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


def confirm(question: str, *, yes: bool, dry_run: bool = False) -> None:
    """Ask before something is destroyed; a dry run destroys nothing and does not ask.

    Raises click.UsageError where nobody is there to answer, click.Abort for a no.
    """
    if yes or dry_run:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here; say --yes, or --dry-run.")
    click.confirm(question, abort=True, err=True)


def password_options(command: Function) -> Function:
    """Give a command ``--password-fd``, which :func:`read_password` reads."""
    return click.option(
        "--password-fd",
        type=click.IntRange(min=0),
        help=f"Read the password from this file descriptor; or set {PASSWORD_VARIABLE}.",
    )(command)


def has_password(password_fd: int | None) -> bool:
    """Tell whether a password was given, so that nobody has to be asked for it."""
    return password_fd is not None or bool(os.environ.get(PASSWORD_VARIABLE))


def read_password(
    password_fd: int | None,
    prompt: str = "Password",
    *,
    is_new: bool = True,
    variable: str | None = PASSWORD_VARIABLE,
) -> str:
    """Read a password from a file descriptor, a variable or a prompt, never an argument.

    A new one has to be typed twice. Raises click.UsageError when there is none and nobody can
    be asked.
    """
    if password_fd is not None:
        try:
            with os.fdopen(password_fd, closefd=False, encoding="utf-8") as file:
                return file.readline().rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise click.UsageError(
                f"No password can be read from file descriptor {password_fd}."
            ) from None
    given = os.environ.get(variable) if variable else None
    if given:
        return given
    if not sys.stdin.isatty():
        way = "--password-fd" if variable else "--initial-password-fd"
        also = f", or set {variable}" if variable else ""
        raise click.UsageError(f"A password is needed: use {way}{also}.")
    password: str = click.prompt(prompt, hide_input=True, confirmation_prompt=is_new, err=True)
    return password
