"""The page docs/cli.md, which follows from the commands; run it to write the page anew."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from satupeta_cli.__main__ import Exit, cli
from satupeta_cli.options import PASSWORD_VARIABLE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

EXITS = {
    Exit.DONE: "All is done.",
    Exit.SOME_FAILED: "Some of it failed, or (doctor, db check) something is wrong.",
    Exit.WRONG_USE: "Wrong use: an option, a value or a name; what the API would refuse, too.",
    Exit.CONFIGURATION: "The settings are not possible, or the tables are of another version.",
    Exit.UNAVAILABLE: "The database, the object store or the other portal does not answer.",
    Exit.INTERRUPTED: "Interrupted by Ctrl-C, or a question was answered with no.",
}

HABITS = f"""\
# The command line

`satupeta` is the administrators' toolkit. It uses the models, services and permissions of the
API: what the API refuses, a command refuses. This page is generated from the commands by
`python -m tests.docs_cli`; `satupeta COMMAND --help` says the same.

## Habits of every command

- **Where it works**: on the servers that the environment or `.env` names (`--env-file` names
  another file, the environment goes before it; see [settings](settings.md)). On a machine where
  `satupeta dev` runs and no servers are set, on its embedded ones.
- **Output**: results go to standard output; progress, hints and errors to standard error.
  Listings are a table for people, and with `--json`, `--jsonl` or `--csv` data for programs.
  `-` is standard input or output. Colours and progress bars appear on a terminal only, and not
  with `NO_COLOR`. Output into a pipe that is closed early is no error.
- **Changes**: `--dry-run` tells what would happen and changes nothing. What destroys asks, or
  takes `--yes`; where nobody can be asked it refuses. Doing a thing a second time is
  `unchanged`, with exit code 0. Each change leaves an audit record in the same transaction:
  the command, the system user who ran it, and on what.
- **Passwords** are never arguments, which everybody on a machine can read. They come from a
  prompt, from a file descriptor (`--password-fd 0` is standard input) or from the variable
  `{PASSWORD_VARIABLE}`.
- **Errors** are one sentence, in Indonesian where the terminal's locale (`LC_ALL`,
  `LC_MESSAGES`, `LANG`) begins with `id` and the API knows the sentence; `--traceback` shows
  where one came from.
- `--quiet` says only results and errors, `--verbose` more of what is done. Both, like
  `--env-file` and `--traceback`, stand before the command: `satupeta --quiet user list`.
- **Completion**: `satupeta completion bash`, `zsh` or `fish` prints a script and says where to
  put it.

| Exit code | Meaning |
|---|---|
"""


@dataclass(frozen=True)
class Command:
    """A command with the words that call it."""

    words: tuple[str, ...]
    click_command: click.Command

    @property
    def name(self) -> str:
        """Its whole name, such as ``user sessions list``."""
        return " ".join(self.words)

    @property
    def is_group(self) -> bool:
        """Whether it only holds other commands."""
        return isinstance(self.click_command, click.Group)

    @property
    def text(self) -> str:
        """What it says of itself, without its examples."""
        return "\n\n".join(part for part in self._paragraphs() if not _is_example(part))

    @property
    def examples(self) -> list[str]:
        """Its examples, as somebody types them."""
        return [
            inspect.cleandoc(example)
            for part in self._paragraphs()
            if _is_example(part)
            for example in part.split("Example:")[1:]
        ]

    def _paragraphs(self) -> list[str]:
        text = inspect.cleandoc(self.click_command.help or "")
        return [part.removeprefix("\b\n") for part in text.split("\n\n")]


def _is_example(paragraph: str) -> bool:
    return paragraph.startswith("Example:")


def commands(group: click.Group = cli, words: tuple[str, ...] = ()) -> Iterator[Command]:
    """Give every command and group below the whole line, in the order of their names."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield Command((*words, name), command)
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


def page() -> str:
    """The whole page."""
    exits = "".join(f"| {int(code)} | {text} |\n" for code, text in EXITS.items())
    everything = list(commands())
    overview = "\n".join(_entry(one) for one in everything if len(one.words) == 1)
    sections = "\n".join(_section(one) for one in everything)
    return f"{HABITS}{exits}\n## The commands\n\n{overview}\n\n{sections}"


def _entry(command: Command) -> str:
    text = command.click_command.get_short_help_str(limit=200).rstrip(".")
    return f"- [`satupeta {command.name}`](#satupeta-{command.name}): {text}"


def _section(command: Command) -> str:
    heading = "##" if len(command.words) == 1 else "###"
    parts = [f"{heading} satupeta {command.name}\n", _prose(command.text)]
    if not command.is_group:
        examples = "\n".join(command.examples)
        parts.append(f"```sh\n{examples}\n```\n")
        parts.append(f"Usage: `satupeta {command.name} {_usage(command)}`\n".replace(" `\n", "`\n"))
        parts.append(_options(command))
    return "\n".join(part for part in parts if part)


def _prose(text: str) -> str:
    """Keep paragraphs; what is set in columns stays as it is."""
    blocks = []
    for block in text.split("\n\n"):
        is_set = re.search(r"\S {2,}\S", block)
        blocks.append(f"```text\n{block}\n```" if is_set else block)
    return "\n\n".join(blocks) + "\n"


def _usage(command: Command) -> str:
    context = click.Context(command.click_command, info_name=command.name)
    return " ".join(command.click_command.collect_usage_pieces(context))


def _options(command: Command) -> str:
    rows = []
    context = click.Context(command.click_command, info_name=command.name)
    for parameter in command.click_command.params:
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            names, text = (part.replace("|", "\\|") for part in record)
            rows.append(f"| `{names}` | {text} |")
    return "\n".join(["| Option | |", "|---|---|", *rows, ""]) if rows else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
