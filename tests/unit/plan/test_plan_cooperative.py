"""The plan of a cooperative: its order, its keys, and what bounds its namespaces."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from provisioner.descriptor.cooperative import MemberLayout
from provisioner.naming import LABEL_COOPERATIVE, SYSTEM_NAMESPACE
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.explaining import as_document, describe
from provisioner.plan.platform import platform_plan
from provisioner.plan.resources import (
    CooperativePlan,
    CredentialsSecret,
    KubernetesObject,
    OutputReference,
    PostgresDatabase,
    PostgresGrants,
    PostgresRole,
    RoleKind,
    SolutionChart,
)
from tests.unit.plan import builders


def plan(**changes: object) -> CooperativePlan:
    """The plan of the smallest cooperative, with ``changes`` to it."""
    return cooperative_plan(
        replace(builders.cooperative(), **changes),  # type: ignore[arg-type]  # each test names real fields
        platform=builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )


def objects(made: CooperativePlan, kind: str) -> list[KubernetesObject]:
    """The plan's Kubernetes objects of one kind."""
    found = [resource for resource in made.resources if isinstance(resource, KubernetesObject)]
    return [resource for resource in found if resource.manifest["kind"] == kind]


def test_each_resource_comes_after_all_that_it_depends_on() -> None:
    seen: set[str] = set()
    for resource in plan().resources:
        assert set(resource.depends_on) <= seen, resource.key
        seen.add(resource.key)


def test_keys_are_unique() -> None:
    counts = Counter(resource.key for resource in plan().resources)
    assert [key for key, count in counts.items() if count > 1] == []


def test_keys_stay_when_size_name_and_contact_change() -> None:
    before = [resource.key for resource in plan().resources]
    after = [
        resource.key
        for resource in plan(
            apps_budget=builders.budget(pods=200), display_name="다른 이름", size="large", operators=()
        ).resources
    ]
    assert after == before


def test_nothing_can_run_before_the_bounds_of_its_namespace_are_there() -> None:
    made = plan()
    guards = {resource.key for resource in made.resources if isinstance(resource, KubernetesObject) and resource.guard}
    charts = [resource for resource in made.resources if isinstance(resource, SolutionChart)]
    assert charts
    assert all(guards <= set(chart.depends_on) for chart in charts)


def test_every_kubernetes_object_is_a_guard_that_wins_over_other_managers() -> None:
    for resource in plan().resources:
        if isinstance(resource, KubernetesObject):
            assert resource.guard
            assert resource.manifest["metadata"]["annotations"]["pulumi.com/patchForce"] == "true"


def test_every_object_bears_the_cooperative_s_label() -> None:
    for resource in plan().resources:
        if isinstance(resource, KubernetesObject | CredentialsSecret):
            assert resource.manifest["metadata"]["labels"][LABEL_COOPERATIVE] == "rice-processing"


def test_both_namespaces_enforce_a_pinned_restricted_pod_security() -> None:
    namespaces = objects(plan(), "Namespace")
    assert [item.manifest["metadata"]["name"] for item in namespaces] == [
        "rice-processing-apps",
        "rice-processing-data",
    ]
    for item in namespaces:
        labels = item.manifest["metadata"]["labels"]
        for mode in ("enforce", "audit", "warn"):
            assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
            assert labels[f"pod-security.kubernetes.io/{mode}-version"] == "v1.35"


@pytest.mark.parametrize("kind", ["LimitRange", "ServiceAccount", "Role", "RoleBinding"])
def test_each_namespace_has_one(kind: str) -> None:
    found = [item.manifest["metadata"]["namespace"] for item in objects(plan(), kind)]
    assert found == ["rice-processing-apps", "rice-processing-data"]


def test_a_cooperative_without_operators_has_a_binding_of_nobody() -> None:
    for binding in objects(plan(operators=()), "RoleBinding"):
        assert "subjects" not in binding.manifest


def test_the_default_service_account_gives_pods_no_token() -> None:
    for account in objects(plan(), "ServiceAccount"):
        assert account.manifest["metadata"]["name"] == "default"
        assert account.manifest["automountServiceAccountToken"] is False


def test_the_owner_cannot_log_in_and_only_the_migration_role_can_become_it() -> None:
    roles = {resource.kind: resource for resource in plan().resources if isinstance(resource, PostgresRole)}
    assert not roles[RoleKind.OWNER].login
    assert roles[RoleKind.MIGRATION].member_of == ("rice_processing_owner",)
    assert [kind for kind, role in roles.items() if role.member_of] == [RoleKind.MIGRATION]


def test_grants_name_the_four_roles_of_the_cooperative() -> None:
    (grants,) = [resource for resource in plan().resources if isinstance(resource, PostgresGrants)]
    assert (grants.owner, grants.application, grants.reader, grants.migration) == (
        "rice_processing_owner",
        "rice_processing_app",
        "rice_processing_reader",
        "rice_processing_migration",
    )


