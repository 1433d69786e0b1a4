"""The embedded platform's PostgreSQL: made once, TLS and SCRAM only, ready for logical replication from the first day.

The server and initdb refuse to be root, so as root they run as the account ``postgres`` (Debian's package makes it),
which must be able to enter the estate's folders. A cluster is made beside its place and moved there when whole.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from types import MappingProxyType
from typing import Final

import psutil

from provisioner.embedded.certificates import Authority, KeyPair, Subject, serial
from provisioner.embedded.ports import LOOPBACK
from provisioner.embedded.private_files import generated, private_folder, write_if_changed, write_private
from provisioner.embedded.process import ProcessSpec, ReadyProbe, Surroundings
from provisioner.errors import CoopctlError, NotFound, NotPermitted, UsageError

ADMIN = "postgres"
ACCOUNT = "postgres"
POD_NETWORK = "10.244.0.0/16"
OLDEST_MAJOR = 13
_LEFTOVER_SECONDS = 10.0

# A migration needs slots, senders and workers on the day it starts; raising these asks for a restart of the server.
# Slots that nobody reads must not fill the disk: max_slot_wal_keep_size is finite.
# A failing CREATE ROLE ... PASSWORD must not put the password into the log: log_min_error_statement.
_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "max_connections": "400",
        "shared_buffers": "128MB",
        "wal_level": "logical",
        "max_replication_slots": "64",
        "max_wal_senders": "64",
        "max_logical_replication_workers": "32",
        "max_sync_workers_per_subscription": "4",
        "max_worker_processes": "48",
        "max_prepared_transactions": "64",
        "max_slot_wal_keep_size": "4GB",
        "max_wal_size": "2GB",
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "ssl_min_protocol_version": "TLSv1.2",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_min_error_statement": "panic",
        "log_parameter_max_length_on_error": "0",
    }
)


@dataclass(frozen=True, kw_only=True)
class PostgresPart:
    """PostgreSQL as a part of the embedded platform.

    ``programs`` is the folder with postgres, initdb and pg_isready (None: the newest that `find_programs` finds);
    ``settings`` go over the built-in ones.
    """

    programs: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name in progress lines."""
        return "postgres"

    @property
    def tools(self) -> tuple[str, ...]:
        """None of the toolchain's: PostgreSQL comes from the system."""
        return ()

    def prepare(self, surroundings: Surroundings) -> None:
        """Make the cluster if there is none, its certificate, password and settings."""
        data = surroundings.data(self.name)
        data.parent.mkdir(parents=True, exist_ok=True)
        account = server_account()
        if account:
            require_entry(data.parent, account=account)
        private_folder(_sockets(surroundings), owner=account)
        password = generated(surroundings.files.postgres_password)
        authority = _authority(surroundings)
        subject = Subject(
            name="postgres", hosts=("localhost", "postgres"), addresses=(LOOPBACK, surroundings.endpoints.bridge)
        )
        authority.issue("server", subject, owner=account)
        if not (data / "PG_VERSION").exists():
            _make_cluster(data, programs=programs_for(data, folder=self.programs), password=password, account=account)
        _install_certificate(authority, data=data, account=account)
        write_if_changed(data / "postgresql.conf", self._configuration(surroundings), owner=account)
        write_if_changed(data / "pg_hba.conf", _hba(), owner=account)

    def specs(self, surroundings: Surroundings) -> tuple[ProcessSpec, ...]:
        """The server."""
        data = surroundings.data(self.name)
        programs = programs_for(data, folder=self.programs)
        port = surroundings.endpoints.postgres
        check = (str(programs / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port), "-t", "1")
        return (
            ProcessSpec(
                name=self.name,
                argv=(str(programs / "postgres"), "-D", str(data)),
                log=surroundings.logs / "postgres.log",
                ready=ReadyProbe(
                    description=f"PostgreSQL on port {port}",
                    check=lambda: subprocess.run(check, capture_output=True, check=False).returncode == 0,
                ),
                user=server_account(),
                working_directory=data,
                ports=(port,),
                # Fast shutdown: open sessions are ended, their transactions rolled back (pg_ctl, "fast").
                stop_signal=Signals.SIGINT,
                stop_timeout_seconds=30.0,
                fingerprint=_fingerprint(self._configuration(surroundings), _hba(), serial(_certificate(surroundings))),
                before_start=lambda: _clear_leftovers(data, sockets=_sockets(surroundings)),
            ),
        )

    def complete(self, surroundings: Surroundings) -> None:
        """Nothing: what is in the server belongs to the stacks."""

    def remove(self, surroundings: Surroundings) -> None:
        """Nothing outside the estate but the sockets' folder, which platform.py empties."""

    def _configuration(self, surroundings: Surroundings) -> str:
        own = {
            "listen_addresses": ",".join(_addresses(surroundings)),
            "port": str(surroundings.endpoints.postgres),
            "unix_socket_directories": str(_sockets(surroundings)),
            "ssl_cert_file": "server.crt",
            "ssl_key_file": "server.key",
        }
        settings = {**_SETTINGS, **own, **self.settings}
        lines = [f"{name} = {_quoted(value)}" for name, value in settings.items()]
        return "\n".join(["# Written by `coopctl dev up` at each start.", *lines]) + "\n"


