"""The Kubernetes multi-tenancy benchmark (kubectl-mtb), every check of it, in a strict reading.

Each probe starts from an object that is accepted, changes one field, and counts only when a guard refuses it: RBAC, Pod
Security, a quota or an admission policy, not the API server's own validation. The names are the benchmark's ids; two of
its checks have the same one. Its pending checks are here too.
"""

import copy
from typing import Any

import pytest

from provisioner.cluster.api import Answer
from provisioner.cluster.discovery import ApiResource, discover
from provisioner.plan.manifest import Manifest
from tests.integration.admission.conftest import OTHER_TENANT, GuardedCluster, shown
from tests.integration.admission.test_admission_rights import ABOUT_ONESELF, VERBS, all_allowed, allowed
from tests.unit.plan import builders
from tests.unit.rules import accepted
from tests.unit.rules.changes import Change, adding, removing, setting

pytestmark = pytest.mark.cluster

MAIN = "spec.containers.0"
CONTEXT = f"{MAIN}.securityContext"
GUARDS = ("violates PodSecurity", "ValidatingAdmissionPolicy", "exceeded quota", " cannot ", "not currently held")


@pytest.fixture(scope="module")
def resources(guarded: GuardedCluster) -> tuple[ApiResource, ...]:
    """Every resource of the API server; subresources are in the tests of rights."""
    return tuple(one for one in discover(guarded.admin) if not one.subresource)


def flipped(manifest: Manifest, *changes: Change) -> Manifest:
    """The object with the change."""
    made = copy.deepcopy(manifest)
    for change in changes:
        change(made)
    return made


def refused(guarded: GuardedCluster, manifest: Manifest, *changes: Change) -> Answer:
    """The refusal of an object with the change, whose original is accepted."""
    original = guarded.try_create(manifest, by=guarded.operator)
    assert original.ok, shown(original)
    answer = guarded.try_create(flipped(manifest, *changes), by=guarded.operator)
    assert answer.status == 403, shown(answer)
    assert any(guard in answer.message for guard in GUARDS), shown(answer)
    return answer


def verbs_of(guarded: GuardedCluster, group: str, name: str) -> set[str]:
    """What the operator may do with a resource."""
    resource = ApiResource(group=group, version="v1", name=name, kind="", namespaced=True, verbs=())
    return {
        verb for verb in VERBS if allowed(guarded.operator, resource=resource, verb=verb, namespace=accepted.NAMESPACE)
    }


def test_mtb_pl1_cc_cpi_1_block_access_to_cluster_resources(
    guarded: GuardedCluster, resources: tuple[ApiResource, ...]
) -> None:
    cluster_wide = [one for one in resources if not one.namespaced]
    found = all_allowed(guarded.operator, iter(cluster_wide))
    found |= all_allowed(guarded.operator, iter(cluster_wide), namespace=accepted.NAMESPACE)
    assert {resource for resource, _ in found} <= ABOUT_ONESELF


def test_mtb_pl1_bc_cpi_2_block_multitenant_resources(
    guarded: GuardedCluster, resources: tuple[ApiResource, ...]
) -> None:
    managed = [
        (one, item["metadata"]["name"])
        for one in resources
        if one.namespaced and "list" in one.verbs
        for item in guarded.admin.get(_path(one) + "?labelSelector=app.kubernetes.io/managed-by=coopctl")["items"]
    ]
    assert len(managed) > 10
    for resource, name in managed:
        path = f"{_path(resource)}/{name}?dryRun=All"
        change = {"metadata": {"annotations": {"key1": "value1"}}}
        annotated = guarded.operator.attempt("PATCH", path, body=change, content_type="application/merge-patch+json")
        deleted = guarded.operator.attempt("DELETE", path)
        assert (annotated.status, deleted.status) == (403, 403), f"{resource} {name}"


def _path(resource: ApiResource) -> str:
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    return f"{root}/namespaces/{accepted.NAMESPACE}/{resource.name}"


def test_mtb_pl1_bc_cpi_3_block_add_capabilities(guarded: GuardedCluster) -> None:
    for capability in ("NET_ADMIN", "SYS_ADMIN", "CHOWN"):
        answer = refused(guarded, accepted.pod(), setting(f"{CONTEXT}.capabilities.add", [capability]))
        assert capability in answer.message


@pytest.mark.parametrize(
    "change",
    [
        removing("spec.securityContext.runAsNonRoot"),
        setting("spec.securityContext.runAsNonRoot", False),
        setting(f"{CONTEXT}.runAsNonRoot", False),
        setting(f"{CONTEXT}.runAsUser", 0),
    ],
)
def test_mtb_pl1_bc_cpi_4_require_run_as_non_root_user(guarded: GuardedCluster, change: Change) -> None:
    assert "runAs" in refused(guarded, accepted.pod(), change).message


