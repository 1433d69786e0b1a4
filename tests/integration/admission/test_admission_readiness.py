"""What a real API server says of itself to a preflight, to its administrator and to somebody with fewer rights."""

import pytest

from provisioner.cluster.api import Identity
from provisioner.cluster.readiness import read_facts
from provisioner.operations.cluster_checks import judge_cluster
from tests.integration.admission.conftest import GuardedCluster

pytestmark = pytest.mark.cluster


def test_the_administrator_lacks_nothing_and_nothing_is_made(guarded: GuardedCluster) -> None:
    before = guarded.admin.get("/api/v1/namespaces")
    found = read_facts(guarded.admin)
    assert (found.policies, found.pod_security, found.lacking) == (True, True, ())
    assert found.version >= (1, 30)
    assert "local" in found.storage_classes
    assert [one.what for one in judge_cluster(found)] == [f"the cluster at {guarded.admin.host} has no IngressClass"]
    after = guarded.admin.get("/api/v1/namespaces")
    assert [one["metadata"]["name"] for one in after["items"]] == [one["metadata"]["name"] for one in before["items"]]


def test_who_only_looks_lacks_what_stacks_make(guarded: GuardedCluster) -> None:
    looking = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "readiness-looks"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "readiness-looks"},
        "subjects": [{"kind": "User", "name": "looker", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "readiness-looks"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}],
    }
    guarded.make(role)
    guarded.make(looking)
    try:
        found = read_facts(guarded.admin.acting_as(Identity(user="looker")))
    finally:
        guarded.remove(looking)
        guarded.remove(role)
    assert {"create namespaces", "patch clusterroles.rbac.authorization.k8s.io", "manage tenants.coopctl.dev"} <= {
        str(one) for one in found.lacking
    }
    assert not any(one.verb == "get" for one in found.lacking)
    assert found.pod_security is None
