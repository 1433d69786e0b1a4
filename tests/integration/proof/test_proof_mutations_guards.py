"""Each guard that a plan puts into the cluster, taken away or weakened at one place: a proof's look at it fails."""

from collections import defaultdict
from copy import deepcopy

import pytest

from provisioner.cluster.api import APPLY_PATCH
from provisioner.plan.manifest import Manifest
from provisioner.proof.attempts import GuardLook
from provisioner.proof.proving import request_attempts
from provisioner.proof.running_requests import RequestRunner
from provisioner.proof.verdicts import Ending
from tests.integration.proof.conftest import ProvedWorld
from tests.proof_mutations import Mutation, Place, mutations, place, platform_guards, tenant_guards

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
# Fields that the API server takes once and never again: they are weakened by making the object anew.
ONCE = ("roleRef", "value", "preemptionPolicy", "addressType")
_FORBIDDEN, _INVALID = 403, 422


def by_guard() -> dict[Place, list[Mutation]]:
    """The mutations of each guard."""
    found: dict[Place, list[Mutation]] = defaultdict(list)
    for one in (*mutations(tenant_guards()), *mutations(platform_guards())):
        found[one.place].append(one)
    return found


BY_GUARD = by_guard()
# Policies of many rules, one of which is enough where time is short.
MANY = ("pods.", "pod-templates.", "templates.", "cron-jobs.")
# Of the others every third is tried always.
TRIED_ALWAYS = frozenset([guard for guard in BY_GUARD if not guard[2].startswith(MANY)][::3])
CASES = [
    pytest.param(
        guard,
        id="/".join(guard),
        marks=() if guard in TRIED_ALWAYS else pytest.mark.long(seconds=25 if guard[2].startswith(MANY) else 3),
    )
    for guard in BY_GUARD
]


class Looks:
    """The looks of a proof at the guards, and the guards as this world's plans have them."""

    def __init__(self, world: ProvedWorld) -> None:
        cluster = world.cluster()
        attempts = request_attempts(world.target(cluster), cluster=cluster)
        self.world = world
        self.by_path = {one.path: one for one in attempts if isinstance(one, GuardLook)}
        self.runner = RequestRunner(world.api, askables=cluster.askables)
        guards = (*world.tenant().guards.values(), *world.platform_plan.resources)
        self.manifests = {place(item.manifest): item.manifest for item in guards}

    def at(self, guard: Place) -> Ending:
        """How the look at a guard ends now."""
        return self.runner.run(self.by_path[self.world.path(self.manifests[guard])]).ending

    def weaken(self, mutation: Mutation) -> bool:
        """Do to the guard what the mutation says; False if the cluster takes it from nobody."""
        manifest = self.manifests[mutation.place]
        path = self.world.path(manifest)
        if mutation.change is None:
            self.world.api.delete(path)
            return True
        changed = mutation.change(deepcopy(manifest))
        if mutation.what.startswith(ONCE):
            self.world.api.delete(path)
        return self._put(path, changed)

    def mend(self, mutation: Mutation) -> None:
        """Make the guard what it was."""
        anew = mutation.change is None or mutation.what.startswith(ONCE)
        mend = self.world.put_back if anew else self.world.put
        mend(self.manifests[mutation.place])

    def _put(self, path: str, manifest: Manifest) -> bool:
        query = "?fieldManager=coopctl&force=true"
        answer = self.world.api.attempt("PATCH", path + query, body=manifest, content_type=APPLY_PATCH)
        assert answer.ok or answer.status in {_FORBIDDEN, _INVALID}, answer.message
        return answer.ok


@pytest.fixture(scope="module")
def looks(proved: ProvedWorld) -> Looks:
    """The looks, planned while all is sound."""
    return Looks(proved)


@pytest.mark.parametrize("guard", CASES)
def test_a_guard_that_is_weakened_at_any_place_fails_its_look(looks: Looks, guard: Place) -> None:
    assert looks.at(guard) is Ending.WORKS
    overlooked, refused = [], []
    for mutation in BY_GUARD[guard]:
        try:
            done = looks.weaken(mutation)
            if not done and not mutation.what.startswith(ONCE):
                refused.append(mutation.what)
            elif looks.at(guard) is not Ending.FAILED_CONTROL:
                overlooked.append(mutation.what)
        finally:
            looks.mend(mutation)
    assert overlooked == []
    assert len(refused) < len(BY_GUARD[guard]) / 2, f"most mutations are none: {refused}"
