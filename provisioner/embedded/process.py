"""The vocabulary between the embedded platform and its parts: what a process is, and what a part offers.

A part (control plane, PostgreSQL, node, ...) describes; the supervisor starts, watches and stops. Only
platform.py knows all parts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Protocol

from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles

Report = Callable[[str], None]
"""Takes one line of progress for people."""


@dataclass(frozen=True, kw_only=True)
class ReadyProbe:
    """How to know that a process serves: ``check`` gives an answer within about a second and does not raise.

    ``description`` completes the sentence "waiting for ...".
    """

    description: str
    check: Callable[[], bool] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """One long-running process of the embedded platform.

    It is started in its own session and outlives the command. ``argv[0]`` is an absolute path. ``environment`` is
    all that it gets besides PATH, HOME and LANG. ``user`` is the account to run as when coopctl is root (None: the
    caller). ``depends_on`` names processes that must be ready first; stopping goes the other way. ``before_start``
    runs after those are ready and just before the start, never when the process already runs; it must be idempotent.
    A running process whose ``argv``, ``environment`` or ``fingerprint`` (a digest of what it reads at its start) is no
    longer the one it was started with is stopped and started again.
    ``ports`` are the TCP ports it will listen on at loopback: they are checked before the start, and a holder is named.
    Secrets are never in ``argv`` or ``environment``: both are visible to others.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    ready: ReadyProbe
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    working_directory: Path | None = None
    depends_on: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    start_timeout_seconds: float = 60.0
    stop_timeout_seconds: float = 20.0
    stop_signal: Signals = Signals.SIGTERM
    fingerprint: str = ""
    before_start: Callable[[], None] | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What every part is told: where the estate is, its ports, its folders and the programs.

    ``run`` is a short folder for sockets (107-byte limit) that a reboot empties. ``tools`` maps a tool's name
    (etcd, kube-apiserver, containerd, ...) to its executable. ``real_node`` tells whether pods really run here, so
    that servers listen on the bridge too; else nothing but loopback is used.
    """

    estate_root: Path
    files: EmbeddedFiles
    endpoints: EmbeddedEndpoints
    run: Path
    tools: Mapping[str, Path]
    real_node: bool

    @property
    def logs(self) -> Path:
        """The folder of the processes' logs: ``<name>.log``."""
        return self.files.root / "logs"

    def data(self, name: str) -> Path:
        """The folder where the part or process ``name`` keeps its data."""
        return self.files.root / "data" / name


class Part(Protocol):
    """A part of the embedded platform; platform.py calls prepare, specs and complete at each up, remove at down."""

    @property
    def name(self) -> str:
        """The part's name in progress lines and errors."""
        ...

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the toolchain's tools that the part needs in ``Surroundings.tools``."""
        ...

    def prepare(self, surroundings: Surroundings) -> None:
        """Make folders, files, interfaces and rules; idempotent and quick when all is there, before any start."""
        ...

    def specs(self, surroundings: Surroundings) -> tuple[ProcessSpec, ...]:
        """The part's processes, without side effects."""
        ...

    def complete(self, surroundings: Surroundings) -> None:
        """Do what needs all processes ready (objects in the cluster); idempotent, quick when nothing is to do."""
        ...

    def remove(self, surroundings: Surroundings) -> None:
        """Take away what prepare and the processes left on the machine: interfaces, rules, mounts, cgroups, pods.

        Not the files below the estate: platform.py deletes those at ``down --delete``. Called after the processes
        were stopped; idempotent, also when nothing was ever made.
        """
        ...
