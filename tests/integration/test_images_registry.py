"""Images of an estate, pushed to a registry that really runs."""

import json
import logging
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from provisioner.catalogue import images_lock
from provisioner.catalogue.images.estate_images import ImageState, build_images, list_images, push_images
from provisioner.catalogue.images_lock import ImagesLock
from provisioner.embedded.registry import RegistryPart
from provisioner.embedded.supervisor import Supervisor
from provisioner.errors import CoopctlError, NotFound, Unreachable
from provisioner.toolchain import Toolchain
from tests.conftest import surroundings_at
from tests.unit.plan import builders

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A registry, an empty estate and a cache of images."""

    registry: str
    folder: Path

    @property
    def lock_file(self) -> Path:
        """The estate's lock."""
        return self.folder / "images.lock"

    def build(self, *, registry: str | None) -> list[ImageState]:
        """Build the portal's image, and push it if ``registry`` is given."""
        return build_images(
            ("portal",),
            catalogue=builders.catalogue(),
            lock_file=self.lock_file,
            cache=self.folder / "cache",
            registry=registry,
            report=print,
        )

    def push(self, *names: str) -> list[ImageState]:
        """Push what is locked."""
        return push_images(
            names,
            catalogue=builders.catalogue(),
            lock_file=self.lock_file,
            cache=self.folder / "cache",
            registry=self.registry,
            report=print,
        )


@pytest.fixture(scope="module")
def shop(open_folder: Path) -> Iterator[Shop]:
    """A registry for the tests of this module."""
    folder = open_folder / "shop"
    surroundings = surroundings_at(folder, run=open_folder / "run-shop")
    surroundings = replace(surroundings, tools=Toolchain().ensure(["registry"], report=print))
    part = RegistryPart()
    part.prepare(surroundings)
    supervisor = Supervisor(folder, report=logging.getLogger(__name__).info)
    try:
        supervisor.start(part.specs(surroundings))
        yield Shop(registry=f"127.0.0.1:{surroundings.endpoints.registry}", folder=folder)
    finally:
        supervisor.stop()


@pytest.mark.servers
def test_what_is_locked_is_what_the_registry_has(shop: Shop) -> None:
    (state,) = shop.build(registry=shop.registry)
    locked = images_lock.read(shop.lock_file).image("portal")
    assert (state.pushed, locked.digest) == (True, state.digest)
    url = f"http://{shop.registry}/v2/{locked.repository}/manifests/{locked.digest}"
    asked = urllib.request.Request(url, headers={"Accept": MANIFEST})
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - our own registry on loopback
        assert answer.headers["Docker-Content-Digest"] == locked.digest
        assert json.load(answer)["mediaType"] == MANIFEST


@pytest.mark.servers
def test_building_again_changes_nothing(shop: Shop) -> None:
    shop.build(registry=shop.registry)
    before = (shop.lock_file.read_bytes(), shop.lock_file.stat().st_mtime_ns)
    (state,) = shop.build(registry=shop.registry)
    assert (state.built, state.locked) == (False, False)
    assert (shop.lock_file.read_bytes(), shop.lock_file.stat().st_mtime_ns) == before


@pytest.mark.servers
def test_pushing_sends_what_is_locked_and_nothing_else(shop: Shop) -> None:
    shop.build(registry=None)
    # The catalogue has more images than are locked; they are asked for by name alone.
    (state,) = shop.push()
    assert (state.name, state.pushed) == ("portal", True)
    with pytest.raises(NotFound, match="'tryton' has no digest"):
        shop.push("tryton")
    kept = images_lock.read(shop.lock_file)
    other = replace(kept.image("portal"), digest=builders.FAKE_DIGEST)
    images_lock.write(kept.with_image("portal", other))
    with pytest.raises(CoopctlError) as refused:
        shop.push()
    images_lock.write(kept)
    assert builders.FAKE_DIGEST in (refused.value.why or "")


@pytest.mark.servers
def test_a_registry_that_does_not_answer_leaves_the_lock_as_it_was(shop: Shop) -> None:
    shop.lock_file.unlink(missing_ok=True)
    with pytest.raises(Unreachable) as refused:
        shop.build(registry="127.0.0.1:9")
    assert "connection refused" in (refused.value.why or "")
    assert not shop.lock_file.exists()


def test_images_that_were_never_built_are_listed_without_digest(tmp_path: Path) -> None:
    listed = {one.name: one for one in list_images(catalogue=builders.catalogue(), lock_file=tmp_path / "images.lock")}
    assert {name: one.digest for name, one in listed.items()} == {"member-files": None, "portal": None, "tryton": None}
    assert listed["portal"].solutions == ("portal",)


def test_an_unknown_image_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as refused:
        build_images(
            ("portl",),
            catalogue=builders.catalogue(),
            lock_file=tmp_path / "images.lock",
            cache=tmp_path,
            registry=None,
            report=print,
        )
    assert "portal" in (refused.value.hint or "")


def test_a_lock_keeps_images_that_this_catalogue_does_not_build(tmp_path: Path) -> None:
    lock = ImagesLock(source=tmp_path / "images.lock")
    other = builders.fake_lock().image("portal")
    images_lock.write(lock.with_image("mirrored", other))
    assert images_lock.read(lock.source).with_image("portal", other).image("mirrored") == other
