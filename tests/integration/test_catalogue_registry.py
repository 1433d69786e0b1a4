"""`coopctl catalogue verify` and `mirror` with registries that really run."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cli import main
from provisioner.catalogue import images_lock
from provisioner.catalogue.images.estate_images import build_images
from provisioner.catalogue.images.programs import Program
from provisioner.catalogue.images.verifying import verify_image
from provisioner.descriptor.endpoints import embedded_files, write_endpoints
from provisioner.embedded.registry import RegistryPart
from provisioner.embedded.supervisor import Supervisor
from provisioner.errors import ExitCode
from provisioner.toolchain import Toolchain
from tests.conftest import surroundings_at
from tests.unit.descriptor.worlds import PLATFORM, World, world
from tests.unit.plan import builders

pytestmark = pytest.mark.servers


@dataclass(frozen=True, kw_only=True)
class RunningRegistry:
    """A registry: its address, and where it keeps blobs by the hash they should have."""

    address: str
    storage: Path

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        name = digest.removeprefix("sha256:")
        return self.storage / "docker" / "registry" / "v2" / "blobs" / "sha256" / name[:2] / name / "data"


@dataclass(frozen=True, kw_only=True)
class Shop:
    """An estate with one small image in its registry, and a mirror that is empty at first."""

    estate: World
    registry: RunningRegistry
    mirror: RunningRegistry

    def run(self, *arguments: str) -> ExitCode:
        """Call `coopctl catalogue` on the estate."""
        return main.run(["catalogue", *arguments, "--estate", str(self.estate.estate.root)])

    def answer(self, capsys: pytest.CaptureFixture[str], *arguments: str, code: ExitCode) -> dict[str, Any]:
        """The JSON document of a call."""
        capsys.readouterr()
        assert self.run(*arguments, "-o", "json") is code
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    @property
    def digest(self) -> str:
        """The image's digest."""
        return images_lock.read(self.estate.estate.images_lock).image("tiny").digest

    @property
    def layer(self) -> str:
        """The digest of the image's layer."""
        manifest = json.loads(self.registry.blob(self.digest).read_text())
        return str(manifest["layers"][0]["digest"])


def _registry(folder: Path, *, run: Path) -> tuple[Supervisor, RunningRegistry, int]:
    surroundings = replace(surroundings_at(folder, run=run), tools=Toolchain().ensure(["registry"], report=print))
    part = RegistryPart()
    part.prepare(surroundings)
    supervisor = Supervisor(folder, report=logging.getLogger(__name__).info)
    supervisor.start(part.specs(surroundings))
    port = surroundings.endpoints.registry
    running = RunningRegistry(address=f"127.0.0.1:{port}", storage=surroundings.data("registry") / "storage")
    return supervisor, running, port


@pytest.fixture
def shop(tmp_path: Path, open_folder: Path) -> Iterator[Shop]:
    """An estate whose lock and registry hold the image `tiny`."""
    folder = open_folder / tmp_path.name
    ours, registry, port = _registry(folder / "ours", run=folder / "run-ours")
    other, mirror, _ = _registry(folder / "mirror", run=folder / "run-mirror")
    made = world(tmp_path, {}, platform=f"{PLATFORM}  registry: {{mirrors: ['{mirror.address}/backup']}}\n")
    write_endpoints(
        replace(surroundings_at(tmp_path, run=folder).endpoints, registry=port), files=embedded_files(tmp_path)
    )
    program = made.write("tiny", b"#!/bin/true\n")
    try:
        build_images(
            ("tiny",),
            catalogue=builders.catalogue(),
            lock_file=made.estate.images_lock,
            cache=tmp_path / "cache",
            registry=registry.address,
            report=print,
            programs=(Program(name="tiny", repository="coopctl/tiny", description="", find=lambda: program),),
        )
        yield Shop(estate=made, registry=registry, mirror=mirror)
    finally:
        other.stop()
        ours.stop()


def test_a_whole_image_is_verified_and_a_damaged_or_missing_blob_is_told(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.run("verify") is ExitCode.DONE
    shown = capsys.readouterr()
    assert f"{shop.registry.address}/coopctl/tiny@{shop.digest}" in shown.out
    assert "no problem" in shown.out
    assert "verifying coopctl/tiny" in shown.err
    layer = shop.registry.blob(shop.layer)
    whole = layer.read_bytes()
    layer.write_bytes(bytes(byte ^ 0xFF for byte in whole))
    document = shop.answer(capsys, "verify", code=ExitCode.PROBLEMS)
    (image,) = document["images"]
    assert document["well"] is False
    assert shop.layer.removeprefix("sha256:")[:12] in str(image["problems"])
    layer.unlink()
    assert shop.run("verify") is ExitCode.PROBLEMS
    assert "1 problem" in capsys.readouterr().out


def test_an_image_that_was_never_pushed_is_a_problem(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    lock = images_lock.read(shop.estate.estate.images_lock)
    images_lock.write(lock.with_image("gone", replace(lock.image("tiny"), digest=builders.FAKE_DIGEST)))
    document = shop.answer(capsys, "verify", code=ExitCode.PROBLEMS)
    assert {one["name"]: bool(one["problems"]) for one in document["images"]} == {"gone": True, "tiny": False}


def test_mirrors_get_the_locked_images_by_their_digests(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    image = images_lock.read(shop.estate.estate.images_lock).image("tiny")
    at_mirror = f"{shop.mirror.address}/backup"
    assert verify_image("tiny", image=image, registry=at_mirror).problems
    document = shop.answer(capsys, "mirror", code=ExitCode.DONE)
    assert [(one["name"], one["digest"], one["target"]) for one in document["images"]] == [
        ("tiny", shop.digest, at_mirror)
    ]
    assert verify_image("tiny", image=image, registry=at_mirror).problems == ()
    assert shop.run("mirror") is ExitCode.DONE, "again is harmless"


def test_a_registry_that_lost_an_image_gets_it_back_from_a_mirror(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.run("mirror", "tiny") is ExitCode.DONE
    for blob in (shop.registry.blob(shop.layer), shop.registry.blob(shop.digest)):
        blob.unlink()
    assert shop.run("verify") is ExitCode.PROBLEMS
    assert shop.run("mirror", "--from", f"{shop.mirror.address}/backup") is ExitCode.DONE
    assert shop.run("verify") is ExitCode.DONE


def test_what_the_other_end_does_not_have_is_told(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.run("mirror", "--from", shop.mirror.address) is ExitCode.FAILED
    shown = capsys.readouterr().err
    assert "the image could not be copied from docker://" in shown
    assert "why:" in shown
