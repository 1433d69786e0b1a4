"""The Pod Security Standards: our rules and the cluster give exactly the standard's verdict on its own fixtures.

On the cluster in a namespace that has our labels and nothing else; and whatever is refused there, is refused in a
tenant's full namespace too.
"""

import copy
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from provisioner.cluster.api import Answer
from provisioner.plan.namespace import namespace
from provisioner.plan.tenant import tenant_of
from provisioner.rules.judging import judge
from provisioner.rules.pod_security import BASELINE, RESTRICTED
from provisioner.toolchain import Toolchain
from tests.integration.admission.conftest import GuardedCluster, shown, until
from tests.integration.admission.pod_security_fixtures import LEVELS, Fixture, pod_security_fixtures
from tests.unit.plan import builders
from tests.unit.rules import accepted

pytestmark = pytest.mark.cluster

# Kubernetes 1.35 itself takes no unmasked /proc from a pod without users of its own, before any plugin is asked.
REFUSED_BEFORE = ("`hostUsers` must be false to use `Unmasked`", {"procmount0", "procmount1"})
RULES_OF = {"baseline": BASELINE, "restricted": RESTRICTED}
BARE = {level: f"pod-security-{level}" for level in LEVELS}


@pytest.fixture(scope="module")
def fixtures(toolchain: Toolchain) -> tuple[Fixture, ...]:
    """The standard's fixtures."""
    return pod_security_fixtures(toolchain)


@pytest.fixture(scope="module")
def bare(guarded: GuardedCluster) -> GuardedCluster:
    """Namespaces with our Pod Security labels alone, one for each level."""
    tenant = tenant_of(accepted.cooperative(), cluster=builders.platform().cluster.id)
    ours = namespace(tenant.apps, facts=accepted.FACTS)["metadata"]["labels"]
    for level, name in BARE.items():
        labels = {key: value for key, value in ours.items() if key.startswith("pod-security.kubernetes.io/")}
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        labels["pod-security.kubernetes.io/enforce"] = level
        guarded.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    until(lambda: all(_has_account(guarded, name) for name in BARE.values()), seconds=20, what="accounts for pods")
    return guarded


def _has_account(guarded: GuardedCluster, namespace: str) -> bool:
    about = {"name": "default", "namespace": namespace}
    return guarded.get({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about}) is not None


def pod_in(namespace: str, fixture: Fixture) -> dict[str, Any]:
    """The fixture's pod there, with an allowed image."""
    pod = copy.deepcopy(fixture.pod)
    # A name of Kubernetes' own rules: the standard is not about it.
    pod["metadata"] |= {"name": fixture.name.replace("_", "-"), "namespace": namespace}
    for kind in ("containers", "initContainers"):
        for container in pod["spec"].get(kind, []):
            container.update(image=accepted.IMAGE)
    return pod


def answers(cluster: GuardedCluster, pods: list[dict[str, Any]]) -> list[Answer]:
    """What the API server says to each pod, as its administrator."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda pod: cluster.try_create(pod, by=cluster.admin), pods))


def test_the_module_has_fixtures_of_both_levels_for_and_against(fixtures: tuple[Fixture, ...]) -> None:
    counts = Counter((fixture.level, fixture.accepted) for fixture in fixtures)
    assert len(counts) == 4
    assert min(counts.values()) >= 10


def test_our_rules_give_the_standard_s_verdict_on_every_fixture(fixtures: tuple[Fixture, ...]) -> None:
    found = {
        str(fixture): not judge(fixture.pod, facts=accepted.FACTS, rules=RULES_OF[fixture.level])
        for fixture in fixtures
    }
    assert found == {str(fixture): fixture.accepted for fixture in fixtures}


def test_the_cluster_gives_the_standard_s_verdict_under_our_labels(
    bare: GuardedCluster, fixtures: tuple[Fixture, ...]
) -> None:
    given = answers(bare, [pod_in(BARE[fixture.level], fixture) for fixture in fixtures])
    for fixture, answer in zip(fixtures, given, strict=True):
        assert answer.ok == fixture.accepted, f"{fixture}: {shown(answer)}"
        assert answer.ok or _is_the_standard_s(answer, fixture), f"{fixture}: {shown(answer)}"


def test_what_pod_security_refuses_is_refused_in_a_tenant_s_namespace_too(
    guarded: GuardedCluster, fixtures: tuple[Fixture, ...]
) -> None:
    refused = [fixture for fixture in fixtures if fixture.level == "restricted" and not fixture.accepted]
    given = answers(guarded, [pod_in(accepted.NAMESPACE, fixture) for fixture in refused])
    for fixture, answer in zip(refused, given, strict=True):
        assert _is_the_standard_s(answer, fixture), f"{fixture}: {shown(answer)}"


def _is_the_standard_s(answer: Answer, fixture: Fixture) -> bool:
    """Whether Pod Security refused it, or would have."""
    words, names = REFUSED_BEFORE
    return "violates PodSecurity" in answer.message or (fixture.name in names and words in answer.message)
