"""A look at a guard sees whatever is other than planned: each field changed or gone, and what somebody added."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from provisioner.plan.manifest import Manifest
from provisioner.proof.comparing import deviations, shortfalls
from tests.unit.proof.world import proven

GUARDS = {key: item.manifest for key, item in proven().guards.items()}


def places(value: Any, *, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all fields that hold something, inner ones first."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, path=(*path, key))
        if inner or inner is False:
            yield (*path, key)


def without(manifest: Manifest, path: tuple[Any, ...]) -> Manifest:
    """The manifest without the field at ``path``."""
    changed: Any = deepcopy(manifest)
    place = changed
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return dict(changed)


@pytest.mark.parametrize("guard", GUARDS)
def test_a_field_that_is_gone_shows_but_for_false_which_is_the_default(guard: str) -> None:
    wanted = GUARDS[guard]
    for path in places(wanted):
        found = list(deviations(wanted, without(wanted, path)))
        value: Any = wanted
        for key in path:
            value = value[key]
        assert bool(found) is bool(value), path


@pytest.mark.parametrize("guard", GUARDS)
def test_what_is_as_planned_shows_nothing(guard: str) -> None:
    wanted = GUARDS[guard]
    assert list(deviations(wanted, {**wanted, "status": {"observed": 1}})) == []


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        (
            {"spec": {"hard": {"pods": "9"}}},
            {"spec": {"hard": {"pods": "9"}, "scopes": ["Terminating"]}},
            "spec.scopes",
        ),
        (
            {"spec": {"podSelector": {}}},
            {"spec": {"podSelector": {"matchLabels": {"guarded": "yes"}}}},
            "spec.podSelector.matchLabels",
        ),
        (
            {"rules": [{"verbs": ["get"], "resources": ["pods"]}]},
            {"rules": [{"verbs": ["get"], "resources": ["pods"], "resourceNames": ["one"]}]},
            "rules[0].resourceNames",
        ),
        (
            {"roleRef": {"name": "operators"}},
            {"roleRef": {"name": "operators"}, "subjects": [{"kind": "Group", "name": "everybody"}]},
            "subjects",
        ),
    ],
)
def test_what_narrows_or_widens_a_guard_shows(wanted: Manifest, found: Manifest, said: str) -> None:
    assert list(shortfalls(wanted, found)) == []
    (shown,) = deviations(wanted, found)
    assert shown.startswith(f"{said} is ")
