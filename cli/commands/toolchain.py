"""`coopctl toolchain`: the pinned tools that coopctl drives, found or built, carried to other machines."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from cli import options


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Names of tools."""
    from cli import wiring

    return [CompletionItem(name) for name in wiring.open_toolchain().names if name.startswith(incomplete)]


@click.group(epilog="Example: coopctl toolchain install")
def toolchain() -> None:
    """List, install, export and import the pinned tools (Kubernetes, etcd, pulumi, ...).

    A tool is taken from PATH if it states a fitting version, else from your cache, else it is built from published Go
    modules whose checksums are pinned.
    """


@toolchain.command("list", epilog="Example: coopctl toolchain list --output json")
@options.output
def list_command(output: str) -> None:
    """Show each tool: its version, where it comes from, its size and path. Builds nothing."""
    from cli import wiring
    from cli.views import toolchain as view

    view.show_tools(wiring.open_toolchain().all(), output=output)


@toolchain.command(epilog="Example: coopctl toolchain install etcd kubectl pulumi")
@click.argument("names", nargs=-1, shell_complete=_complete)
@options.events
@options.output
def install(*, names: tuple[str, ...], events: bool, output: str) -> None:
    """Find or build the tools NAMES (all without names): some 15 minutes for all the first time, then seconds.

    Cut off anywhere, the same command goes on.
    """
    from cli import wiring
    from cli.views import toolchain as view
    from cli.views.telling import teller

    tools = wiring.open_toolchain()
    wanted = names or tools.names
    tools.ensure(wanted, report=teller(events=events))
    view.show_tools([tools.find(name) for name in wanted], output=output)


@toolchain.command(epilog="Example: coopctl toolchain export tools.tar.zst")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.events
@options.output
def export(*, file: Path, events: bool, output: str) -> None:
    """Write all tools into FILE (.tar.gz or .tar.zst) for machines of the same kind without Go or network.

    What is not in your cache yet is built first, also what PATH has here: the other machine may lack it.
    """
    from cli import wiring
    from cli.views import toolchain as view
    from cli.views.telling import teller
    from provisioner.toolchain.archive import export_archive

    exported = export_archive(wiring.open_toolchain(), file, report=teller(events=events))
    view.show_exported(exported, output=output)


@toolchain.command("import", epilog="Example: coopctl toolchain import tools.tar.zst")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.events
@options.output
def import_command(*, file: Path, events: bool, output: str) -> None:
    """Take the tools of FILE, which `toolchain export` wrote, into your cache.

    Every checksum is verified before anything is changed; an archive for another platform or other versions is refused.
    """
    from cli import wiring
    from cli.views import toolchain as view
    from cli.views.telling import teller
    from provisioner.toolchain.archive import import_archive

    imported = import_archive(wiring.open_toolchain(), file, report=teller(events=events))
    view.show_imported(imported, output=output)
