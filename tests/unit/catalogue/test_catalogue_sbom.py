"""Bills of materials: valid, the same for the same image, and found again by the image's digest."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue.images.programs import Program, build_program
from provisioner.catalogue.images.sbom import SBOM_FILE, Component, package_component, read_sbom, write_sbom
from provisioner.errors import CoopctlError, NotFound

CONTROL = """\
Package: libssl3
Source: openssl (3.0.22-1)
Version: 1:3.0.22-1~deb12u2
Architecture: amd64
Maintainer: OpenSSL 팀 <team@example.org>
Description: library
 that goes on here
"""
DIGEST = "sha256:" + "ab" * 32
HASH = "cd" * 32
PURL = re.compile(r"^pkg:deb/debian/[a-z0-9+.-]+@[^?#\s]+\?arch=[a-z0-9]+$")


def package(name: str, *, version: str = "1") -> Component:
    """A package of the machine's architecture."""
    return Component(name=name, version=version, sha256=HASH, architecture="amd64")


def document(folder: Path, *components: Component) -> dict[str, Any]:
    """What is written for an image of ``components``."""
    write_sbom(folder, image="tryton", digest=DIGEST, components=components)
    written: dict[str, Any] = json.loads((folder / SBOM_FILE).read_text(encoding="utf-8"))
    return written


def kept(cache: Path, *, digest: str, folder: str = "one") -> Path:
    """A document in the cache; the folder that holds it."""
    place = cache / "tryton" / folder
    place.mkdir(parents=True)
    write_sbom(place, image="tryton", digest=digest, components=[package_component(CONTROL, sha256=HASH)])
    return place


def test_a_package_is_what_its_control_fields_say() -> None:
    assert package_component(CONTROL, sha256=HASH) == Component(
        name="libssl3",
        version="1:3.0.22-1~deb12u2",
        sha256=HASH,
        architecture="amd64",
        source="openssl",
        supplier="OpenSSL 팀 <team@example.org>",
    )


def test_a_document_has_what_cyclonedx_requires(tmp_path: Path) -> None:
    made = document(tmp_path, package("libc6"), package_component(CONTROL, sha256=HASH))
    assert (made["bomFormat"], made["specVersion"], made["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", made["serialNumber"])
    assert made["metadata"]["component"]["type"] == "container"
    for component in made["components"]:
        assert {"type", "name", "version", "bom-ref"} <= set(component)
        assert PURL.fullmatch(component["purl"]), component["purl"]


def test_a_python_library_and_a_program_are_named_beside_packages(tmp_path: Path) -> None:
    library = Component(name="psycopg-binary", version="3.3.1", sha256=HASH, python=True)
    program = Component(name="coopctl", version="1.0", sha256=HASH, kind="application")
    made = document(kept(tmp_path, digest="sha256:" + "ef" * 32), library, program, package("libc6"))
    urls = {component["name"]: component.get("purl") for component in made["components"]}
    assert urls["psycopg-binary"] == "pkg:pypi/psycopg-binary@3.3.1"
    assert urls["coopctl"] is None
    assert read_sbom("tryton", digest=DIGEST, cache=tmp_path).components == (program, package("libc6"), library)


def test_the_order_of_packages_changes_nothing(tmp_path: Path) -> None:
    first = document(tmp_path, package("b"), package("a"))
    assert first == document(tmp_path, package("a"), package("b"))
    assert [component["name"] for component in first["components"]] == ["a", "b"]


def test_another_image_has_another_number(tmp_path: Path) -> None:
    first = document(tmp_path, package("a"))["serialNumber"]
    write_sbom(tmp_path, image="tryton", digest="sha256:" + "ef" * 32, components=[package("a")])
    assert json.loads((tmp_path / SBOM_FILE).read_text())["serialNumber"] != first


def test_a_document_is_read_as_it_was_written_by_the_digest_of_its_image(tmp_path: Path) -> None:
    kept(tmp_path, digest="sha256:" + "ef" * 32, folder="older")
    place = kept(tmp_path, digest=DIGEST)
    found = read_sbom("tryton", digest=DIGEST, cache=tmp_path)
    assert (found.image, found.digest, found.file) == ("tryton", DIGEST, place / SBOM_FILE)
    assert found.components == (package_component(CONTROL, sha256=HASH),)


def test_an_image_of_another_machine_is_told_with_the_remedy(tmp_path: Path) -> None:
    kept(tmp_path, digest="sha256:" + "ef" * 32)
    with pytest.raises(NotFound) as refused:
        read_sbom("tryton", digest=DIGEST, cache=tmp_path)
    assert "images build tryton" in (refused.value.hint or "")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"metadata": {"component": 1}}', "\x00"])
def test_a_damaged_document_is_told_with_its_file(tmp_path: Path, text: str) -> None:
    place = kept(tmp_path, digest=DIGEST)
    (place / SBOM_FILE).write_text(text)
    with pytest.raises(CoopctlError, match="damaged"):
        read_sbom("tryton", digest=DIGEST, cache=tmp_path)


def test_the_image_of_a_program_lists_that_program(tmp_path: Path) -> None:
    executable = tmp_path / "executable"
    executable.write_bytes(b"program")
    program = Program(name="probe", repository="coopctl/probe", description="", find=lambda: executable)
    image = build_program(program, cache=tmp_path, report=print)
    found = read_sbom("probe", digest=image.digest, cache=tmp_path)
    assert [(one.name, one.kind) for one in found.components] == [("probe", "application")]


def test_an_image_from_before_there_were_documents_is_made_again(tmp_path: Path) -> None:
    executable = tmp_path / "executable"
    executable.write_bytes(b"program")
    program = Program(name="probe", repository="coopctl/probe", description="", find=lambda: executable)
    image = build_program(program, cache=tmp_path, report=print)
    (image.layout.parent / SBOM_FILE).unlink()
    assert build_program(program, cache=tmp_path, report=print).digest == image.digest
    assert read_sbom("probe", digest=image.digest, cache=tmp_path).components
