"""Runs the ledger's migration Job as its pod does: the chart's program, with the image's files as its root."""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

from provisioner.catalogue.solution import Solution
from tests.conftest import Servers
from tests.data_stores import session
from tests.prepared import PROGRAMS
from tests.tryton import TrytonFiles

JOB_SECONDS = 3600
SETTLED_SECONDS = 30
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
_SERVER = "SELECT pg_backend_pid()"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A Job that ended well: its log, and the CPU seconds that it took, itself and of PostgreSQL."""

    log: str
    own_seconds: float
    server_seconds: float

    @property
    def seconds(self) -> float:
        """All that it took."""
        return self.own_seconds + self.server_seconds


@dataclass(frozen=True, kw_only=True)
class MigrationJob:
    """The Job for ``solutions`` in one server."""

    tryton: TrytonFiles
    solutions: tuple[Solution, ...]

    @property
    def own_modules(self) -> dict[str, str]:
        """The digests of the modules that come with charts."""
        return {one.own_module.name: one.own_module.digest for one in self.solutions if one.own_module}

    def run(self, database: str, *, servers: Servers, connection: Mapping[str, str], owner: str) -> Ran:
        """Migrate ``database`` as a member of ``owner``, over ``connection``."""
        self._lay_out()
        environment = {
            **connection,
            "PGDATABASE": database,
            "PGOPTIONS": f"-c role={owner}",
            "COOPCTL_RELEASE": f"ledger-migration-{len(self.solutions)}",
            "COOPCTL_MODULES": " ".join(sorted({module for one in self.solutions for module in one.modules})),
            "COOPCTL_OWN_MODULES": " ".join(f"{name}={digest}" for name, digest in self.own_modules.items()),
            "COOPCTL_FIRST_USER": "admin",
            "HOME": "/tmp",
            "LC_ALL": "C.UTF-8",
        }
        # Root changes the root of its children; others may where user namespaces are allowed.
        identity = [] if os.geteuid() == 0 else ["--map-root-user"]
        command = ["unshare", *identity, f"--root={self.tryton.root}", "/usr/bin/python3.11", "/srv/coopctl/migrate.py"]
        server, own = _server_seconds(servers), _own_seconds()
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=JOB_SECONDS, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        own = _own_seconds() - own
        _wait_for_sessions(database, servers=servers)
        return Ran(log=done.stdout, own_seconds=own, server_seconds=_server_seconds(servers) - server)

    def _lay_out(self) -> None:
        """What the pod mounts: the programs, and the modules of charts, and no others of these."""
        programs = self.tryton.root / "srv" / "coopctl"
        programs.mkdir(parents=True, exist_ok=True)
        for program in ("migrate.py", "prepared.py"):
            shutil.copy(PROGRAMS / program, programs)
        (programs / "trytond.conf").write_text(self.tryton.configuration())
        lay_modules(self.tryton, self.solutions)


def lay_modules(tryton: TrytonFiles, solutions: Iterable[Solution]) -> None:
    """Lay the modules of charts among those of the image."""
    for solution in solutions:
        if module := solution.own_module:
            place = tryton.modules / module.name
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(solution.chart / "module" / module.name, place)


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _server_seconds(servers: Servers) -> float:
    """What the server's sessions took that ended, since it runs."""
    with session(servers) as inside:
        row = inside.execute(_SERVER).fetchone()
        times = psutil.Process(psutil.Process(row[0]).ppid()).cpu_times() if row else None
    return times.children_user + times.children_system if times else 0.0


def _wait_for_sessions(database: str, *, servers: Servers) -> None:
    deadline = time.monotonic() + SETTLED_SECONDS
    with session(servers) as inside:
        while time.monotonic() < deadline:
            row = inside.execute(_SESSIONS, [database]).fetchone()
            if row == (0,):
                return
            time.sleep(0.1)