def server_account() -> str | None:
    """The account to run PostgreSQL as: None (the caller) unless the caller is root; raises NotFound without one."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT).pw_name
    except KeyError:
        raise NotFound(
            f"PostgreSQL cannot run as root, and there is no account {ACCOUNT!r}",
            hint="run `make system`, or install Debian's package postgresql-15",
        ) from None


def find_programs(major: int | None = None) -> Path:
    """The folder with postgres, initdb and pg_isready of the version ``major``, or of the newest one installed.

    Debian keeps them in /usr/lib/postgresql/<major>/bin, out of PATH. Raises NotFound.
    """
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    on_path = shutil.which("initdb")
    folders = [*debian, *([Path(on_path).resolve().parent] if on_path else [])]
    for folder in folders:
        found = program_major(folder)
        if found is not None and (found == major or (major is None and found >= OLDEST_MAJOR)):
            return folder
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST_MAJOR} or newer"
    raise NotFound(f"{wanted} is not installed", hint=f"run `make system`, or apt-get install postgresql-{major or 15}")


def programs_for(data: Path, *, folder: Path | None) -> Path:
    """The folder with the programs of the version that ``data`` is of, or, where there is none yet, the newest.

    A ``folder`` that is named must be that. Raises NotFound, and UsageError for one with another version.
    """
    major = _major(data)
    if folder is None:
        return find_programs(major)
    found = program_major(folder)
    if found is None or found < OLDEST_MAJOR:
        raise NotFound(
            f"{folder} does not hold PostgreSQL {OLDEST_MAJOR} or newer",
            hint="name the folder with postgres, initdb and pg_isready",
        )
    if major not in {None, found}:
        raise UsageError(
            f"the data in {data} is of PostgreSQL {major}, and {folder} holds PostgreSQL {found}",
            hint=f"name a folder with PostgreSQL {major}",
        )
    return folder


def require_entry(folder: Path, *, account: str) -> None:
    """Raise NotPermitted, with the remedy, unless ``account`` may enter ``folder`` and all folders above it."""
    identity = pwd.getpwnam(account)
    for step in (*reversed(folder.parents), folder):
        # Asked of the kernel: access lists and mounts decide as well as the mode.
        entered = subprocess.run(
            ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(step)],
            user=identity.pw_uid,
            group=identity.pw_gid,
            extra_groups=os.getgrouplist(account, identity.pw_gid),
            cwd="/",
            capture_output=True,
            check=False,
        )
        if entered.returncode:
            raise NotPermitted(
                f"the account {account}, as which PostgreSQL runs, cannot enter {step}",
                why="PostgreSQL refuses to run as root and keeps its data below the estate",
                hint=f"run: setfacl -m u:{account}:x '{step}'   (or move the estate to a folder that all may enter)",
            )


def program_major(folder: Path) -> int | None:
    """The major version of the programs in ``folder``; None if it does not have all of them."""
    if not all((folder / program).exists() for program in ("postgres", "initdb", "pg_isready")):
        return None
    if folder.parent.name.isdigit():
        return int(folder.parent.name)
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    return int("".join(c for c in said.split(")")[-1].split(".")[0] if c.isdigit()) or 0) or None


def _major(data: Path) -> int | None:
    version = data / "PG_VERSION"
    return int(version.read_text()) if version.exists() else None


def _make_cluster(data: Path, *, programs: Path, password: str, account: str | None) -> None:
    fresh = data.with_name(f"{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    private_folder(fresh, owner=account)
    password_file = data.with_name(f"{data.name}.password")
    write_private(password_file, password, owner=account)
    try:
        _run_as(account, [*_initdb(programs, data=fresh), f"--pwfile={password_file}"])
        # PUBLIC may connect to these two in a new cluster: no tenant has any business there.
        closed = "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;\nREVOKE CONNECT ON DATABASE template1 FROM PUBLIC;\n"
        _run_as(account, [str(programs / "postgres"), "--single", "-D", str(fresh), "postgres"], stdin=closed)
    finally:
        password_file.unlink(missing_ok=True)
    fresh.rename(data)


def _initdb(programs: Path, *, data: Path) -> list[str]:
    return [
        str(programs / "initdb"),
        f"--pgdata={data}",
        f"--username={ADMIN}",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--auth-host=scram-sha-256",
        "--auth-local=reject",
        "--data-checksums",
        "--no-instructions",
    ]


def _run_as(account: str | None, argv: list[str], *, stdin: str = "") -> None:
    identity = pwd.getpwnam(account) if account else None
    done = subprocess.run(
        argv,
        input=stdin,
        text=True,
        capture_output=True,
        cwd="/",
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8"},
        user=identity.pw_uid if identity else None,
        group=identity.pw_gid if identity else None,
        extra_groups=os.getgrouplist(identity.pw_name, identity.pw_gid) if identity else None,
        check=False,
    )
    if done.returncode:
        raise CoopctlError(f"{Path(argv[0]).name} failed", why=done.stderr.strip() or done.stdout.strip())


def _clear_leftovers(data: Path, *, sockets: Path) -> None:
    """Wait for children of a killed server to end; then its lock files say nothing true any more.

    A new server refuses to start while they hold the old one's shared memory, and also when the number in a lock file
    belongs to a foreign process of the same account by now, or to the killed server that init has not reaped yet.
    """
    deadline = time.monotonic() + _LEFTOVER_SECONDS
    while left := _working_in(data):
        if time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in left)
            raise CoopctlError(f"processes of an earlier PostgreSQL still use {data}: {pids}", hint=f"kill {pids}")
        time.sleep(0.05)
    for lock in (data / "postmaster.pid", *sockets.glob(".s.PGSQL.*")):
        lock.unlink(missing_ok=True)


def _working_in(data: Path) -> list[psutil.Process]:
    # Every process of a PostgreSQL server works in its data folder, and nothing else has reason to.
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(data) and process.name().startswith("postgres"):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _install_certificate(authority: Authority, *, data: Path, account: str | None) -> None:
    pair = authority.pair_of("server")
    write_if_changed(data / "server.crt", pair.certificate.read_text(), owner=account)
    write_if_changed(data / "server.key", pair.key.read_text(), owner=account)


def _authority(surroundings: Surroundings) -> Authority:
    return Authority(folder=surroundings.files.postgres_ca.parent)


def _certificate(surroundings: Surroundings) -> KeyPair:
    return _authority(surroundings).pair_of("server")


def _sockets(surroundings: Surroundings) -> Path:
    return surroundings.run / "postgres"


def _addresses(surroundings: Surroundings) -> tuple[str, ...]:
    return (LOOPBACK, surroundings.endpoints.bridge) if surroundings.real_node else (LOOPBACK,)


def _hba() -> str:
    """Passwords by SCRAM over TLS only; the administrator from this machine only (PostgreSQL, "pg_hba.conf")."""
    rows = [
        ("hostssl", "all", "all", f"{LOOPBACK}/32", "scram-sha-256"),
        ("hostssl", "replication", "all", f"{LOOPBACK}/32", "scram-sha-256"),
        ("hostssl", "all", ADMIN, POD_NETWORK, "reject"),
        ("hostssl", "all", "all", POD_NETWORK, "scram-sha-256"),
    ]
    return "\n".join("\t".join(row) for row in rows) + "\n"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
