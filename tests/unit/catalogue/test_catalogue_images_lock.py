"""images.lock: read strictly, written in one form."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.catalogue import images_lock
from provisioner.catalogue.images_lock import ImagesLock, LockedImage
from provisioner.errors import InvalidDescriptor, NotFound
from tests.unit.plan.builders import FAKE_DIGEST

PORTAL = LockedImage(repository="coopctl/portal", digest=FAKE_DIGEST)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    lock = ImagesLock(source=tmp_path / "images.lock").with_image("portal", PORTAL)
    images_lock.write(lock)
    assert images_lock.read(lock.source) == lock


def test_the_order_of_building_does_not_change_the_file(tmp_path: Path) -> None:
    empty = ImagesLock(source=tmp_path / "images.lock")
    images_lock.write(empty.with_image("b", PORTAL).with_image("a", PORTAL))
    first = empty.source.read_bytes()
    images_lock.write(empty.with_image("a", PORTAL).with_image("b", PORTAL))
    assert empty.source.read_bytes() == first


def test_a_missing_file_is_a_lock_without_images(tmp_path: Path) -> None:
    lock = images_lock.read(tmp_path / "images.lock")
    with pytest.raises(NotFound) as refused:
        lock.image("portal")
    assert "coopctl images build" in (refused.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "apiVersion: coopctl.dev/v1\nkind: ImagesLock\n",
        "apiVersion: coopctl.dev/v1\nkind: Other\nimages: {}\n",
        "apiVersion: coopctl.dev/v1\nkind: ImagesLock\nimages: {}\nmore: 1\n",
        "apiVersion: coopctl.dev/v1\nkind: ImagesLock\nimages: {portal: {repository: a, digest: latest}}\n",
        "apiVersion: coopctl.dev/v1\nkind: ImagesLock\nimages: {portal: {repository: A b, digest: "
        + FAKE_DIGEST
        + "}}\n",
        "a: [\n",
    ],
)
def test_anything_else_is_refused_with_the_remedy(tmp_path: Path, text: str) -> None:
    file = tmp_path / "images.lock"
    file.write_text(text)
    with pytest.raises(InvalidDescriptor) as refused:
        images_lock.read(file)
    assert refused.value.diagnostics
    assert refused.value.hint


@given(st.binary(max_size=200))
def test_no_content_leads_to_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("lock") / "images.lock"
    file.write_bytes(content)
    with pytest.raises(InvalidDescriptor):
        images_lock.read(file)


def test_a_reference_holds_registry_repository_and_digest() -> None:
    assert PORTAL.reference("127.0.0.1:15000") == f"127.0.0.1:15000/coopctl/portal@{FAKE_DIGEST}"
