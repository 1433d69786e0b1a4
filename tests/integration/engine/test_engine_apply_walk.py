"""Killed at any moment, the same apply finishes: nothing is left over, doubled or unknown, and the lock is released."""

import itertools
import json
from collections.abc import Iterator

import pytest

from provisioner.naming import LABEL_CLUSTER
from tests.integration.engine.completeness import require_complete
from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.killing import (
    Boundary,
    Kill,
    boundary_of,
    close,
    cooperative_boundaries,
    dying,
    events_of,
    finish,
    kill,
    locks,
    pending,
    places,
    platform_boundaries,
    reach,
    reach_cli,
    reach_message,
    require_killed,
    walk,
    working_folder,
)
from tests.integration.engine.snapshots import names_in_use

pytestmark = [pytest.mark.cluster, pytest.mark.servers]

# There is no node, so that nobody waits for pods but in the tests about waiting.
APPLY = ("apply", "--yes", "--events", "--timeout", "0")
PLATFORM = ("platform", "apply", "--yes", "--events")
# Working names, passwords and keys are made here; a chart's objects come last.
SAMPLE = ("objects-identity-Identity-Done-coopctl",)
# Where nothing is told: before the first resource, after the last one.
PLACES = (
    "provisioner.engine.lease:_sign",
    "provisioner.engine.inventory:prepare",
    "pulumi.automation:LocalWorkspace.create_stack",
    "provisioner.engine.quiet:QuietStack.up",
    "provisioner.operations.making:remember",
    "provisioner.operations.history:History.append",
    "cli.views.changes:show",
)
_numbers = itertools.count(1)


@pytest.fixture
def name(walked: CliEstate) -> Iterator[str]:
    """A cooperative with a solution; what it leaves is taken away afterwards."""
    made = f"killed-{next(_numbers)}"
    walked.write(made, solutions=["portal"])
    yield made
    walked.forget(made)


@pytest.mark.long(seconds=40)
def test_the_walk_is_over_every_resource_event_of_an_apply_and_a_destroy(walked: CliEstate, name: str) -> None:
    applied = walked.start(*APPLY, name)
    made = {boundary_of(event, stack=name) for event in events_of(applied)} - {None}
    codes = [close(applied)]
    leaving = walked.start("destroy", "--yes", "--events", name)
    taken = {boundary_of(event, stack=name) for event in events_of(leaving)} - {None}
    codes += [close(leaving)]

    assert codes == [0, 0]
    assert made == taken == set(cooperative_boundaries())


@pytest.mark.parametrize(("boundary", "what"), walk(cooperative_boundaries(), sample=SAMPLE, seconds=25))
def test_apply_killed_at_a_resource_boundary_is_finished_by_the_same_command(
    walked: CliEstate, name: str, boundary: Boundary, what: Kill
) -> None:
    before = names_in_use(walked.maker)
    process = walked.start(*APPLY, name)
    reach(process, boundary, stack=name)

    kill(process, what, folder=working_folder(walked, name))
    finish(walked, *APPLY, name, stack=name)

    require_complete(walked, name, before=before)


@pytest.mark.parametrize(("when", "place"), places(PLACES, sample=(), seconds=25))
def test_apply_killed_where_nothing_is_told_is_finished_by_the_same_command(
    walked: CliEstate, name: str, when: str, place: str
) -> None:
    before = names_in_use(walked.maker)
    process = walked.start(*APPLY, name, program=dying(place, when))

    require_killed(process)
    finish(walked, *APPLY, name, stack=name)

    require_complete(walked, name, before=before)


@pytest.mark.long(seconds=25)
@pytest.mark.parametrize("words", [("stack", "init"), ("up",)], ids=" ".join)
def test_apply_killed_while_the_cli_begins_is_finished_by_the_same_command(
    walked: CliEstate, name: str, words: tuple[str, ...]
) -> None:
    before = names_in_use(walked.maker)
    process = walked.start(*APPLY, name)
    reach_cli(process, *words)

    kill(process, Kill.EVERYTHING, folder=working_folder(walked, name))
    finish(walked, *APPLY, name, stack=name)

    require_complete(walked, name, before=before)