def test_credentials_are_references_to_other_resources_of_the_plan() -> None:
    made = plan()
    secrets = [resource for resource in made.resources if isinstance(resource, CredentialsSecret)]
    found = {}
    for secret in secrets:
        references = {key: value for key, value in secret.values.items() if isinstance(value, OutputReference)}
        assert {reference.resource for reference in references.values()} <= set(secret.depends_on)
        assert set(secret.depends_on) <= {resource.key for resource in made.resources}
        found[secret.manifest["metadata"]["name"]] = set(references)
    assert found == {
        "data-store": {"PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
        "data-store-reader": {"PGPASSWORD"},
        "data-store-migration": {"PGPASSWORD"},
    }


def test_reader_and_migration_role_are_delivered_beside_the_data_where_operators_read_no_secret() -> None:
    made = plan()
    secrets = {
        resource.manifest["metadata"]["name"]: resource
        for resource in made.resources
        if isinstance(resource, CredentialsSecret)
    }
    for kind in (RoleKind.READER, RoleKind.MIGRATION):
        secret = secrets[f"data-store-{kind}"]
        assert secret.manifest["metadata"]["namespace"] == "rice-processing-data"
        assert secret.values["PGUSER"] == f"rice_processing_{kind}"
        assert set(secret.values) == {name for name in secrets["data-store"].values if name.startswith(("PG", "POST"))}
    (role,) = [item for item in objects(made, "Role") if item.manifest["metadata"]["namespace"].endswith("-data")]
    assert [rule for rule in role.manifest["rules"] if "secrets" in rule["resources"] or "*" in rule["resources"]] == []
    assert {verb for rule in role.manifest["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_the_database_is_the_administrator_s() -> None:
    (database,) = [resource for resource in plan().resources if isinstance(resource, PostgresDatabase)]
    assert database.owner == builders.platform().postgres.admin_user


@pytest.mark.parametrize(("layout", "column"), [(MemberLayout.COLUMN, "member_id"), (MemberLayout.SCHEMA, "")])
def test_rows_are_secured_where_members_share_tables(layout: MemberLayout, column: str) -> None:
    cooperative = builders.cooperative()
    store = replace(cooperative.postgres, member_layout=layout)
    made = cooperative_plan(
        replace(cooperative, postgres=store),
        platform=builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )
    (grants,) = [resource for resource in made.resources if isinstance(resource, PostgresGrants)]
    assert grants.member_column == column


def test_stable_services_lead_to_the_platform_s_servers() -> None:
    slices = {
        item.manifest["metadata"]["labels"]["kubernetes.io/service-name"]: item.manifest
        for item in objects(plan(), "EndpointSlice")
    }
    assert slices["postgres"]["endpoints"][0]["addresses"] == ["10.244.0.1"]
    assert slices["postgres"]["ports"][0]["port"] == 15432
    assert slices["objects"]["ports"][0]["port"] == 18333
    names = {service.manifest["metadata"]["name"]: service.manifest for service in objects(plan(), "Service")}
    for name, service in names.items():
        assert "selector" not in service["spec"]
        # A port of a slice is found by the name of the Service's port.
        assert service["spec"]["ports"][0]["name"] == slices[name]["ports"][0]["name"]


def test_images_are_pinned_by_digest_in_the_platform_s_registry() -> None:
    (chart,) = [resource for resource in plan().resources if isinstance(resource, SolutionChart)]
    assert chart.values["images"] == {"portal": f"127.0.0.1:15000/coopctl/portal@{builders.FAKE_DIGEST}"}


def test_the_same_input_gives_the_same_plan() -> None:
    assert plan() == plan()


def test_a_plan_as_a_document_is_json_and_describes_each_resource() -> None:
    made = plan()
    document = json.loads(json.dumps(as_document(made), ensure_ascii=False))
    assert [item["key"] for item in document["resources"]] == [resource.key for resource in made.resources]
    assert document["resources"][-1]["chart"] == "portal"
    secret = next(item for item in document["resources"] if item["type"] == "CredentialsSecret")
    assert secret["values"]["PGPASSWORD"] == {"from": "postgres-role-application", "output": "password"}
    assert all(describe(resource).name for resource in made.resources)


def test_the_platform_s_plan_holds_cluster_wide_objects_and_a_closed_namespace_of_its_own() -> None:
    made = platform_plan(builders.platform())
    assert {resource.manifest["kind"] for resource in made.resources} == {
        "PriorityClass",
        "ClusterRole",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "Namespace",
        "NetworkPolicy",
    }
    assert {resource.manifest["metadata"].get("namespace") for resource in made.resources} == {None, SYSTEM_NAMESPACE}
    [closed] = [resource.manifest for resource in made.resources if resource.manifest["kind"] == "NetworkPolicy"]
    assert closed["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert all(resource.guard for resource in made.resources)
    assert json.loads(json.dumps(as_document(made)))["cluster"] == "pilot"
