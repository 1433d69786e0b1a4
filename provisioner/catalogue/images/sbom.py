"""The bill of materials of an image: every package in it, as a CycloneDX document beside its layout.

CycloneDX specification 1.5, JSON. Nothing in it depends on when or where it was written, so that the same image always
has the same document. Packages are named by package URLs (purl specification, types ``deb`` and ``pypi``); each hash is
that of the package's archive, which apt verified, or of the wheel, which pip held against coopctl's lock.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from email.policy import compat32
from pathlib import Path
from typing import Any
from urllib.parse import quote

from provisioner.errors import CoopctlError, NotFound

SBOM_FILE = "sbom.cdx.json"
SPECIFICATION = "1.5"
# The document's number follows from the image's digest (RFC 9562, "UUID Version 5").
_NUMBERS = uuid.UUID("6f1f5f0a-8f0b-5c39-9d3e-0c7b1d1f6a52")
_PYPI = "pkg:pypi/"
_HINT = "build it again: `coopctl images build {name}`"


@dataclass(frozen=True, kw_only=True)
class Component:
    """What an image holds, in one version; ``sha256`` of the archive or file that it came from.

    ``source`` is the Debian source package, where it has another name; ``kind`` is CycloneDX's type of component;
    ``python``: it is a distribution of Python's package index.
    """

    name: str
    version: str
    sha256: str
    kind: str = "library"
    architecture: str = ""
    source: str = ""
    supplier: str = ""
    python: bool = False


@dataclass(frozen=True, kw_only=True)
class Sbom:
    """A bill of materials: of which image, by its digest, and its components sorted by name."""

    image: str
    digest: str
    components: tuple[Component, ...]
    file: Path


def package_component(control: str, *, sha256: str) -> Component:
    """The component that a Debian package is, from its control fields (Debian Policy Manual, section 5.3)."""
    fields = HeaderParser(policy=compat32).parsestr(control)
    return Component(
        name=fields["Package"],
        version=fields["Version"],
        sha256=sha256,
        architecture=fields.get("Architecture", ""),
        source=fields.get("Source", "").partition(" ")[0],
        supplier=fields.get("Maintainer", ""),
    )


def write_sbom(folder: Path, *, image: str, digest: str, components: Iterable[Component]) -> None:
    """Write the document of the image with the manifest ``digest`` into ``folder``."""
    listed = sorted(components, key=lambda component: (component.name, component.version))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NUMBERS, digest)}",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": digest, "name": image, "version": digest}},
        "components": [_as_document(component) for component in listed],
    }
    text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)
    (folder / SBOM_FILE).write_text(text + "\n", encoding="utf-8")


def read_sbom(image: str, *, digest: str, cache: Path) -> Sbom:
    """The document of ``image`` in the version ``digest``, from the images below ``cache``.

    Raises NotFound if this machine did not build that version, CoopctlError if the document is damaged.
    """
    for file in sorted((cache / image).glob(f"*/{SBOM_FILE}")):
        found = _read(file)
        if found.digest == digest:
            return found
    raise NotFound(
        f"there is no bill of materials of the image {image} with the digest {digest}",
        why="it is written where the image is built",
        hint=_HINT.format(name=image),
    )


def _as_document(component: Component) -> dict[str, Any]:
    purl = _purl(component)
    reference = purl or f"{component.name}@{component.version}"
    document: dict[str, Any] = {
        "type": component.kind,
        "bom-ref": reference,
        "name": component.name,
        "version": component.version,
        "hashes": [{"alg": "SHA-256", "content": component.sha256}],
    }
    if purl:
        document["purl"] = purl
    if component.architecture:
        properties = {"architecture": component.architecture, "source": component.source or component.name}
        document["properties"] = [{"name": f"deb:{key}", "value": value} for key, value in properties.items()]
    if component.supplier:
        document["supplier"] = {"name": component.supplier}
    return document


def _purl(component: Component) -> str:
    """Its package URL; "" for what no registry has."""
    name, version = quote(component.name, safe="+"), quote(component.version, safe="+~:")
    if component.python:
        return f"{_PYPI}{name}@{version}"
    return f"pkg:deb/debian/{name}@{version}?arch={component.architecture}" if component.architecture else ""


def _read(file: Path) -> Sbom:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        about = document["metadata"]["component"]
        components = tuple(_as_component(item) for item in document["components"])
        return Sbom(image=about["name"], digest=about["version"], components=components, file=file)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise CoopctlError(
            f"{file} is damaged", why=type(error).__name__, hint=f"delete {file.parent} and build the image again"
        ) from error


def _as_component(item: Mapping[str, Any]) -> Component:
    properties = {one["name"].removeprefix("deb:"): one["value"] for one in item.get("properties", ())}
    source = properties.get("source", "")
    return Component(
        name=item["name"],
        version=item["version"],
        sha256=item["hashes"][0]["content"],
        kind=item["type"],
        architecture=properties.get("architecture", ""),
        source="" if source == item["name"] else source,
        supplier=item.get("supplier", {}).get("name", ""),
        python=item.get("purl", "").startswith(_PYPI),
    )
