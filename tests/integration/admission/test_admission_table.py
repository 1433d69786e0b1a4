"""The cluster judges every object of the table as `judge` does: for the tenant's operator, and for administrators."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from provisioner.cluster.api import Answer, ApiServer
from provisioner.rules.cluster_only import PLATFORM_OBJECTS
from provisioner.rules.registry import rule
from provisioner.rules.rule import Enforcement
from tests.integration.admission.conftest import GuardedCluster, shown
from tests.unit.rules.table import CASES, Case

pytestmark = pytest.mark.cluster

JUDGED = [case for case in CASES if case.in_cluster]


def verdicts(guarded: GuardedCluster, *, by: ApiServer) -> dict[str, Answer]:
    """What the API server answers to each object, by the case's name."""
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda case: guarded.try_create(case.manifest, by=by), JUDGED)
        return {case.name: answer for case, answer in zip(JUDGED, answers, strict=True)}


@pytest.fixture(scope="module")
def to_operator(guarded: GuardedCluster) -> dict[str, Answer]:
    """The verdicts for the tenant's operator."""
    return verdicts(guarded, by=guarded.operator)


@pytest.fixture(scope="module")
def to_administrator(guarded: GuardedCluster) -> dict[str, Answer]:
    """The verdicts for who manages tenants."""
    return verdicts(guarded, by=guarded.admin)


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case.name)
def test_the_operator_is_refused_exactly_what_breaks_a_rule(to_operator: dict[str, Answer], case: Case) -> None:
    answer = to_operator[case.name]
    assert answer.ok == (case.rule is None), shown(answer)
    if case.rule:
        assert answer.status == 403
        assert _names(answer, case), shown(answer)


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case.name)
def test_those_who_manage_tenants_are_refused_what_binds_everybody(
    to_administrator: dict[str, Answer], case: Case
) -> None:
    answer = to_administrator[case.name]
    assert answer.ok == (case.rule is None or not case.administrators), shown(answer)
    if not answer.ok:
        assert _names(answer, case), shown(answer)


def _names(answer: Answer, case: Case) -> bool:
    """Whether the refusal names the rule; a pod with the platform's labels is also one of the platform's objects."""
    assert case.rule is not None
    if rule(case.rule).enforcement is Enforcement.POD_SECURITY:
        return 'violates PodSecurity "restricted:v1.35"' in answer.message
    named = {case.rule, *((PLATFORM_OBJECTS.id,) if case.rule == "template-labels" else ())}
    return any(f"denied request: [{name}] " in answer.message for name in named)


def test_no_policy_has_an_expression_that_kubernetes_cannot_type(guarded: GuardedCluster) -> None:
    listed = guarded.admin.get("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies")["items"]
    warned = {
        policy["metadata"]["name"]: policy["status"]["typeChecking"]["expressionWarnings"]
        for policy in listed
        if policy.get("status", {}).get("typeChecking", {}).get("expressionWarnings")
    }
    assert len(listed) > 10
    assert warned == {}
