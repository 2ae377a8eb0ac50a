"""docs/cli.md is what the commands say."""

from satupeta_cli.__main__ import Exit
from tests.docs_cli import EXITS, PAGE, commands, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.docs_cli"


def test_every_exit_code_is_documented() -> None:
    assert set(EXITS) == set(Exit)


def test_every_command_says_what_it_does_and_shows_how() -> None:
    for command in commands():
        assert len(command.text.split()) > 1, command.name
        if not command.is_group:
            assert command.examples, command.name
            for example in command.examples:
                assert f"satupeta {command.name}" in example
