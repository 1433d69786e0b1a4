"""Fixtures that several areas share: servers that are really running, made for the session and thrown away after it."""

import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from provisioner.descriptor.endpoints import EmbeddedFiles
from provisioner.descriptor.estate import Estate
from provisioner.embedded import platform, ports
from provisioner.embedded.node import NodeKind
from provisioner.embedded.objects import ObjectsPart
from provisioner.embedded.postgres import PostgresPart
from provisioner.embedded.process import Part, Surroundings
from provisioner.embedded.supervisor import Supervisor
from provisioner.toolchain import Toolchain
from tests.free_ports import claimed_endpoints

# gRPC makes its threads anew around each fork, where the forking thread is: a test in a network namespace of its own
# would move them there for good. (gRPC, doc/fork_support.md; read when gRPC is first used.)
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
# What a shell runs in the background inherits an ignored SIGINT, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Nothing of a test must survive a crash of the machine, so that waiting for the disk is waste.
QUICK_POSTGRES = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, kw_only=True)
class Servers:
    """PostgreSQL (administrator ``postgres``, TLS, SCRAM) and S3 with its IAM API on the same port, on loopback."""

    host: str
    postgres_port: int
    postgres_user: str
    postgres_password_file: Path
    postgres_ca: Path
    objects_url: str
    objects_port: int
    objects_master_port: int
    objects_region: str
    objects_credentials: Path


def surroundings_at(folder: Path, *, run: Path) -> Surroundings:
    """Surroundings of an embedded platform without a node in ``folder``."""
    return Surroundings(
        estate_root=folder,
        files=EmbeddedFiles(root=folder),
        endpoints=claimed_endpoints(),
        run=run,
        tools={"weed": Path(sys.executable).parent / "weed"},
        real_node=False,
    )


@contextmanager
def open_temporary_folder() -> Iterator[Path]:
    """A folder that every account may enter (pytest's own are closed to the account that PostgreSQL runs as)."""
    folder = Path(tempfile.mkdtemp(prefix="coopctl-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """An open temporary folder for the whole session."""
    with open_temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def servers(open_folder: Path) -> Iterator[Servers]:
    """PostgreSQL and S3, running for the whole session."""
    with running_servers(open_folder / "servers", run=open_folder / "run") as running:
        yield running


@contextmanager
def running_servers(folder: Path, *, run: Path, parts: tuple[Part, ...] | None = None) -> Iterator[Servers]:
    """PostgreSQL and S3 in ``folder``, their sockets in ``run``, for those who must not meet what other tests left.

    With ``parts`` only these run.
    """
    surroundings = surroundings_at(folder, run=run)
    parts = parts or (PostgresPart(settings=QUICK_POSTGRES), ObjectsPart())
    supervisor = Supervisor(folder, report=logging.getLogger(__name__).info)
    for part in parts:
        part.prepare(surroundings)
    specs = [replace(spec, stop_timeout_seconds=0.2) for part in parts for spec in part.specs(surroundings)]
    try:
        supervisor.start(specs)
        yield _described(surroundings)
    finally:
        supervisor.stop()
        for part in parts:
            part.remove(surroundings)


def _described(surroundings: Surroundings) -> Servers:
    files, endpoints = surroundings.files, surroundings.endpoints
    return Servers(
        host=ports.LOOPBACK,
        postgres_port=endpoints.postgres,
        postgres_user="postgres",
        postgres_password_file=files.postgres_password,
        postgres_ca=files.postgres_ca,
        objects_url=f"http://{ports.LOOPBACK}:{endpoints.objects}",
        objects_port=endpoints.objects,
        objects_master_port=endpoints.objects_master,
        objects_region="us-east-1",
        objects_credentials=files.objects_credentials,
    )


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The pinned tools; `make toolchain` has built them, else the first test that needs one waits for the build."""
    return Toolchain()


@dataclass(frozen=True, kw_only=True)
class EmbeddedPlatform:
    """A whole embedded platform that runs, with the estate it belongs to."""

    estate: Estate
    toolchain: Toolchain
    status: platform.EmbeddedStatus

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.status.files.kubeconfig

    @property
    def real_node(self) -> bool:
        """Whether pods really run."""
        return self.status.node is not None and self.status.node.kind is NodeKind.REAL


@contextmanager
def running_platform(estate: Estate, *, toolchain: Toolchain, node: str) -> Iterator[EmbeddedPlatform]:
    """Bring the embedded platform of ``estate`` up, and delete it after the block."""
    report = logging.getLogger(__name__).info
    try:
        status = platform.up(estate, toolchain=toolchain, node=node, report=report)
        yield EmbeddedPlatform(estate=estate, toolchain=toolchain, status=status)
    finally:
        platform.down(estate, delete=True, report=report)