@pytest.mark.long(seconds=60)
def test_the_lock_of_a_killed_apply_is_released_with_a_message_and_what_was_pending_looked_at(
    walked: CliEstate, name: str
) -> None:
    before = names_in_use(walked.maker)
    process = walked.start(*APPLY, name)
    reach(process, Boundary(resource="postgres-database", kind="Database", moment="Started"), stack=name)
    kill(process, Kill.EVERYTHING, folder=working_folder(walked, name))
    held, begun = locks(walked, name), pending(walked, name)

    # Killed once more, while what the first kill left is being looked at.
    again = walked.start(*APPLY, name)
    reach_cli(again, "refresh")
    kill(again, Kill.EVERYTHING, folder=working_folder(walked, name))
    said = finish(walked, *APPLY, name, stack=name)

    assert len(held) == 1
    assert begun
    assert f"released the lock of {name} that process" in said
    assert "operation(s) that were cut off" in said
    require_complete(walked, name, before=before)


@pytest.mark.long(seconds=35)
@pytest.mark.parametrize("when", ["before", "after"])
def test_apply_killed_when_it_takes_off_foreign_fields_is_finished_by_the_same_command(
    walked: CliEstate, name: str, when: str
) -> None:
    before = names_in_use(walked.maker)
    walked.done(*APPLY, name)
    opened = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "default-deny", "namespace": f"{name}-apps"},
        "spec": {"podSelector": {}, "egress": [{}]},
    }
    mallory = ("apply", "--server-side", "--force-conflicts", "--field-manager=mallory", "-f", "-")
    walked.maker.world.kubectl(*mallory, stdin=json.dumps(opened))
    place = "provisioner.operations.making:take_off_foreign_fields"
    process = walked.start(*APPLY, name, program=dying(place, when))

    require_killed(process)
    finish(walked, *APPLY, name, stack=name)

    policy = walked.maker.world.kubectl("-n", f"{name}-apps", "get", "netpol", "default-deny", "-o", "json")
    assert "egress" not in json.loads(policy)["spec"]
    require_complete(walked, name, before=before)


@pytest.mark.long(seconds=60)
@pytest.mark.usefixtures("simulated_node")
def test_apply_killed_while_it_waits_for_pods_is_finished_by_the_same_command(walked: CliEstate, name: str) -> None:
    before, kubectl = names_in_use(walked.maker), walked.maker.world.kubectl
    nodes = kubectl("get", "nodes", "--output", "name").split()
    waiting = ("apply", "--yes", "--events", "--timeout", "60", name)
    kubectl("cordon", *nodes)
    process = walked.start(*waiting)
    reach_message(process, "waiting for Deployment portal")

    kill(process, Kill.COOPCTL, folder=working_folder(walked, name))
    kubectl("uncordon", *nodes)
    for when in ("before", "after"):
        place = "provisioner.operations.making:wait_for_workloads"
        require_killed(walked.start(*waiting, program=dying(place, when)))
    finish(walked, *waiting, stack=name)

    require_complete(walked, name, before=before)


@pytest.mark.parametrize(
    ("boundary", "what"), walk(platform_boundaries(), sample=(), seconds=20, kills=[Kill.EVERYTHING])
)
def test_the_platforms_own_apply_killed_at_a_resource_boundary_is_finished_by_the_same_command(
    cli_estate: CliEstate, boundary: Boundary, what: Kill
) -> None:
    cli_estate.write()
    kubectl, cluster = cli_estate.maker.world.kubectl, cli_estate.maker.cluster_id
    kinds = ",".join(sorted({boundary.kind for boundary in platform_boundaries()}))
    # What another estate of this session made would only be taken over.
    kubectl("delete", kinds, "-l", LABEL_CLUSTER)
    process = cli_estate.start(*PLATFORM)
    reach(process, boundary, stack="platform")

    kill(process, what, folder=working_folder(cli_estate, "platform"))
    finish(cli_estate, *PLATFORM, stack="platform")

    made = kubectl("get", kinds, "-l", f"{LABEL_CLUSTER}={cluster}", "-o", "name").split()
    assert len(made) == len(platform_boundaries()) / 2
    assert "no changes" in cli_estate.done("platform", "plan")
