"""What a solution is: an application on offer, read from its chart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from provisioner.catalogue.data_map import DataMap
from provisioner.catalogue.offer import Offer, Serving
from provisioner.catalogue.own_module import OwnModule
from provisioner.descriptor.cooperative import MemberLayout
from provisioner.errors import NotFound


class Category(StrEnum):
    """Basic solutions are the same for every trade; specialised ones are built for one."""

    BASIC = "basic"
    SPECIALISED = "specialised"


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A solution of the catalogue.

    ``images`` are the logical names of the images its pods run; ``depends`` are solutions that must be chosen
    with it, ``integrates`` those it can exchange data with, ``oldest`` the oldest version of any of them that will do,
    where the chart names one; ``serves`` is how others that integrate with it reach it, None if they cannot;
    ``host`` is the label below the cooperative's domain where people reach it, None for a solution without a page, and
    ``page`` what follows in the address. A solution that ``extends`` another has no server of its own: it runs in the
    other's, with ``modules`` of that server and perhaps an ``own_module``. ``first_user`` is who logs in first, to make
    the others. ``sectors`` are the trades that it is built for, none for all of them; ``member_layout`` is how it keeps
    members apart in the database, None if it keeps nothing of theirs; without a ``data_map`` nothing is known of whose
    its data are.
    """

    name: str
    version: str
    category: Category
    display_name_ko: str
    display_name_en: str
    description: str
    images: tuple[str, ...]
    depends: tuple[str, ...]
    integrates: tuple[str, ...]
    host: str | None
    chart: Path
    extends: str | None = None
    modules: tuple[str, ...] = ()
    own_module: OwnModule | None = None
    page: str = ""
    first_user: str | None = None
    sectors: tuple[str, ...] = ()
    offer: Offer = field(default_factory=Offer)
    data_map: DataMap | None = None
    oldest: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    serves: Serving | None = None
    member_layout: MemberLayout | None = None

    @property
    def server(self) -> str:
        """The solution in whose server it runs: itself, unless it extends another."""
        return self.extends or self.name


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All solutions on offer, by name in alphabetical order; ``sources`` are the folders that they were read from."""

    sources: tuple[Path, ...]
    solutions: Mapping[str, Solution]

    @property
    def names(self) -> frozenset[str]:
        """The names that a descriptor may choose."""
        return frozenset(self.solutions)

    def extending(self, name: str) -> tuple[Solution, ...]:
        """The solutions that run in the server of the solution called ``name``, by name."""
        return tuple(solution for _, solution in sorted(self.solutions.items()) if solution.extends == name)

    @property
    def images(self) -> tuple[str, ...]:
        """The logical names of every image that a solution needs, sorted."""
        return tuple(sorted({image for solution in self.solutions.values() for image in solution.images}))

    def matching(self, *, category: str | None = None, sector: str | None = None) -> tuple[Solution, ...]:
        """The solutions of ``category`` that suit ``sector``; None asks for nothing. One without sectors suits all."""
        return tuple(
            solution
            for solution in self.solutions.values()
            if category in {None, str(solution.category)}
            and (sector is None or not solution.sectors or sector in solution.sectors)
        )

    def solution(self, name: str) -> Solution:
        """The solution called ``name``; raises NotFound with the known names."""
        try:
            return self.solutions[name]
        except KeyError as error:
            known = ", ".join(self.solutions) or "none"
            raise NotFound(f"the catalogue has no solution {name!r}", hint=f"it offers: {known}") from error


def installation_order(solutions: Iterable[Solution]) -> dict[str, tuple[str, ...]]:
    """What is installed before each of ``solutions``: what it depends on and can integrate with, as far as it is there.

    A server's pods need the modules that it is extended with, so what extends it comes before it.
    """
    chosen = {solution.name: solution for solution in solutions}
    before = {
        name: {*solution.depends, *solution.integrates} & set(chosen) - {solution.extends}
        for name, solution in chosen.items()
    }
    for name, solution in chosen.items():
        if solution.extends in before:
            before[solution.extends].add(name)
    return {name: tuple(sorted(before[name])) for name in sorted(chosen)}
