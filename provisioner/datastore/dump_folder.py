"""Final dumps in a folder of this machine: written to ``NAME.part``, which becomes ``NAME`` when it is complete."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from provisioner.datastore.dump_layout import MANIFEST_FILE, is_dump_of
from provisioner.errors import DiskFull, NotFound, disk_full, refused_by_system

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
READ_BYTES = 1 << 20
PART = ".part"


@dataclass(frozen=True, kw_only=True)
class FolderPlace:
    """Fulfils DumpPlace."""

    folder: Path

    def begin(self, name: str, *, database: str) -> "FolderFiles":
        """A new dump. Raises CoopctlError if nothing can be written there."""
        self._sweep(database)
        made = FolderFiles(folder=self.folder / f"{name}{PART}", final=self.folder / name)
        with reporting(self.folder):
            made.folder.mkdir(mode=PRIVATE_FOLDER, parents=True)
        return made

    def find(self, name: str) -> "FolderFiles | None":
        """The complete dump of this name, or None."""
        folder = self.folder / name
        return FolderFiles(folder=folder, final=folder) if (folder / MANIFEST_FILE).is_file() else None

    def _sweep(self, database: str) -> None:
        for path in self.folder.glob(f"*{PART}"):
            if is_dump_of(database, path.name.removesuffix(PART)):
                shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class FolderFiles:
    """Fulfils DumpFiles: the files of one dump."""

    folder: Path
    final: Path

    @property
    def location(self) -> str:
        """Where the dump is once it is complete."""
        return str(self.final)

    @contextmanager
    def write(self, name: str) -> Iterator[IO[bytes]]:
        """A new file (mode 0600), on the disk when the block ends. Raises CoopctlError, DiskFull."""
        with reporting(self.folder / name):
            descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
            with os.fdopen(descriptor, "wb") as target:
                yield target
                target.flush()
                os.fsync(target.fileno())

    def read(self, name: str) -> Iterator[bytes]:
        """The file's content. Raises CoopctlError."""
        with reporting(self.folder / name), (self.folder / name).open("rb") as file:
            while chunk := file.read(READ_BYTES):
                yield chunk

    def complete(self, manifest: str) -> None:
        """Write the manifest and give the dump its name."""
        with self.write(MANIFEST_FILE) as target:
            target.write(manifest.encode())
        with reporting(self.final):
            self.folder.replace(self.final)
            for folder in (self.final, self.final.parent):
                _sync(folder)

    def discard(self) -> None:
        """Take away what was written."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Say what cannot be done to ``path``: DiskFull where there is no room, else CoopctlError."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{path} is not there") from error
    except OSError as error:
        if disk_full(error):
            raise DiskFull(f"there is no room for {path}") from error
        message = f"{path} cannot be used for the final dump"
        raise refused_by_system(error, message, hint="check the folder and its rights") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
