"""Writes the folder, in an order that can be cut anywhere and begun again: platform.yaml makes it an estate, and is
last; the passphrase is first, and kept if it is there."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from provisioner.catalogue import charts_lock, images_lock
from provisioner.descriptor.estate import PLATFORM_FILE, Estate
from provisioner.descriptor.writing import write_whole
from provisioner.errors import UsageError, refused_by_system

_IGNORED = b".coopctl/\nsecrets/\n"
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


def require_free(folder: Path) -> None:
    """Raise UsageError if anything is in ``folder``: nothing of somebody's is written over."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty", hint="nothing was changed; name a folder that is not there yet")


def write_estate(
    estate: Estate,
    files: Mapping[Path, bytes],
    *,
    images: images_lock.ImagesLock,
    charts: charts_lock.ChartsLock,
) -> tuple[Path, ...]:
    """Write ``files`` (by their paths in the estate) and what every estate has; gives all of them, as written.

    Raises NotPermitted, DiskFull or CoopctlError.
    """
    try:
        return tuple(_written(estate, files, images=images, charts=charts))
    except OSError as error:
        raise refused_by_system(error, f"{error.filename or estate.root} cannot be written") from error


def _written(
    estate: Estate, files: Mapping[Path, bytes], *, images: images_lock.ImagesLock, charts: charts_lock.ChartsLock
) -> list[Path]:
    estate.root.mkdir(parents=True, exist_ok=True)
    for private in (estate.local, estate.root / "secrets"):
        private.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
    passphrase, ignore = estate.local / "passphrase", estate.root / ".gitignore"
    if not passphrase.exists():
        write_whole(passphrase, f"{secrets.token_urlsafe(32)}\n".encode(), mode=_PRIVATE_FILE)
    write_whole(ignore, _IGNORED)
    made = [passphrase, ignore]
    last = Path(PLATFORM_FILE)
    for name in sorted(files, key=lambda one: (one == last, one)):
        if name == last:
            made += _locks(images=images, charts=charts)
        file = estate.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, files[name])
        made.append(file)
    return made


def _locks(*, images: images_lock.ImagesLock, charts: charts_lock.ChartsLock) -> list[Path]:
    images_lock.write(images)
    if charts.charts:
        charts_lock.write(charts)
    return [images.source, *([charts.source] if charts.charts else [])]
