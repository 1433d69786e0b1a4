"""Makes a one-layer OCI image of a static program, the same bytes each time, and imports it into containerd."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from provisioner.embedded.node.commands import attempt, run
from provisioner.embedded.node.layout import CONTAINERD_NAMESPACE

_MEDIA = "application/vnd.oci.image"


def program_image(binary: Path, *, reference: str, user: str = "65532:65532") -> bytes:
    """An OCI image archive (image-layout specification 1.0) whose only file is ``binary``, its entry point.

    ``reference`` is the name that it is imported as.
    """
    name = binary.name
    layer = _tar({name: binary.read_bytes()}, mode=0o755)
    config = _json(
        {
            "architecture": _architecture(),
            "os": "linux",
            "config": {"Entrypoint": [f"/{name}"], "User": user},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_MEDIA}.manifest.v1+json",
            "config": _descriptor(config, kind="config.v1+json"),
            "layers": [_descriptor(layer, kind="layer.v1.tar")],
        }
    )
    entry = {**_descriptor(manifest, kind="manifest.v1+json"), "annotations": {"io.containerd.image.name": reference}}
    blobs = {f"blobs/sha256/{_digest(blob).removeprefix('sha256:')}": blob for blob in (layer, config, manifest)}
    index = _json({"schemaVersion": 2, "manifests": [entry]})
    return _tar({"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": index, **blobs}, mode=0o644)


def import_image(archive: Path, *, socket: Path) -> None:
    """Import an image archive into containerd; harmless when it is there already."""
    run([*_ctr(socket), "images", "import", archive], timeout_seconds=120)


def has_image(reference: str, *, socket: Path) -> bool:
    """Whether containerd has an image of this name."""
    listed = attempt([*_ctr(socket), "images", "list", "--quiet", f"name=={reference}"])
    return reference in listed.stdout.split()


def _ctr(socket: Path) -> list[str | Path]:
    return ["ctr", "--address", socket, "--namespace", CONTAINERD_NAMESPACE]


def _tar(files: Mapping[str, bytes], *, mode: int) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def _descriptor(content: bytes, *, kind: str) -> dict[str, str | int]:
    return {"mediaType": f"{_MEDIA}.{kind}", "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _architecture() -> str:
    import platform

    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