def test_mtb_pl1_bc_cpi_5_block_privileged_containers(guarded: GuardedCluster) -> None:
    # The API server takes no container that is privileged and says that it gets no more rights: that goes with it.
    changes = (removing(f"{CONTEXT}.allowPrivilegeEscalation"), setting(f"{CONTEXT}.privileged", True))
    assert "privileged" in refused(guarded, accepted.pod(), *changes).message


def test_mtb_pl1_bc_cpi_6_block_privilege_escalation(guarded: GuardedCluster) -> None:
    for change in (
        setting(f"{CONTEXT}.allowPrivilegeEscalation", True),
        removing(f"{CONTEXT}.allowPrivilegeEscalation"),
    ):
        assert "allowPrivilegeEscalation" in refused(guarded, accepted.pod(), change).message


def quotas(guarded: GuardedCluster) -> set[str]:
    """All that the quotas of the namespace limit, as the tenant sees them."""
    items = guarded.operator.get(f"/api/v1/namespaces/{accepted.NAMESPACE}/resourcequotas")["items"]
    return {name for item in items for name in item["spec"]["hard"]}


def test_mtb_pl1_cc_fns_1_configure_namespace_resource_quotas(guarded: GuardedCluster) -> None:
    wanted = {f"{side}.{what}" for side in ("requests", "limits") for what in ("cpu", "memory", "ephemeral-storage")}
    assert wanted | {"requests.storage"} <= quotas(guarded)


def test_mtb_pl1_cc_fns_2_configure_namespace_object_limits(guarded: GuardedCluster) -> None:
    assert {
        *("pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps"),
        *("persistentvolumeclaims", "services.nodeports", "services.loadbalancers"),
    } <= quotas(guarded)


def test_mtb_pl1_bc_hi_1_block_use_of_host_path_volumes(guarded: GuardedCluster) -> None:
    change = adding("spec.volumes", {"name": "host", "hostPath": {"path": "/"}})
    assert "hostPath" in refused(guarded, accepted.pod(), change).message


def test_mtb_pl1_bc_hi_1_block_use_of_node_port_services(guarded: GuardedCluster) -> None:
    for kind in ("NodePort", "LoadBalancer"):
        assert "[service-type] " in refused(guarded, accepted.service(), setting("spec.type", kind)).message


def test_mtb_pl1_bc_hi_3_block_use_of_host_networking_and_ports(guarded: GuardedCluster) -> None:
    assert "hostNetwork" in refused(guarded, accepted.pod(), setting("spec.hostNetwork", True)).message
    ports = [{"containerPort": 8080, "hostPort": 8080}]
    assert "hostPort" in refused(guarded, accepted.pod(), setting(f"{MAIN}.ports", ports)).message


def test_mtb_pl1_bc_hi_4_block_use_of_host_pid(guarded: GuardedCluster) -> None:
    assert "hostPID" in refused(guarded, accepted.pod(), setting("spec.hostPID", True)).message


def test_mtb_pl1_bc_hi_5_block_use_of_host_ipc(guarded: GuardedCluster) -> None:
    assert "hostIPC" in refused(guarded, accepted.pod(), setting("spec.hostIPC", True)).message


def test_mtb_pl1_cc_ti_1_block_modification_of_resource_quotas(guarded: GuardedCluster) -> None:
    assert verbs_of(guarded, "", "resourcequotas") == {"get", "list", "watch"}
    for name in ("tenant", "solutions"):
        about = {"name": name, "namespace": accepted.NAMESPACE}
        quota: Manifest = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": about}
        answer = guarded.try_merge(quota, {"spec": {"hard": {"pods": "1000"}}}, by=guarded.operator)
        assert " cannot patch " in answer.message, shown(answer)


def test_mtb_pl1_cc_ti_2_block_access_to_other_tenant_resources(
    guarded: GuardedCluster, resources: tuple[ApiResource, ...]
) -> None:
    namespaced = [one for one in resources if one.namespaced]
    for part in ("apps", "data"):
        assert all_allowed(guarded.operator, iter(namespaced), namespace=f"{OTHER_TENANT}-{part}") == set()


