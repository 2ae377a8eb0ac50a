"""The entry point: finds the commands, and says errors as sentences."""

import importlib
import pkgutil
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from satupeta_cli import commands

CONFIGURATION = 3
"""Exit code for settings, or servers, with which nothing can start."""


class Commands(click.Group):
    """The commands in the folder ``commands``: a file is a command of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names, without importing any of them."""
        del ctx
        modules = pkgutil.iter_modules(commands.__path__)
        return sorted(module.name.replace("_", "-") for module in modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None when there is no such."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"satupeta_cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


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
@click.pass_context
def cli(context: click.Context, env_file: Path) -> None:
    """Run and administer Satu Peta."""
    context.obj = env_file


def main() -> None:
    """Run the command line; a known error is one sentence on standard error."""
    from satupeta_server.errors import StartError  # noqa: PLC0415  --help must be instant

    try:
        cli(prog_name="satupeta")
    except StartError as error:
        click.echo(f"satupeta: {error}", err=True)
        sys.exit(CONFIGURATION)


if __name__ == "__main__":
    main()
