"""One apply, and one destroy, killed at one resource boundary after the other: each run gets further, the last ends it.

The walks kill once at each boundary and look at what the next run makes of it. Here every run begins with what the kill
before it has left, and dies at the first boundary at which none has died yet.
"""

import itertools
from collections.abc import Iterator

import pytest

from tests.integration.engine.completeness import require_complete, require_gone
from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.killing import (
    Boundary,
    Kill,
    boundary_of,
    close,
    cooperative_boundaries,
    events_of,
    finish,
    kill,
    working_folder,
)
from tests.integration.engine.snapshots import names_in_use

pytestmark = [pytest.mark.cluster, pytest.mark.servers, pytest.mark.long(seconds=1200), pytest.mark.timeout(3600)]
APPLY = ("apply", "--yes", "--events", "--timeout", "0")
DESTROY = ("destroy", "--yes", "--events")
# What is done while the process is being killed is not begun again, and so is no place to die at any more: of an apply
# some of eight at a time, of a destroy, where each takes but a moment, most.
LEAST_APPLIED, LEAST_DESTROYED = 0.5, 0.2
_numbers = itertools.count(1)


@pytest.fixture
def name(walked: CliEstate) -> Iterator[str]:
    """A cooperative with a solution; what it leaves is taken away afterwards."""
    made = f"chained-{next(_numbers)}"
    walked.write(made, solutions=["portal"])
    yield made
    walked.forget(made)


def killed_on_the_way(walked: CliEstate, *command: str, stack: str, what: Kill) -> set[Boundary]:
    """Run the command until it ends by itself, killed at each boundary that it has not died at; gives these."""
    left, killed = set(cooperative_boundaries()), set[Boundary]()
    while True:
        process = walked.start(*command, stack)
        met = (boundary_of(event, stack=stack) for event in events_of(process))
        boundary = next((one for one in met if one in left), None)
        if boundary is None:
            assert close(process) == 0
            return killed
        kill(process, what, folder=working_folder(walked, stack))
        left.remove(boundary)
        killed.add(boundary)


@pytest.mark.parametrize("what", list(Kill))
def test_an_apply_and_a_destroy_that_are_killed_again_and_again_come_through(
    walked: CliEstate, name: str, what: Kill
) -> None:
    before, every = names_in_use(walked.maker), len(cooperative_boundaries())

    applied = killed_on_the_way(walked, *APPLY, stack=name, what=what)
    finish(walked, *APPLY, name, stack=name)
    require_complete(walked, name, before=before)
    destroyed = killed_on_the_way(walked, *DESTROY, stack=name, what=what)
    require_gone(walked, name, before=before)

    assert len(applied) >= LEAST_APPLIED * every, sorted(map(str, applied))
    assert len(destroyed) >= LEAST_DESTROYED * every, sorted(map(str, destroyed))
