"""Completion of names from local files, no server is asked; and the shells' scripts."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from provisioner.errors import CoopctlError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provisioner.descriptor.estate import Estate


def cooperatives(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Names of the estate's cooperatives that begin with what was typed."""
    return _documents(ctx, incomplete, folder=lambda estate: estate.cooperatives)


def migrations(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Names of the estate's migrations that begin with what was typed."""
    return _documents(ctx, incomplete, folder=lambda estate: estate.migrations)


def members(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Ids of the members of the cooperative that stands before, which begin with what was typed."""
    from provisioner.descriptor.member_list import read_member_list

    cooperative = str(ctx.params.get("name"))
    return _named(
        ctx, incomplete, names=lambda estate: [one.id for one in read_member_list(estate, cooperative).members]
    )


def templates(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Names of tenant templates, the estate's own and those of coopctl, that begin with what was typed."""
    from provisioner.descriptor.templates import TemplateShelf, shipped_templates

    return _named(
        ctx, incomplete, names=lambda estate: TemplateShelf(folders=(estate.templates, shipped_templates())).names()
    )


def logs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Names of the embedded platform's processes that have a log and begin with what was typed."""
    from provisioner.embedded.platform import log_names

    return _named(ctx, incomplete, names=log_names)


def _documents(ctx: click.Context, incomplete: str, *, folder: "Callable[[Estate], Path]") -> list[CompletionItem]:
    def names(estate: "Estate") -> list[str]:
        return sorted(path.stem for path in folder(estate).glob("*.yaml") if not path.name.startswith("."))

    return _named(ctx, incomplete, names=names)


def _named(ctx: click.Context, incomplete: str, *, names: "Callable[[Estate], Sequence[str]]") -> list[CompletionItem]:
    from provisioner.descriptor.estate import find_estate

    given = ctx.params.get("estate_path")
    try:
        known = names(find_estate(Path(given) if given else None, start=Path.cwd()))
    except (CoopctlError, OSError):
        return []
    # What was typed is a prefix and nothing else: it may begin with a slash or hold a pattern's signs.
    return [CompletionItem(name) for name in known if name.startswith(incomplete)]


def images(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Names of images, from the charts' files and coopctl's own, that begin with what was typed."""
    from cli import wiring

    own = [program.name for program in wiring.programs(report=lambda _: None)]
    try:
        estate = wiring.nearest_estate(ctx.params.get("estate_path"))
        names = [*wiring.open_catalogue(estate=estate).images, *own]
    except CoopctlError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def rules(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Ids of rules that begin with what was typed."""
    from provisioner.rules.registry import EVERY_RULE

    return [CompletionItem(rule.id, help=rule.title) for rule in EVERY_RULE if rule.id.startswith(incomplete)]


def script(shell: str, *, command: click.Command) -> str:
    """The completion script of ``shell``; unlike click's own way it asks no installed shell for its version."""
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"there is no completion for {shell}")
    made = kind(command, {}, "coopctl", "_COOPCTL_COMPLETE")
    return made.source_template % made.source_vars()
