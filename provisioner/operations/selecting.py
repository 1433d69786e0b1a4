"""Which cooperatives a command works on: by name, by selector, or all."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from provisioner.datastore.store_places import read_place
from provisioner.descriptor.cooperative import Cooperative
from provisioner.errors import NotFound, UsageError
from provisioner.operations.orphans import Orphan, find_orphans
from provisioner.operations.site import Site

_FIELDS: Mapping[str, Callable[[Cooperative], str]] = {
    "name": lambda cooperative: str(cooperative.name),
    "sector": lambda cooperative: cooperative.sector,
    "template": lambda cooperative: cooperative.template,
    "size": lambda cooperative: cooperative.size,
    "afterwards": lambda cooperative: str(cooperative.support.afterwards),
}


def require_choice(*, names: Sequence[str], selectors: Sequence[str], everyone: bool) -> None:
    """Raise UsageError unless exactly one way of choosing is used and every selector is well-formed."""
    ways = [bool(names), bool(selectors), everyone]
    if sum(ways) == 0:
        raise UsageError("which cooperatives?", hint="give names, -l FIELD=VALUE or --all")
    if sum(ways) > 1:
        raise UsageError("give names, or -l FIELD=VALUE, or --all: one of them")
    for selector in selectors:
        _test(selector)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a command works on, and with --all the stacks that have no descriptor any more."""

    names: tuple[str, ...]
    orphans: tuple[Orphan, ...] = ()


def choose(site: Site, *, names: Sequence[str], selectors: Sequence[str], everyone: bool) -> Choice:
    """What is meant of ``site``.

    Raises what `select_here` raises, unless orphans are all that there is to show.
    """
    orphans = find_orphans(site) if everyone else ()
    if orphans and not site.cooperatives:
        return Choice(names=(), orphans=orphans)
    chosen = select_here(site, names=names, selectors=selectors, everyone=everyone)
    return Choice(names=chosen, orphans=orphans)


def select_here(site: Site, *, names: Sequence[str], selectors: Sequence[str], everyone: bool) -> tuple[str, ...]:
    """As `select`, of the cooperatives of ``site``; who has left is meant by name alone."""
    chosen = select(site.cooperatives, names=names, selectors=selectors, everyone=everyone)
    return chosen if names else tuple(name for name in chosen if not has_left(site, name))


def has_left(site: Site, name: str) -> bool:
    """Whether an estate of its own has taken the cooperative over, and nothing of it is applied here any more: its
    descriptor is only kept for what is to be erased."""
    if site.engine.checkpoint(name) is not None:
        return False
    found = read_place(site.records(), name)
    return found is not None and bool(found.place.handed_over)


def select(
    cooperatives: Mapping[str, Cooperative], *, names: Sequence[str], selectors: Sequence[str], everyone: bool
) -> tuple[str, ...]:
    """The names that are meant, sorted and each once; selectors narrow each other (`and`).

    Raises what `require_choice` raises, and NotFound for what the estate does not have.
    """
    require_choice(names=names, selectors=selectors, everyone=everyone)
    if names:
        for name in names:
            _check_known(name, cooperatives)
        return tuple(sorted(set(names)))
    tests = [_test(selector) for selector in selectors]
    found = tuple(sorted(name for name, value in cooperatives.items() if all(test(value) for test in tests)))
    if not found:
        wanted = ", ".join(selectors) or "--all"
        raise NotFound(f"no cooperative fits {wanted}", hint="the estate's folder cooperatives/ holds one file each")
    return found


def _check_known(name: str, cooperatives: Mapping[str, Cooperative]) -> None:
    if name in cooperatives:
        return
    near = difflib.get_close_matches(name, cooperatives, n=1)
    raise NotFound(
        f"the estate has no cooperative {name!r}",
        hint=f"did you mean {near[0]!r}?" if near else f"run `coopctl new {name}` to write its descriptor",
    )


def _test(selector: str) -> Callable[[Cooperative], bool]:
    field, sign, value = selector.partition("=")
    if not sign or field not in _FIELDS:
        known = ", ".join(_FIELDS)
        raise UsageError(f"{selector!r} is not a selector", hint=f"write FIELD=VALUE; fields are {known}")
    return lambda cooperative: _FIELDS[field](cooperative) == value
