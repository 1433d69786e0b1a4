"""Images from real Debian packages, with this machine's own apt."""

import json
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.catalogue.images.building import INPUTS, BuiltImage, build
from provisioner.catalogue.images.definition import ImageDefinition, read_definition
from provisioner.catalogue.images.oci_layout import layout_size
from provisioner.catalogue.images.sbom import SBOM_FILE, read_sbom
from provisioner.errors import NotFound
from tests.unit.plan.builders import CHARTS

MEBIBYTE = 1024 * 1024


def definition() -> ImageDefinition:
    """The portal's image, as it is shipped."""
    return read_definition(CHARTS / "portal" / "image.yaml")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """The portal's image, built once from nothing."""
    return build(definition(), cache=tmp_path_factory.mktemp("first"), report=print)


@pytest.fixture
def layer(built: BuiltImage) -> Iterator[tarfile.TarFile]:
    """The image's one layer."""
    blobs = built.layout / "blobs" / "sha256"
    manifest = json.loads((blobs / built.digest.removeprefix("sha256:")).read_text())
    with tarfile.open(blobs / manifest["layers"][0]["digest"].removeprefix("sha256:")) as tar:
        yield tar


def test_the_same_packages_give_the_same_digest_in_another_place(built: BuiltImage, tmp_path: Path) -> None:
    again = build(definition(), cache=tmp_path, report=print)
    assert (again.fresh, again.digest) == (True, built.digest)
    assert (again.layout.parent / SBOM_FILE).read_bytes() == (built.layout.parent / SBOM_FILE).read_bytes()


def test_a_second_build_finds_the_first_within_two_seconds(built: BuiltImage) -> None:
    cache = built.layout.parents[2]
    start = time.monotonic()
    again = build(definition(), cache=cache, report=print)
    assert time.monotonic() - start < 2
    assert (again.fresh, again.digest) == (False, built.digest)


def test_changed_lists_with_the_same_versions_build_nothing(built: BuiltImage) -> None:
    cache = built.layout.parents[2]
    (cache / "portal" / INPUTS).unlink()
    assert not build(definition(), cache=cache, report=print).fresh


def test_scratch_of_a_build_that_was_cut_off_is_no_hindrance(built: BuiltImage) -> None:
    cache = built.layout.parents[2]
    (cache / "portal" / "scratch" / "made").mkdir(parents=True)
    (cache / "portal" / INPUTS).write_text("{")
    assert build(definition(), cache=cache, report=print).digest == built.digest
    assert not (cache / "portal" / "scratch").exists()


def test_an_unknown_package_is_named_with_the_remedy(tmp_path: Path) -> None:
    unknown = replace(definition(), packages=("no-such-package-anywhere",))
    with pytest.raises(NotFound) as refused:
        build(unknown, cache=tmp_path, report=print)
    assert "no-such-package-anywhere" in (refused.value.why or "")
    assert "apt-get update" in (refused.value.hint or "")


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound) as refused:
        build(definition(), cache=tmp_path, report=print)
    assert "PATH" in refused.value.message


def test_the_portal_s_image_is_small(built: BuiltImage) -> None:
    assert layout_size(built.layout) < 20 * MEBIBYTE


def test_the_layer_holds_no_trace_of_this_machine(layer: tarfile.TarFile) -> None:
    names = layer.getnames()
    assert not [name for name in names if name.startswith(("var/log/", "var/cache/", "etc/apt", "etc/machine-id"))]
    assert {member.mtime for member in layer.getmembers()} == {0}
    assert not [member.name for member in layer.getmembers() if member.isfile() and member.mode & 0o6000]


def test_every_package_s_licence_and_version_are_in_the_image(layer: tarfile.TarFile) -> None:
    names = set(layer.getnames())
    packages = {name.rsplit("/", 1)[1] for name in names if name.startswith("var/lib/dpkg/status.d/")}
    assert {"nginx", "libc6", "libssl3"} <= packages
    documented = {name for name in packages if {f"usr/share/doc/{name}", f"usr/share/doc/{name}/copyright"} & names}
    assert documented == packages


def test_the_list_of_what_is_in_the_image_is_kept_beside_it(built: BuiltImage, layer: tarfile.TarFile) -> None:
    found = read_sbom("portal", digest=built.digest, cache=built.layout.parents[2])
    inside = {name.rsplit("/", 1)[1] for name in layer.getnames() if name.startswith("var/lib/dpkg/status.d/")}
    assert {component.name for component in found.components} == inside
    assert all(len(component.sha256) == 64 and component.version for component in found.components)
