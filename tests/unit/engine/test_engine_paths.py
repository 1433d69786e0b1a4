"""Property paths, as Pulumi writes them."""

import pytest

from provisioner.engine.changes import join
from provisioner.engine.paths import look_up, parse


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("spec", ("spec",)),
        ('spec.hard["requests.cpu"]', ("spec", "hard", "requests.cpu")),
        ("spec.ingress[0].from", ("spec", "ingress", 0, "from")),
        ('metadata.annotations["a\\"b"]', ("metadata", "annotations", 'a"b')),
        ("broken[", ("broken[",)),
    ],
)
def test_paths_are_split_into_keys_and_indexes(path: str, parts: tuple[str | int, ...]) -> None:
    assert parse(path) == parts


def test_looking_up_follows_keys_and_indexes() -> None:
    value = {"spec": {"ingress": [{"from": "x"}]}}

    assert look_up(value, "spec.ingress[0].from") == (True, "x")
    assert look_up(value, "spec.ingress[1].from") == (False, None)
    assert look_up(value, "spec.ingress.from") == (False, None)


@pytest.mark.parametrize("key", ["plain", "with.dot", 'with"quote', "[0]", ""])
def test_joined_paths_are_split_into_the_same_keys(key: str) -> None:
    assert parse(join("spec", key)) == ("spec", key)
