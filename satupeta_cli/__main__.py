"""The entry point: finds the commands, and says errors as sentences."""

import contextlib
import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from satupeta_cli import commands
from satupeta_cli.context import Context

_UNAVAILABLE = "The database or the object store does not answer. Try satupeta doctor."
_UNEXPECTED = "Unexpected {}; --traceback shows where. Nothing more was done."


class Exit(IntEnum):
    """What the exit code says."""

    DONE = 0
    SOME_FAILED = 1
    WRONG_USE = 2
    CONFIGURATION = 3
    UNAVAILABLE = 4
    INTERRUPTED = 130


@contextlib.contextmanager
def _closed_pipe_is_an_end() -> Iterator[None]:
    """Whoever read our output, head for example, may have had enough: that is no error."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(Exit.DONE) from None


class Commands(click.Group):
    """The commands in the folder ``commands``: a file is a command of its name."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the options of the whole line."""
        with _closed_pipe_is_an_end():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _closed_pipe_is_an_end():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names, without importing any of them."""
        del ctx
        return sorted(_files())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None when there is no such."""
        del ctx
        file = _files().get(cmd_name)
        if file is None:
            return None
        command: click.Command = importlib.import_module(f"{commands.__name__}.{file}").command
        return command


def _files() -> dict[str, str]:
    """Give the file of each command; one that is called like a keyword ends in an underscore."""
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    return {name.rstrip("_").replace("_", "-"): name for name in names}


def _existing(context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    """Only the default may be missing: a file that somebody named is meant."""
    source = context.get_parameter_source(parameter.name or "")
    if source is not ParameterSource.DEFAULT and not path.exists():
        raise click.BadParameter(f"{path} does not exist.", context, parameter)
    return path


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".env"),
    show_default=True,
    callback=_existing,
    help="File with settings; the environment goes before it.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say only results and errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say more of what is done.")
@click.option("--traceback", "_traceback", is_flag=True, help="Show where an error came from.")
@click.pass_context
def cli(
    context: click.Context, env_file: Path, *, quiet: bool, verbose: bool, _traceback: bool
) -> None:
    """Run and administer Satu Peta."""
    context.obj = Context(env_file, is_quiet=quiet, is_verbose=verbose)


def main() -> None:
    """Run the command line; an error is one sentence on standard error, and an exit code."""
    try:
        code = cli.main(prog_name="satupeta", standalone_mode=False)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  the last place where an error can become a sentence
        if "--traceback" in sys.argv:
            traceback.print_exc()
        sys.exit(_explained(error))
    sys.exit(code if isinstance(code, int) else Exit.DONE)


def _explained(error: Exception) -> int:
    """Write what went wrong, and give the exit code."""
    if isinstance(error, click.Abort):
        # A "no" to a question comes before any change; Ctrl-C may come in the middle of one.
        was_interrupted = isinstance(error.__cause__, KeyboardInterrupt)
        told = "Interrupted." if was_interrupted else "Stopped; nothing was changed."
        click.echo(told, err=True)
        return Exit.INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    from satupeta_server.errors import AppError, StartError, UnavailableError, UnreachableError

    outcomes: tuple[tuple[type[Exception], Exit, Callable[[Any], str]], ...] = (
        (UnavailableError, Exit.UNAVAILABLE, lambda _: _UNAVAILABLE),
        (UnreachableError, Exit.UNAVAILABLE, str),
        (StartError, Exit.CONFIGURATION, str),
        (AppError, Exit.WRONG_USE, sentence),
        (Exception, Exit.SOME_FAILED, lambda one: _UNEXPECTED.format(type(one).__name__)),
    )
    error = _translated(error)
    code, text = next((code, text) for kind, code, text in outcomes if isinstance(error, kind))
    click.echo(f"satupeta: {text(error)}", err=True)
    return code


def _translated(error: Exception) -> Exception:
    """Turn an error of the database's driver into one of ours."""
    if type(error).__module__.partition(".")[0] not in ("peewee", "psycopg2"):
        return error
    from satupeta_server.database import translated

    try:
        with translated():
            raise error  # noqa: TRY301  translated() catches it
    except Exception as ours:  # noqa: BLE001  every error has its sentence
        return ours


def sentence(error: Any) -> str:
    """Put a refusal and its fields into words, in the language of the terminal."""
    language = terminal_language()
    parts = [
        f"{field}: {' '.join(message.text(language) for message in messages)}"
        for field, messages in error.errors.items()
    ]
    return " ".join([error.message.text(language), *parts])


def terminal_language() -> Any:
    """Indonesian where the terminal's locale says so, else English."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "id" if next(filter(None, names), "").startswith("id") else "en"


if __name__ == "__main__":
    main()
