"""One estate holds the machine's real node, until it goes."""

from pathlib import Path

import pytest

from provisioner.embedded.node import claim
from provisioner.embedded.node.claim import Claim
from provisioner.errors import CoopctlError


def claim_of(estate: Path) -> Claim:
    return Claim(estate=estate, run=estate / "run")


def test_a_claim_is_taken_once_and_again_by_the_same_estate(tmp_path: Path) -> None:
    claim.take(claim_of(tmp_path / "a"), folder=tmp_path)
    claim.take(claim_of(tmp_path / "a"), folder=tmp_path)

    assert claim.holder(tmp_path) == claim_of(tmp_path / "a")


def test_another_estate_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    claim.take(claim_of(tmp_path / "a"), folder=tmp_path)

    with pytest.raises(CoopctlError, match=str(tmp_path / "a")):
        claim.take(claim_of(tmp_path / "b"), folder=tmp_path)


def test_only_the_holder_releases(tmp_path: Path) -> None:
    claim.take(claim_of(tmp_path / "a"), folder=tmp_path)

    claim.release(tmp_path / "b", folder=tmp_path)
    assert claim.holder(tmp_path) is not None
    claim.release(tmp_path / "a", folder=tmp_path)
    assert claim.holder(tmp_path) is None


def test_releasing_where_nothing_was_claimed_is_harmless(tmp_path: Path) -> None:
    claim.release(tmp_path, folder=tmp_path / "absent")


def test_a_deleted_estate_has_abandoned_its_claim(tmp_path: Path) -> None:
    assert claim_of(tmp_path / "gone").abandoned
    assert not claim_of(tmp_path).abandoned


@pytest.mark.parametrize("content", ["", "{}", "[]", "\0"])
def test_a_damaged_claim_says_what_to_do(tmp_path: Path, content: str) -> None:
    claim.take(claim_of(tmp_path), folder=tmp_path)
    (file,) = tmp_path.glob("node-*.json")
    file.write_text(content)

    with pytest.raises(CoopctlError, match="damaged") as damaged:
        claim.holder(tmp_path)
    assert damaged.value.hint
