"""``satupeta completion``: let a shell complete commands and options."""

import click

_INSTALL = {
    "bash": 'Put this line into ~/.bashrc:  eval "$(satupeta completion bash)"',
    "zsh": 'Put this line into ~/.zshrc, after compinit:  eval "$(satupeta completion zsh)"',
    "fish": "satupeta completion fish > ~/.config/fish/completions/satupeta.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(_INSTALL)))
def command(shell: str) -> None:
    """Print the script with which SHELL completes satupeta's commands and options.

    \b
    bash  eval "$(satupeta completion bash)" in ~/.bashrc; bash 4.4 or newer
    zsh   eval "$(satupeta completion zsh)" in ~/.zshrc, after compinit
    fish  satupeta completion fish > ~/.config/fish/completions/satupeta.fish

    Example: satupeta completion bash
    """
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    program = click.get_current_context().find_root()
    script = kind(program.command, {}, "satupeta", "_SATUPETA_COMPLETE")
    # Not the class's own source(): that of bash asks the bash of this machine for its version.
    click.echo(ShellComplete.source(script))
    # At the end: a file that zsh loads by itself must begin with #compdef.
    click.echo(f"# {_INSTALL[shell]}")
