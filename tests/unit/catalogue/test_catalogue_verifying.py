"""What a fetched image is checked for, and which way images are copied."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue.images.mirroring import Route, mirror_images, routes
from provisioner.catalogue.images.verifying import folder_problems
from provisioner.catalogue.images_lock import ImagesLock
from provisioner.descriptor.platform import Registry
from provisioner.errors import NotFound, UsageError

OURS, MIRROR, OTHER = "registry.example.kr", "mirror.example.kr:5000/own", "other.example.kr"


def digest(content: bytes) -> str:
    """The digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """An image as skopeo's ``dir`` holds it."""

    folder: Path

    def blob(self, content: bytes) -> dict[str, Any]:
        """Add a blob, and give what points to it."""
        (self.folder / digest(content).removeprefix("sha256:")).write_bytes(content)
        return {"digest": digest(content), "size": len(content)}

    def image(self, name: str = "manifest.json") -> bytes:
        """Add an image with two layers."""
        layers = [self.blob(b"one"), self.blob(b"two")]
        return self.document({"config": self.blob(b"{}"), "layers": layers}, name=name)

    def document(self, content: dict[str, Any], *, name: str = "manifest.json") -> bytes:
        """Add a manifest."""
        text = json.dumps(content).encode()
        (self.folder / name).write_bytes(text)
        return text

    def file_of(self, content: bytes) -> Path:
        """The file of a blob."""
        return self.folder / digest(content).removeprefix("sha256:")


@pytest.fixture
def fetched(tmp_path: Path) -> Fetched:
    """An empty folder."""
    return Fetched(folder=tmp_path)


def found(fetched: Fetched, manifest: bytes) -> list[str]:
    """What is wrong with the image."""
    return list(folder_problems(fetched.folder, digest=digest(manifest)))


def test_a_whole_image_has_no_problem(fetched: Fetched) -> None:
    assert found(fetched, fetched.image()) == []


def test_another_manifest_is_told_by_its_digest(fetched: Fetched) -> None:
    fetched.image()
    (problem,) = folder_problems(fetched.folder, digest=digest(b"another"))
    assert problem.startswith("the manifest is sha256:")


def _damaged(file: Path) -> None:
    file.write_bytes(b"evil")


@pytest.mark.parametrize(
    ("change", "told"),
    [(_damaged, f"is damaged: it hashes to {digest(b'evil')}"), (Path.unlink, "is not there")],
)
@pytest.mark.parametrize("blob", [b"{}", b"one", b"two"])
def test_each_blob_is_hashed(fetched: Fetched, change: Callable[[Path], None], told: str, blob: bytes) -> None:
    manifest = fetched.image()
    change(fetched.file_of(blob))
    assert found(fetched, manifest) == [f"{digest(blob)} {told}"]


def test_every_image_of_an_index_is_hashed(fetched: Fetched) -> None:
    inner = fetched.image("inner")
    name = digest(inner).removeprefix("sha256:")
    (fetched.folder / "inner").rename(fetched.folder / f"{name}.manifest.json")
    index = fetched.document({"manifests": [{"digest": digest(inner)}]})
    assert found(fetched, index) == []
    fetched.file_of(b"two").write_bytes(b"evil")
    assert found(fetched, index) == [f"{digest(b'two')} is damaged: it hashes to {digest(b'evil')}"]


@pytest.mark.parametrize("name", ["../../../etc/passwd", "sha256:../x", "", "sha512:" + "0" * 128])
def test_a_digest_that_is_none_is_followed_nowhere(fetched: Fetched, name: str) -> None:
    manifest = fetched.document({"config": {"digest": name}, "layers": []})
    assert found(fetched, manifest) == [f"{name} is not there"]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"config": 1}', b'{"manifests": 1}', b"\xff", b'{"layers": [{}]}']
)
def test_what_is_no_manifest_is_a_problem(fetched: Fetched, content: bytes) -> None:
    (fetched.folder / "manifest.json").write_bytes(content)
    (problem,) = found(fetched, content)
    assert "is no image manifest" in problem


def registry(*mirrors: str) -> Registry:
    """Our registry."""
    return Registry(address=OURS, allowed=(f"{OURS}/",), mirrors=mirrors)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (None, None, [(OURS, MIRROR), (OURS, OTHER)]),
        (None, OTHER, [(OURS, OTHER)]),
        (MIRROR, None, [(MIRROR, OURS)]),
        (MIRROR, OTHER, [(MIRROR, OTHER)]),
    ],
)
def test_images_go_to_the_mirrors_unless_something_else_is_said(
    source: str | None, target: str | None, expected: list[tuple[str, str]]
) -> None:
    ways = routes(registry(MIRROR, OTHER), source=source, target=target)
    assert [(way.source, way.target) for way in ways] == expected


@pytest.mark.parametrize(
    "given", ["", "https://mirror.example.kr", "a b", "-x", "mirror.example.kr:0", "x@sha256:1", "x\ny"]
)
@pytest.mark.parametrize("end", ["source", "target"])
def test_what_is_no_registry_is_refused(given: str, end: str) -> None:
    with pytest.raises(UsageError) as refused:
        routes(registry(), **{"source": None, "target": None, end: given})
    assert "is not a registry" in refused.value.message


def test_without_mirrors_the_remedy_is_told() -> None:
    with pytest.raises(UsageError) as refused:
        routes(registry(), source=None, target=None)
    assert "spec.registry.mirrors" in (refused.value.hint or "")


@pytest.mark.parametrize(("source", "target"), [(None, OURS), (OURS, None), (MIRROR, MIRROR)])
def test_a_way_has_two_ends(source: str | None, target: str | None) -> None:
    with pytest.raises(UsageError) as refused:
        routes(registry(MIRROR), source=source, target=target)
    assert "both ends" in refused.value.message


def test_an_empty_lock_has_nothing_to_copy(tmp_path: Path) -> None:
    lock = ImagesLock(source=tmp_path / "images.lock")
    with pytest.raises(NotFound) as refused:
        mirror_images((), lock=lock, ways=[Route(source=OURS, target=MIRROR)], report=print)
    assert "coopctl images build --push" in (refused.value.hint or "")
