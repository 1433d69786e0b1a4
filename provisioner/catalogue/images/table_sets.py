"""Which modules of a server are chosen together: the sets whose tables are made when its image is built.

Each solution that runs in the server gives one set: its own modules, the server's, and those of the solutions that it
integrates with. So what the catalogue offers decides, and a new solution needs no list anywhere. A set that holds
another grows from that one's tables: what they have in common is made once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.catalogue.own_module import FOLDER
from provisioner.catalogue.solution import Catalogue, Solution


@dataclass(frozen=True, kw_only=True)
class ModuleFolder:
    """A module that comes with a chart and is not in the image: its name, its files' folder and their digest."""

    name: str
    folder: Path
    digest: str


@dataclass(frozen=True, kw_only=True)
class TableSet:
    """Modules in alphabetical order, as a migration is told them, and those among them that come with charts.

    ``name`` is the solution that asks for it.
    """

    name: str
    modules: tuple[str, ...]
    own: tuple[ModuleFolder, ...] = ()


def table_sets(image: str, *, catalogue: Catalogue) -> tuple[TableSet, ...]:
    """The sets of all servers that run the image called ``image``, the smaller ones first."""
    servers = [one for one in catalogue.solutions.values() if image in one.images and one.extends is None]
    found: dict[tuple[str, ...], TableSet] = {}
    for server in servers:
        family = {one.name: one for one in (server, *catalogue.extending(server.name))}
        for name in family:
            one = _together(name, server=server, family=family)
            found.setdefault(one.modules, one)
    return tuple(sorted((one for one in found.values() if one.modules), key=lambda one: (len(one.modules), one.name)))


def grown_from(one: TableSet, sets: Iterable[TableSet]) -> TableSet | None:
    """The largest of ``sets`` that ``one`` holds whole and adds modules to, with the same modules of charts' own."""
    inside = [other for other in sets if set(other.modules) < set(one.modules) and set(other.own) <= set(one.own)]
    return max(inside, key=lambda other: (len(other.modules), other.name), default=None)


def _together(name: str, *, server: Solution, family: Mapping[str, Solution]) -> TableSet:
    chosen, waiting = {server.name}, [name]
    while waiting:
        one = family[waiting.pop()]
        chosen.add(one.name)
        waiting += [other for other in (*one.integrates, *one.depends) if other in family and other not in chosen]
    solutions = [family[one] for one in sorted(chosen)]
    return TableSet(
        name=name,
        modules=tuple(sorted({module for one in solutions for module in one.modules})),
        own=tuple(_folder(one) for one in solutions if one.own_module),
    )


def _folder(solution: Solution) -> ModuleFolder:
    module = solution.own_module
    if module is None:
        raise AssertionError("only solutions with a module of their own are asked")
    return ModuleFolder(name=module.name, folder=solution.chart / FOLDER / module.name, digest=module.digest)
