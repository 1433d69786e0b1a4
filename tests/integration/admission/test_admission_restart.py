"""Guards hold from the first request: of an API server, a store or a whole control plane that has just started."""

from collections.abc import Iterator
from functools import partial

import pytest

from provisioner.cluster.api import Answer
from provisioner.plan.manifest import Manifest
from tests.integration.admission.conftest import TOOLS, GuardedCluster, shown, until
from tests.unit.rules import accepted
from tests.unit.rules.changes import setting

pytestmark = pytest.mark.cluster

# The API server opens its connections to a store that was away with growing pauses.
ANSWER_SECONDS = 60.0
BAD = (
    (setting("spec.containers.0.image", "docker.io/x/y"), "[image-registry] "),
    (setting("spec.hostNetwork", True), "violates PodSecurity"),
)


@pytest.fixture
def controllers_afterwards(guarded: GuardedCluster) -> Iterator[None]:
    """Leave the cluster to other tests with controllers that work."""
    yield
    guarded.restart_controllers()


@pytest.mark.parametrize("stopped", [("kube-apiserver",), ("etcd",), TOOLS], ids=["api server", "etcd", "everything"])
@pytest.mark.usefixtures("controllers_afterwards")
def test_a_bad_pod_is_refused_from_the_first_request_on(guarded: GuardedCluster, stopped: tuple[str, ...]) -> None:
    for change, refusal in BAD:
        bad = accepted.pod()
        change(bad)
        guarded.restart(*stopped)
        answer = until(partial(judged, guarded, bad), seconds=ANSWER_SECONDS, what="an answer")
        assert answer.status == 403, shown(answer)
        assert refusal in answer.message, shown(answer)
    good = guarded.try_create(accepted.pod(), by=guarded.admin)
    assert good.ok, shown(good)


def judged(guarded: GuardedCluster, manifest: Manifest) -> Answer | None:
    """What the API server says to it, or None while it cannot reach its store: then it stores nothing either."""
    answer = guarded.try_create(manifest, by=guarded.admin)
    return None if answer.status >= 500 else answer
