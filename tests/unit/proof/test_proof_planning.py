"""Plans of attacks: complete, each resting on a control, and harmless where they get through."""

from dataclasses import replace
from decimal import Decimal

import pytest

from provisioner.plan.platform import platform_plan
from provisioner.plan.quantity import cpu, size
from provisioner.plan.resources import RoleKind
from provisioner.proof.attempts import Attempt, Caller, Connect, DryRun, GuardKind, ObjectsCall, Right, Sql
from provisioner.proof.planning_amounts import amount_attempts
from provisioner.proof.planning_bucket import bucket_attempts
from provisioner.proof.planning_database import DatabaseFacts, database_attempts
from provisioner.proof.planning_guards import guard_attempts
from provisioner.proof.planning_objects import object_attempts
from provisioner.proof.rights import askables, planned_rights
from provisioner.proof.tenant import Neighbour
from provisioner.rules.quantities import parse_quantity
from provisioner.rules.registry import RULES
from tests.unit.plan import builders
from tests.unit.proof.world import container_bounds, neighbour, proven, resource

TENANT = proven()
LOGINS = (RoleKind.APPLICATION, RoleKind.READER, RoleKind.MIGRATION)
RESOURCES = tuple(
    resource(item, "create", "delete", "get", "patch", group=group, kind=kind)
    for group, item, kind in [
        ("", "namespaces", "Namespace"),
        ("", "resourcequotas", "ResourceQuota"),
        ("", "limitranges", "LimitRange"),
        ("", "serviceaccounts", "ServiceAccount"),
        ("", "services", "Service"),
        ("", "pods", "Pod"),
        ("discovery.k8s.io", "endpointslices", "EndpointSlice"),
        ("networking.k8s.io", "networkpolicies", "NetworkPolicy"),
        ("rbac.authorization.k8s.io", "roles", "Role"),
        ("rbac.authorization.k8s.io", "rolebindings", "RoleBinding"),
        ("rbac.authorization.k8s.io", "clusterroles", "ClusterRole"),
        ("scheduling.k8s.io", "priorityclasses", "PriorityClass"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
    ]
)
RIGHTS = planned_rights(
    TENANT.operators[0].identity,
    namespace=TENANT.apps,
    guards=[item.manifest for item in TENANT.guards.values()],
    of=askables(RESOURCES),
)


def all_attempts() -> list[Attempt]:
    """Everything that is planned without a cluster."""
    return [
        *object_attempts(TENANT, rights=RIGHTS, neighbours=[neighbour()]),
        *(one for namespace in TENANT.namespaces for one in amount_attempts(TENANT, namespace=namespace)),
        *guard_attempts(TENANT, platform=platform_plan(builders.platform()), resources=RESOURCES, rights=RIGHTS),
        *database_attempts(TENANT, facts=DatabaseFacts(logins=LOGINS), neighbours=[neighbour()]),
        *bucket_attempts(TENANT, neighbours=[neighbour()], objects={"pilot-plastics": "key"}),
    ]


def test_ids_are_unique_and_the_same_each_time() -> None:
    ids = [one.about.id for one in all_attempts()]
    assert len(ids) == len(set(ids))
    assert ids == [one.about.id for one in all_attempts()]


def test_what_attacks_rest_on_is_planned_as_a_control() -> None:
    controls = {one.about.id for one in all_attempts() if one.about.guard is None}
    assert {control for one in all_attempts() for control in one.about.rests_on} <= controls


def test_every_request_that_writes_is_a_dry_run() -> None:
    requests = [one for one in all_attempts() if isinstance(one, DryRun)]
    assert requests
    assert all(one.path.endswith("?dryRun=All") for one in requests)


def test_who_operates_a_neighbour_too_is_tried_in_another_one() -> None:
    theirs, other = replace(neighbour("lp-gas"), operators=TENANT.operators), neighbour("plastics")

    def tried(*neighbours: Neighbour) -> set[str]:
        made = object_attempts(TENANT, rights=RIGHTS, neighbours=neighbours)
        return {one.about.id.split("/")[2] for one in made if one.about.id.endswith("/no right")}

    assert {*other.namespaces} <= tried(other, theirs) == tried(theirs, other)
    assert tried(theirs).isdisjoint(theirs.namespaces)


def test_an_excepted_rule_is_not_attacked() -> None:
    excepted = replace(TENANT, facts=replace(TENANT.facts, exceptions=("image-pull",)))
    rules = {
        one.about.guard.rule
        for one in object_attempts(excepted, rights=RIGHTS, neighbours=[])
        if one.about.guard and one.about.guard.kind is GuardKind.ADMISSION_POLICY
    }
    assert "image-pull" not in rules
    assert "image-digest" in rules


def test_without_rights_an_operator_is_refused_every_kind() -> None:
    made = object_attempts(TENANT, rights=frozenset(), neighbours=[])
    operator = [
        one for one in made if one.about.who == "operator rice-operator" and one.about.id.split("/")[2] == TENANT.apps
    ]
    assert {one.about.guard.kind for one in operator if one.about.guard} == {GuardKind.RBAC}
    assert all(one.about.guard for one in operator)


def test_without_operators_the_controllers_still_attack_each_rule_for_pods_and_claims() -> None:
    made = object_attempts(replace(TENANT, operators=()), rights=frozenset(), neighbours=[])
    rules = {one.about.guard.rule for one in made if one.about.guard}
    assert {rule.id for rule in RULES if rule.cel and str(rule.subject) in {"pods", "claims"}} - rules <= {
        "ephemeral-containers",
        "runtime-class",
        # They make a solution's pods as its templates say.
        "solution-label",
    }


def test_operators_change_no_guard_where_they_have_the_right_to_change_others_of_the_kind() -> None:
    made = guard_attempts(TENANT, platform=platform_plan(builders.platform()), resources=RESOURCES, rights=RIGHTS)
    deny = {
        one.about.id: one.about.guard
        for one in made
        if "NetworkPolicy rice-processing-apps/default-deny" in one.about.id
    }
    assert [str(guard) for guard in deny.values() if guard] == 2 * ["admission policy [platform-objects]"]
    quota = [one.about.guard for one in made if one.about.id.startswith("guards/ResourceQuota") and one.about.guard]
    assert {guard.kind for guard in quota if guard} == {GuardKind.RBAC}


def test_a_pod_past_a_limit_asks_for_more_than_the_limit() -> None:
    made = {one.about.id: one for one in amount_attempts(TENANT, namespace=TENANT.apps) if isinstance(one, DryRun)}
    bounds = container_bounds(TENANT.apps)
    asked = made[f"objects/statefulset-controller/{TENANT.apps}/Pod/max-memory"].body
    assert asked is not None
    most = parse_quantity(asked["spec"]["containers"][0]["resources"]["limits"]["memory"])
    assert most == 2 * parse_quantity(bounds["max"]["memory"])
    ratio = made[f"objects/statefulset-controller/{TENANT.apps}/Pod/ratio-cpu"].body
    assert ratio is not None
    resources = ratio["spec"]["containers"][0]["resources"]
    stretched = parse_quantity(resources["limits"]["cpu"]) / parse_quantity(resources["requests"]["cpu"])
    assert stretched > Decimal(bounds["maxLimitRequestRatio"]["cpu"])


def test_amounts_are_written_as_the_api_server_writes_them() -> None:
    """One that it writes otherwise (0.005 is 5m) looks like a field that it left out: no attempt, and no hole."""
    written = [
        amount
        for namespace in TENANT.namespaces
        for one in amount_attempts(TENANT, namespace=namespace)
        if isinstance(one, DryRun) and one.body
        for container in one.body.get("spec", {}).get("containers", ())
        for amounts in container.get("resources", {}).values()
        for amount in amounts.items()
    ]
    assert {kind for kind, _ in written} == {"cpu", "memory", "ephemeral-storage"}
    for kind, text in written:
        amount = parse_quantity(text)
        assert text == (cpu(int(amount * 1000)) if kind == "cpu" else size(int(amount)))


@pytest.mark.parametrize("role", LOGINS)
def test_each_role_tries_every_entrance_and_a_neighbour_s_database(role: RoleKind) -> None:
    made = database_attempts(TENANT, facts=DatabaseFacts(logins=LOGINS), neighbours=[neighbour()])
    tried = {one.database for one in made if isinstance(one, Connect) and one.role is role and one.about.guard}
    assert {"postgres", "template1", "plastics"} <= tried


def test_only_roles_whose_passwords_are_delivered_attack() -> None:
    made = database_attempts(TENANT, facts=DatabaseFacts(logins=(RoleKind.APPLICATION,)), neighbours=[])
    roles = {one.role for one in made if isinstance(one, Connect | Sql)}
    assert roles == {RoleKind.APPLICATION, None}


def test_statements_outside_a_transaction_fail_by_themselves_where_they_are_permitted() -> None:
    made = database_attempts(TENANT, facts=DatabaseFacts(logins=LOGINS), neighbours=[neighbour()])
    alone = [one for one in made if isinstance(one, Sql) and one.alone]
    assert alone
    assert all(one.permitted for one in alone)


def test_an_extension_that_the_platform_allows_is_no_attack() -> None:
    facts = DatabaseFacts(logins=LOGINS, allowed_extensions=("hstore",))
    installed = [one.about.what for one in database_attempts(TENANT, facts=facts, neighbours=[])]
    assert "installs the extension hstore" not in installed
    assert "installs the extension citext" in installed


def test_a_store_whose_writes_are_stopped_is_not_expected_to_be_written() -> None:
    facts = DatabaseFacts(logins=LOGINS, writes_stopped=True)
    made = {one.about.id: one.about.guard for one in database_attempts(TENANT, facts=facts, neighbours=[])}
    assert made["database/rice_processing_app/INSERT"] is not None
    assert made["database/rice_processing_app/SELECT"] is None


def test_no_call_to_an_s3_server_can_change_anything() -> None:
    made = [
        one for one in bucket_attempts(TENANT, neighbours=[neighbour()], objects={}) if isinstance(one, ObjectsCall)
    ]
    writing = [one for one in made if not one.operation.startswith(("get_", "head_", "list_"))]
    assert {one.operation for one in writing} == {
        *("copy_object", "create_access_key", "create_bucket", "create_user", "delete_object"),
        *("put_bucket_policy", "put_bucket_versioning", "put_object", "put_user_policy"),
    }
    assert all(one.permitted for one in writing)
    assert all("VersionId" in one.parameters for one in made if one.operation == "delete_object")


def test_nobody_in_particular_tries_the_tenant_s_own_bucket_too() -> None:
    made = [one for one in bucket_attempts(TENANT, neighbours=[], objects={}) if isinstance(one, ObjectsCall)]
    tried = {one.parameters["Bucket"] for one in made if one.caller is Caller.ANONYMOUS}
    assert tried == {TENANT.names.bucket}


def test_an_operator_s_rights_decide_what_it_attacks_with() -> None:
    one = frozenset({Right(group="", resource="services", verb="create")})
    made = object_attempts(TENANT, rights=one, neighbours=[])
    by_operator = [item for item in made if item.about.who == "operator rice-operator"]
    rules = {item.about.guard.rule for item in by_operator if item.about.guard}
    assert rules == {"", "external-addresses", "published-names", "service-annotations", "service-type"}
