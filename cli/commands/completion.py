"""`coopctl completion`: the shell's completion script."""

import click

from cli import options


@click.command(epilog='Example: eval "$(coopctl completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@options.output
def completion(*, shell: str, output: str) -> None:
    """Print the completion script of a shell; names of cooperatives are completed from the estate's files.

    For good: `coopctl completion bash > ~/.local/share/bash-completion/completions/coopctl`, or in ~/.zshrc
    `eval "$(coopctl completion zsh)"`, or `coopctl completion fish > ~/.config/fish/completions/coopctl.fish`.
    """
    from cli.completion import script
    from cli.main import coopctl
    from cli.views import documents

    documents.show_completion(script(shell, command=coopctl), shell=shell, output=output)