def test_mtb_pl2_cc_ti_1_block_role_privilege_escalation(guarded: GuardedCluster) -> None:
    for name in ("roles", "clusterroles", "rolebindings"):
        resource = ApiResource(
            group="rbac.authorization.k8s.io", version="v1", name=name, kind="", namespaced=True, verbs=()
        )
        for verb in ("escalate", "bind"):
            assert not allowed(guarded.operator, resource=resource, verb=verb, namespace=accepted.NAMESPACE)
    more = setting("rules.0.resources", ["pods/exec"])
    assert "not currently held" in refused(guarded, accepted.role(), more).message
    anybody = setting("roleRef", {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"})
    assert "not currently held" in refused(guarded, accepted.role_binding(), anybody).message


def test_mtb_pl2_bc_ops_3_create_role_bindings(guarded: GuardedCluster) -> None:
    for name in ("roles", "rolebindings"):
        assert verbs_of(guarded, "rbac.authorization.k8s.io", name) == set(VERBS)
    role, binding = accepted.role(), accepted.role_binding()
    of_nobody = flipped(binding, removing("subjects"))
    for manifest in (role, binding, of_nobody):
        answer = guarded.try_create(manifest, by=guarded.operator)
        assert answer.ok, shown(answer)


def test_mtb_pl2_bc_ops_4_create_network_policies(guarded: GuardedCluster) -> None:
    assert verbs_of(guarded, "networking.k8s.io", "networkpolicies") == set(VERBS)
    answer = guarded.try_create(accepted.network_policy(), by=guarded.operator)
    assert answer.ok, shown(answer)


@pytest.mark.parametrize("policy", ["Never", "IfNotPresent"])
def test_mtb_pl1_cc_di_1_require_always_image_pull_policy(guarded: GuardedCluster, policy: str) -> None:
    for path in (f"{MAIN}.imagePullPolicy", "spec.initContainers.0.imagePullPolicy"):
        assert "[image-pull] " in refused(guarded, accepted.pod(), setting(path, policy)).message


def test_mtb_pl1_bc_ni_1_default_deny_network_connections_across_tenants(guarded: GuardedCluster) -> None:
    """By what the policies say; that they are obeyed is shown with real pods (tests/integration/node)."""
    own = {accepted.NAMESPACE, accepted.DATA_NAMESPACE}
    for namespace in own:
        found = guarded.admin.get(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")["items"]
        policies: dict[str, Any] = {item["metadata"]["name"]: item["spec"] for item in found}
        assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        assert all(_stays_within(rule, own=own) for spec in policies.values() for rule in _rules(spec))
    opening: tuple[Manifest, ...] = ({"namespaceSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}})
    for peer in opening:
        for way in ("spec.ingress.0.from.0", "spec.egress.0.to.0"):
            assert "[own-peers] " in refused(guarded, accepted.network_policy(), setting(way, peer)).message


def _rules(spec: Manifest) -> list[list[Manifest]]:
    """The peers of every rule."""
    return [
        rule.get(side) or []
        for direction, side in (("ingress", "from"), ("egress", "to"))
        for rule in spec.get(direction, [])
    ]


def _stays_within(peers: list[Manifest], *, own: set[str]) -> bool:
    """Whether the peers are named, and are of the tenant or are single addresses and listed networks outside."""
    allowed_blocks = {"10.244.0.1/32", "203.0.113.0/24"}
    return bool(peers) and all(
        peer["ipBlock"]["cidr"] in allowed_blocks
        if "ipBlock" in peer
        else peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name") in own
        or "namespaceSelector" not in peer
        for peer in peers
    )


def test_pending_require_pvc_reclaim_policy_delete(guarded: GuardedCluster) -> None:
    classes = guarded.admin.get("/apis/storage.k8s.io/v1/storageclasses")["items"]
    reclaims = {item["metadata"]["name"]: item["reclaimPolicy"] for item in classes}
    assert {reclaims[name] for name in builders.platform().storage_classes} == {"Delete"}
    kept = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "kept"},
        "provisioner": "example.kr/none",
        "reclaimPolicy": "Retain",
    }
    guarded.make(kept)
    answer = refused(guarded, accepted.claim(), setting("spec.storageClassName", "kept"))
    assert "[storage-class] " in answer.message


def test_pending_require_cap_drop_all(guarded: GuardedCluster) -> None:
    for change in (
        removing(f"{CONTEXT}.capabilities"),
        setting(f"{CONTEXT}.capabilities.drop", ["NET_RAW"]),
        setting("spec.initContainers.0.securityContext.capabilities.drop", []),
    ):
        assert "capabilities" in refused(guarded, accepted.pod(), change).message


def test_pending_create_namespaces_is_not_offered(guarded: GuardedCluster) -> None:
    """A namespace of the tenant's own making would have none of the guards; more room is a larger size."""
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rice-processing-more"}}
    assert " cannot create " in guarded.try_create(made, by=guarded.operator).message
