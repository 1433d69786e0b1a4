"""Guards hold from the first request: also of an API server that has just started."""

from collections.abc import Iterator

import pytest

from tests.integration.admission.conftest import GuardedCluster, shown
from tests.unit.rules import accepted
from tests.unit.rules.changes import setting

pytestmark = pytest.mark.cluster


BAD = (
    (setting("spec.containers.0.image", "docker.io/x/y"), "[image-registry] "),
    (setting("spec.hostNetwork", True), "violates PodSecurity"),
)


@pytest.fixture
def controllers_afterwards(guarded: GuardedCluster) -> Iterator[None]:
    """Leave the cluster to other tests with controllers that work."""
    yield
    guarded.restart_controllers()


@pytest.mark.usefixtures("controllers_afterwards")
def test_a_bad_pod_is_refused_as_soon_as_the_api_server_is_ready(guarded: GuardedCluster) -> None:
    for change, refusal in BAD:
        bad = accepted.pod()
        change(bad)
        guarded.restart_api_server()
        answer = guarded.try_create(bad, by=guarded.admin)
        assert answer.status == 403
        assert refusal in answer.message, shown(answer)
    good = guarded.try_create(accepted.pod(), by=guarded.admin)
    assert good.ok, shown(good)
