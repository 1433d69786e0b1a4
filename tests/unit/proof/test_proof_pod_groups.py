"""Where probe pods of all tenants have no room together, smaller groups are proved, and what is lost by it is said."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from provisioner.proof.attempts import About, Area
from provisioner.proof.pod_groups import in_groups
from provisioner.proof.tenant import ProvenTenant
from provisioner.proof.verdicts import Ending, Finding, Verdict, no_room
from tests.unit.proof.world import proven

NAMES = ("lp-gas", "plastics", "publishing", "rice-processing", "water-purifier")
TENANTS = [proven(name) for name in NAMES]
Found = Mapping[str, tuple[Finding, ...]]


def cluster(room: int, *, groups: list[list[str]]) -> Callable[[Sequence[ProvenTenant]], Found]:
    """A cluster with room for the pods of so many tenants at once; the groups that were tried go to ``groups``."""

    def prove(group: Sequence[ProvenTenant]) -> Found:
        names = [str(tenant.names.cooperative) for tenant in group]
        groups.append(names)
        return {name: (finding(name, fits=place < room),) for place, name in enumerate(names)}

    return prove


def finding(name: str, *, fits: bool) -> Finding:
    """What became of a tenant's pods."""
    about = About(id=f"pods/{name}", area=Area.PODS, who="a pod", what="reaches others'")
    return Finding(
        about=about, verdict=Verdict(ending=Ending.WORKS) if fits else no_room("0/1 nodes: Insufficient cpu")
    )


def endings(found: Found) -> dict[str, list[Ending]]:
    """How the attempts of each ended."""
    return {name: [one.verdict.ending for one in findings] for name, findings in found.items()}


def test_all_are_proved_together_where_there_is_room() -> None:
    groups: list[list[str]] = []
    found = in_groups(TENANTS, prove=cluster(5, groups=groups))
    assert groups == [list(NAMES)]
    assert endings(found) == {name: [Ending.WORKS] for name in NAMES}


def test_those_without_room_are_proved_again_and_it_is_said_from_whom_they_were_apart() -> None:
    groups: list[list[str]] = []
    found = in_groups(TENANTS, prove=cluster(3, groups=groups))
    assert groups == [list(NAMES), ["rice-processing", "water-purifier"]]
    assert endings(found)["plastics"] == [Ending.WORKS]
    assert endings(found)["rice-processing"] == [Ending.WORKS, Ending.NOT_ATTEMPTED, Ending.NOT_ATTEMPTED]
    said = [one.verdict.said for one in found["rice-processing"] if one.verdict.ending is Ending.NOT_ATTEMPTED]
    assert all(text.endswith(": lp-gas, plastics, publishing") for text in said)


def test_groups_get_smaller_until_each_is_proved() -> None:
    groups: list[list[str]] = []
    found = in_groups(TENANTS, prove=cluster(1, groups=groups))
    assert max(map(len, groups[1:])) < len(NAMES)
    assert all(Ending.WORKS in one and Ending.NO_ROOM not in one for one in endings(found).values())


def test_a_cluster_without_any_room_ends_and_stays_a_problem() -> None:
    groups: list[list[str]] = []
    found = in_groups(TENANTS, prove=cluster(0, groups=groups))
    assert endings(found) == {name: [Ending.NO_ROOM] for name in NAMES}
    assert all(one.is_problem for findings in found.values() for one in findings)
    assert len(groups) < 2 * len(NAMES)


def test_what_a_proof_raises_ends_all_groups() -> None:
    def interrupted(group: Sequence[ProvenTenant]) -> Found:
        raise KeyboardInterrupt(len(group))

    with pytest.raises(KeyboardInterrupt):
        in_groups(TENANTS, prove=interrupted)
