"""Proves tenants from probe pods together; in smaller groups where the cluster has no room for the pods of all at once.

A full cluster is no reason to prove nothing: one tenant alone needs two pods in each of its namespaces. What is lost in
groups is said: tenants of different groups are not attacked from each other's probe pods, though all that listens
of theirs is.
"""

from collections.abc import Callable, Mapping, Sequence

from provisioner.proof.attempts import About, Area
from provisioner.proof.planning_flows import NETWORK_POLICY
from provisioner.proof.tenant import ProvenTenant
from provisioner.proof.verdicts import Ending, Finding, not_attempted

Found = Mapping[str, tuple[Finding, ...]]
_APART = "the cluster has no room for the probe pods of all: these were proved in another group"


def in_groups(tenants: Sequence[ProvenTenant], *, prove: Callable[[Sequence[ProvenTenant]], Found]) -> Found:
    """What ``prove`` finds of each, by cooperative: of all together first, then of those that found no room.

    One that finds none by itself keeps that verdict. What ``prove`` raises passes through.
    """
    found = prove(tenants)
    crowded = [tenant for tenant in tenants if _is_crowded(found[_name(tenant)])]
    if not crowded or len(tenants) == 1:
        return found
    apart = dict(found)
    for group in _smaller(crowded, than=len(tenants)):
        others = [tenant for tenant in tenants if tenant not in group]
        for name, of_one in in_groups(group, prove=prove).items():
            tenant = next(one for one in group if _name(one) == name)
            apart[name] = (*of_one, *(() if _is_crowded(of_one) else _told(tenant, others=others)))
    return apart


def _smaller(crowded: list[ProvenTenant], *, than: int) -> list[list[ProvenTenant]]:
    """Those without room, as groups that are each smaller than the one before."""
    half = (len(crowded) + 1) // 2
    return [crowded] if len(crowded) < than else [crowded[:half], crowded[half:]]


def _is_crowded(found: Sequence[Finding]) -> bool:
    return any(one.verdict.ending is Ending.NO_ROOM for one in found)


def _told(tenant: ProvenTenant, *, others: Sequence[ProvenTenant]) -> tuple[Finding, ...]:
    """What stands for the attempts on the probe pods of tenants that were proved in other groups."""
    names = ", ".join(_name(other) for other in others)
    return tuple(
        Finding(
            about=About(
                id=f"pods/{namespace}/probe pods of {names}",
                area=Area.PODS,
                who=f"a pod of {namespace}",
                what=f"reaches probe pods of {names}",
                guard=NETWORK_POLICY,
            ),
            verdict=not_attempted(f"{_APART}: {names}"),
        )
        for namespace in tenant.namespaces
    )


def _name(tenant: ProvenTenant) -> str:
    return str(tenant.names.cooperative)
