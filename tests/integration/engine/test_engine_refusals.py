"""What real servers refuse ends with the exit code and the reason of the one who refused."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.errors import CoopctlError, NotOurs, NotPermitted, PartlyFailed, PolicyViolated
from provisioner.naming import LABEL_COOPERATIVE, CooperativeName, tenant_labels
from provisioner.operations.site import Site
from tests.integration.engine.conftest import SiteMaker, World, apply, new_maker, tenant

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.servers,
    pytest.mark.usefixtures("unclosed_collected"),
    # Pulumi's server for inline programs leaves its event loop open when the CLI ends with an error.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "no-limit-ranges"},
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["limitranges"]}
            ],
            "objectSelector": {"matchLabels": {LABEL_COOPERATIVE: "judged"}},
        },
        "validations": [{"expression": "false", "message": "no LimitRange here"}],
    },
}
BINDING = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "no-limit-ranges"},
    "spec": {"policyName": "no-limit-ranges", "validationActions": ["Deny"]},
}
PROBE = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "probe", "namespace": "default", "labels": {LABEL_COOPERATIVE: "judged"}},
    "spec": {"limits": []},
}
QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "tight", "namespace": "cramped-apps"},
    "spec": {"hard": {"count/networkpolicies.networking.k8s.io": "1"}},
}


@pytest.fixture(scope="module")
def maker(world: World, open_folder: Path, request: pytest.FixtureRequest) -> SiteMaker:
    """One estate for the module, so that the platform's own stack is applied once; each test has a tenant in it."""
    return new_maker(world, open_folder, nodeid=request.node.nodeid)


def refused(site: Site, name: str) -> CoopctlError:
    """The failure of applying ``name``."""
    with pytest.raises(CoopctlError) as caught:
        apply(site, name)
    return caught.value


def test_a_database_of_somebody_elses_is_named_with_the_remedy(maker: SiteMaker) -> None:
    with maker.foreign_database("taken"):
        failure = refused(maker.site(tenant("taken")), "taken")

    assert type(failure) is NotOurs
    assert "the PostgreSQL database taken" in failure.message
    assert failure.hint == NotOurs.default_hint
    assert "coopctl-error" not in f"{failure.message}{failure.why}{failure.hint}"


def test_what_a_quota_refuses_is_no_missing_right(maker: SiteMaker) -> None:
    labels = tenant_labels(CooperativeName("cramped"), cluster=maker.platform().cluster.id, part="apps")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cramped-apps", "labels": labels}}
    for manifest in (namespace, QUOTA):
        maker.world.kubectl("create", "-f", "-", stdin=json.dumps(manifest))

    failure = refused(maker.site(tenant("cramped")), "cramped")

    assert type(failure) is PartlyFailed
    assert "exceeded quota: tight" in str(failure.why)


@pytest.fixture
def policy(world: World) -> Iterator[None]:
    """An admission policy that stands against one of our guards."""
    for manifest in (POLICY, BINDING):
        world.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    until = time.monotonic() + 30
    while is_taken(world, PROBE):
        assert time.monotonic() < until, "the policy is never in force"
        time.sleep(0.2)
    yield
    world.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "no-limit-ranges")


def is_taken(world: World, manifest: dict[str, Any]) -> bool:
    """Whether the API server would take the manifest."""
    try:
        world.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))
    except AssertionError:  # kubectl failed
        return False
    return True


@pytest.mark.usefixtures("policy")
def test_what_an_admission_policy_refuses_is_a_violated_policy(maker: SiteMaker) -> None:
    failure = refused(maker.site(tenant("judged")), "judged")

    assert type(failure) is PolicyViolated
    assert "no LimitRange here" in str(failure.why)


def test_a_user_without_rights_is_told_which_one_is_missing(maker: SiteMaker) -> None:
    apply(maker.site(tenant("powerless")), "powerless")
    site = maker.site(tenant("powerless", pods=40))
    file = maker.estate.root / "kubeconfig of somebody"
    file.write_text(yaml.safe_dump(as_somebody(yaml.safe_load(maker.world.kubeconfig.read_text()))))
    platform = replace(site.platform, cluster=replace(site.platform.cluster, kubeconfig=file))

    with pytest.raises(CoopctlError) as caught:
        apply(replace(site, platform=platform), "powerless")

    assert type(caught.value) is NotPermitted
    assert 'User "somebody" cannot' in str(caught.value.why)


def as_somebody(kubeconfig: dict[str, Any]) -> dict[str, Any]:
    """The kubeconfig for acting as a user without any right."""
    for user in kubeconfig["users"]:
        user["user"]["as"] = "somebody"
    return kubeconfig
