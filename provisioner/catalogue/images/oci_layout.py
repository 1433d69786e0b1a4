"""Writes an image as an OCI layout: blobs by their hash, one manifest, one index.

OCI image specification 1.1: "Image Layout", "Image Manifest", "Image Configuration". Every byte follows from the
content, so that equal images have equal digests.
"""

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.catalogue.images.definition import ImageDefinition

MEDIA_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEDIA_CONFIG = "application/vnd.oci.image.config.v1+json"
MEDIA_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
REFERENCE = "latest"
CREATED = "1970-01-01T00:00:00Z"
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
# Debian's names of architectures and Go's, where they differ (OCI image configuration, "architecture").
ARCHITECTURES = {"armhf": "arm", "i386": "386", "ppc64el": "ppc64le"}
COMPRESSION = 6
CHUNK = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A blob of the layout: what points to it in a manifest."""

    media_type: str
    digest: str
    size: int

    def descriptor(self) -> dict[str, Any]:
        """The content descriptor (OCI image specification, "OCI Content Descriptors")."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def write_layout(folder: Path, *, layers: Sequence[Path], definition: ImageDefinition, architecture: str) -> str:
    """Write the layout of an image with the uncompressed ``layers`` to ``folder``; give its manifest's digest."""
    (folder / "blobs" / "sha256").mkdir(parents=True)
    uncompressed = [_sha256(layer) for layer in layers]
    packed = [_compress(layer, folder=folder) for layer in layers]
    config = _config(definition, architecture=ARCHITECTURES.get(architecture, architecture), diff_ids=uncompressed)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MEDIA_MANIFEST,
        "config": _write_json(folder, content=config, media_type=MEDIA_CONFIG).descriptor(),
        "layers": [blob.descriptor() for blob in packed],
    }
    written = _write_json(folder, content=manifest, media_type=MEDIA_MANIFEST)
    named = {**written.descriptor(), "annotations": {"org.opencontainers.image.ref.name": REFERENCE}}
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    return written.digest


def layout_size(folder: Path) -> int:
    """How many bytes the layout's blobs have: what a node downloads."""
    return sum(blob.stat().st_size for blob in (folder / "blobs" / "sha256").iterdir())


def _config(definition: ImageDefinition, *, architecture: str, diff_ids: Sequence[str]) -> Mapping[str, Any]:
    ports: dict[str, Any] = {"ExposedPorts": {f"{definition.port}/tcp": {}}} if definition.port else {}
    return {
        "created": CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": f"{definition.user_id}:{definition.user_id}",
            "Entrypoint": list(definition.entrypoint),
            "Env": [SEARCH_PATH],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": definition.name,
                "org.opencontainers.image.description": definition.description,
            },
            **ports,
        },
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [{"created": CREATED, "created_by": "coopctl images build"} for _ in diff_ids],
    }


def _write_json(folder: Path, *, content: Mapping[str, Any], media_type: str) -> Blob:
    data = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(data).hexdigest()
    (folder / "blobs" / "sha256" / digest).write_bytes(data)
    return Blob(media_type=media_type, digest=f"sha256:{digest}", size=len(data))


def _compress(layer: Path, *, folder: Path) -> Blob:
    """Compress ``layer`` without name or time in its header, and file it under its hash."""
    packed = folder / "layer.gz"
    with (
        layer.open("rb") as source,
        packed.open("wb") as target,
        gzip.GzipFile(filename="", mode="wb", compresslevel=COMPRESSION, fileobj=target, mtime=0) as stream,
    ):
        while chunk := source.read(CHUNK):
            stream.write(chunk)
    digest, size = _sha256(packed), packed.stat().st_size
    packed.rename(folder / "blobs" / "sha256" / digest.removeprefix("sha256:"))
    return Blob(media_type=MEDIA_LAYER, digest=digest, size=size)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
