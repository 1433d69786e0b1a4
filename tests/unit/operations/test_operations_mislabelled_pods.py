"""A solution's label counts only on pods of templates that the platform made; drift tells of every other."""

from dataclasses import replace

import pytest

from cli.views import drift as view
from provisioner.cluster.solution_labels import Bearer, mislabelled
from provisioner.engine.changes import Changes
from provisioner.engine.fleet import Outcome
from provisioner.operations.drifting import Drift


def bearer(kind: str, *, owner: Bearer | None = None, ours: bool = False, solution: str = "ledger") -> Bearer:
    """A pod or a template with the label of ``solution``."""
    uid = f"{owner.uid if owner else ''}/{kind}-{ours}-{solution}"
    return Bearer(
        kind=kind,
        namespace="rice-apps",
        name=kind.lower(),
        uid=uid,
        owner=owner.uid if owner else "",
        ours=ours,
        solution=solution,
    )


OURS = bearer("Deployment", ours=True)
REPLICAS = bearer("ReplicaSet", owner=OURS)


def told(*found: Bearer) -> list[str]:
    """What is said of each that is wrong."""
    return [str(one) for one in mislabelled(found)]


def test_pods_of_the_platform_s_own_templates_bear_their_label() -> None:
    assert told(OURS, REPLICAS, bearer("Pod", owner=REPLICAS)) == []


def test_a_revision_from_before_labels_still_runs_while_the_next_one_rolls_out() -> None:
    before = bearer("ReplicaSet", owner=OURS, solution="")
    assert told(OURS, before, bearer("Pod", owner=before, solution="")) == []


def test_a_bare_pod_is_named_with_the_label_that_it_bears() -> None:
    assert told(OURS, bearer("Pod")) == ["Pod rice-apps/pod bears coopctl.dev/solution: ledger"]


def test_of_a_workload_and_the_pods_that_it_makes_the_workload_is_named() -> None:
    workload = bearer("StatefulSet")
    assert told(bearer("Pod", owner=workload), workload) == [
        "StatefulSet rice-apps/statefulset bears coopctl.dev/solution: ledger"
    ]


def test_a_pod_of_a_controller_that_is_not_known_is_nobody_s() -> None:
    stranger = bearer("Deployment")
    assert len(told(bearer("Pod", owner=stranger))) == 1


def test_a_pod_of_the_platform_s_whose_label_was_changed_or_taken_off_is_named() -> None:
    changed = bearer("Pod", owner=REPLICAS, solution="trade")
    lost = bearer("Pod", owner=REPLICAS, solution="")
    assert told(OURS, REPLICAS, changed, lost) == [
        "Pod rice-apps/pod bears coopctl.dev/solution: trade",
        "Pod rice-apps/pod has lost coopctl.dev/solution",
    ]


def test_pods_without_the_label_are_nobody_s_matter() -> None:
    own = bearer("Deployment", solution="")
    assert told(own, bearer("Pod", owner=own, solution="")) == []


def test_owners_in_a_circle_hide_nothing() -> None:
    one = bearer("ReplicaSet")
    other = replace(bearer("Deployment"), owner=one.uid)
    assert len(told(replace(one, owner=other.uid), other)) == 2


def test_a_pod_that_calls_a_workload_its_owner_which_makes_no_pods_is_named() -> None:
    assert told(OURS, REPLICAS, bearer("Pod", owner=OURS)) == ["Pod rice-apps/pod bears coopctl.dev/solution: ledger"]


def test_drift_that_is_nothing_but_a_label_remains_and_is_shown_with_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nothing = Changes(stack="rice", resources=(), same=9)
    drift = Drift(stack="rice", found=nothing, foreign=(), mislabelled=mislabelled([bearer("Pod")]))
    assert drift.remains
    assert not replace(drift, mislabelled=()).remains
    view.show([Outcome(stack="rice", value=drift)], output="text")
    shown = " ".join(capsys.readouterr().out.split())
    assert "rice: as it was applied; 1 with a solution's label that is not theirs" in shown
    assert "Pod rice-apps/pod bears coopctl.dev/solution: ledger; delete it" in shown
    view.show([Outcome(stack="rice", value=drift)], output="json")
    assert '"mislabelledPods"' in capsys.readouterr().out
