"""Runs the Tryton server, or a program of it, from its image's files; needs neither root nor a container."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.wiring import image_cache
from examples.tryton_client import TrytonClient
from provisioner.catalogue import load_catalogue
from provisioner.catalogue.images.building import build
from provisioner.catalogue.images.definition import read_definition
from provisioner.catalogue.images.image_root import ImageRoot, unpack
from provisioner.catalogue.images.oci_layout import layout_size
from provisioner.catalogue.images.prepared import Preparing
from provisioner.operations.preparing import TablePreparation
from tests.unit.plan.builders import CHARTS

START_SECONDS = 300
PROGRAM_SECONDS = 540


def shipped_image(folder: Path) -> "TrytonFiles":
    """The image as it is shipped, with its tables, unpacked below ``folder``; `make images` may have built it."""
    return unpacked_image(folder, preparing=TablePreparation(catalogue=load_catalogue(CHARTS)), cache=image_cache())


def unpacked_image(folder: Path, *, preparing: Preparing | None = None, cache: Path | None = None) -> "TrytonFiles":
    """The image, built and unpacked below ``folder``; without prepared tables unless ``preparing`` makes them."""
    definition = read_definition(CHARTS / "ledger" / "image.yaml")
    image = build(definition, cache=cache or folder / "cache", report=print, preparing=preparing)
    blobs, root = image.layout / "blobs" / "sha256", folder / "root"
    manifest = json.loads((blobs / image.digest.removeprefix("sha256:")).read_text())
    for layer in manifest["layers"]:
        unpack(blobs / layer["digest"].removeprefix("sha256:"), into=root)
    return TrytonFiles(root=root, packed_bytes=layout_size(image.layout), digest=image.digest)


@dataclass(frozen=True, kw_only=True)
class TrytonFiles:
    """The image's unpacked root file system; nothing outside of it is loaded."""

    root: Path
    packed_bytes: int
    digest: str

    @property
    def web_client(self) -> Path:
        """The folder of the web client."""
        return self.root / "usr" / "share" / "tryton-sao" / "www"

    @property
    def modules(self) -> Path:
        """The folder of the server's modules."""
        return self.root / "usr" / "lib" / "python3" / "dist-packages" / "trytond" / "modules"

    def command(self, *arguments: str | Path) -> list[str]:
        """The image's own interpreter, by the image's own loader and libraries."""
        return ImageRoot(root=self.root).python(*arguments)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """What the interpreter needs, and ``more``."""
        return ImageRoot(root=self.root).environment(more)

    def program(self, *arguments: str | Path, **environment: str) -> str:
        """Run a program to its end; what it printed."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(environment),
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def admin(self, *arguments: str | Path, **environment: str) -> str:
        """Run trytond-admin."""
        return self.program(self.root / "usr" / "bin" / "trytond-admin", *arguments, **environment)

    @contextmanager
    def serving(self, database: str, *, folder: Path, **environment: str) -> Iterator[TrytonClient]:
        """The server of ``database`` on a free port of this machine."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        configuration = folder / "served.conf"
        configuration.write_text(self.configuration() + f"[web]\nlisten = 127.0.0.1:{port}\nroot = {self.web_client}\n")
        with (folder / "served.log").open("w") as log:
            command = self.command(self.root / "usr" / "bin" / "trytond", "-c", configuration, "-d", database)
            process = subprocess.Popen(command, env=self.environment(environment), stdout=log, stderr=log)
        try:
            client = TrytonClient(url=f"http://127.0.0.1:{port}/", database=database)
            _wait(client, process)
            yield client
        finally:
            process.kill()
            process.wait()

    def configuration(self) -> str:
        """Who and where the database is, libpq reads from its own variables."""
        return "[database]\nuri = postgresql://\n"


def _wait(client: TrytonClient, process: subprocess.Popen[bytes]) -> None:
    """Until the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.page()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server does not answer")
