"""Which solutions reach each other over the network, and how one finds those that it integrates with.

A solution that extends another runs in that one's pods: between the two nothing crosses the network. Servers of their
own are kept apart, and connected for each integration that the descriptor chooses, one way. Charts are told all of this
as facts, and from those facts it can be read again: going back to the charts of an earlier state takes their
connections along.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from provisioner.catalogue import Catalogue
from provisioner.catalogue.offer import Serving
from provisioner.descriptor.cooperative import Cooperative
from provisioner.naming import LABEL_SOLUTION, connection_key, connections_secret
from provisioner.plan.tenant import Tenant

# In the page or path of a chart: the name of the cooperative's database.
DATABASE = "{database}"
_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A chosen solution: the one in whose ``server`` it runs, how it is reached itself, what it ``integrates`` with."""

    name: str
    server: str
    serves: Serving | None
    integrates: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Pods of the solution ``source`` reach those of ``target``, in whose server the integrated ``solutions`` run."""

    source: str
    target: str
    serving: Serving
    solutions: tuple[str, ...]


def placed_solutions(cooperative: Cooperative, *, catalogue: Catalogue) -> tuple[Placed, ...]:
    """The solutions that ``cooperative`` chose, by name; what the catalogue does not have is left out."""
    choices = {choice.name: choice for choice in cooperative.solutions if choice.name in catalogue.names}
    chosen = [catalogue.solution(name) for name in sorted(choices)]
    return tuple(
        Placed(
            name=one.name, server=one.server, serves=one.serves, integrates=tuple(sorted(choices[one.name].integrates))
        )
        for one in chosen
    )


def servers(placed: Iterable[Placed]) -> tuple[str, ...]:
    """The solutions that have pods of their own, by name."""
    return tuple(sorted({one.server for one in placed}))


def connections(placed: Iterable[Placed]) -> tuple[Connection, ...]:
    """Every connection between two servers, by their names; none to one that does not say how it is reached."""
    known = {one.name: one for one in placed}
    met: dict[tuple[str, str], set[str]] = {}
    for one in known.values():
        for other in (known[name] for name in one.integrates if name in known):
            if other.server != one.server:
                met.setdefault((one.server, other.server), set()).add(other.name)
    return tuple(
        Connection(source=source, target=target, serving=serving, solutions=tuple(sorted(names)))
        for (source, target), names in sorted(met.items())
        if target in known and (serving := known[target].serves)
    )


def connection_details(server: str, *, placed: Iterable[Placed], tenant: Tenant) -> Mapping[str, str]:
    """What the pods of ``server`` are told of each solution that it integrates with: variables by name."""
    own = [one for one in connections(placed) if one.source == server]
    return {
        connection_key(solution, what=what): value
        for connection in own
        for solution in connection.solutions
        for what, value in _details(connection, tenant=tenant)
    }


def integration_facts(name: str, *, placed: Iterable[Placed], tenant: Tenant) -> dict[str, Any]:
    """What the chart of the solution ``name`` is told: its server, the label of its pods, and where others are."""
    listed = tuple(placed)
    own = next(one for one in listed if one.name == name)
    details = connection_details(own.server, placed=listed, tenant=tenant)
    digest = hashlib.sha256(json.dumps(details, sort_keys=True).encode()).hexdigest()[:_DIGITS]
    return {
        "server": own.server,
        "podLabels": {LABEL_SOLUTION: own.server},
        "serves": asdict(own.serves) if own.serves else None,
        "integrates": list(own.integrates),
        "connections": {"secret": connections_secret(own.server), "digest": digest} if details else None,
    }


def placed_by_facts(name: str, *, facts: Mapping[str, Any]) -> Placed | None:
    """A solution by the facts that its chart was told; None for a chart that was told none of them."""
    if "server" not in facts:
        return None
    serves = Serving(**facts["serves"]) if facts["serves"] else None
    return Placed(name=name, server=facts["server"], serves=serves, integrates=tuple(facts["integrates"]))


def _details(connection: Connection, *, tenant: Tenant) -> Iterator[tuple[str, str]]:
    serving, database = connection.serving, tenant.names.database
    host = f"{connection.target}.{tenant.apps.name}.svc.cluster.local"
    yield "HOST", host
    yield "PORT", str(serving.port)
    yield "URL", f"{serving.scheme}://{host}:{serving.port}{serving.path.replace(DATABASE, database)}"
    if DATABASE in serving.path:
        yield "DATABASE", database
