"""A PostgreSQL server for as long as a block runs: a new cluster in a scratch folder, reached by its socket alone.

1. What a killed predecessor left is removed; its server ended with it, since the kernel tells it (setpriv, pdeathsig).
2. The folder is made and written down before anything is in it, so that the next one finds it whatever happens now.
3. The server is started. It forgets all in a crash and does not wait for the disk: nothing in it is kept.
4. When the block ends, also by an exception or Ctrl-C, server and folder go.

As root it runs as the account that the embedded platform's server has. Who may enter the folder of its socket is its
superuser: the account itself, and root.
"""

import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from provisioner.embedded.postgres import ADMIN, find_programs, server_account
from provisioner.embedded.private_files import private_folder
from provisioner.errors import CoopctlError, NotFound

PREFIX = "coopctl-scratch-"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
_POLL_SECONDS = 0.1
_CLUSTER = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
# Compiled queries do not pay for questions about a catalogue of some hundred tables; statistics of it do, early.
_SETTINGS = {
    "autovacuum_naptime": "5s",
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "listen_addresses": "",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "unix_socket_permissions": "0700",
}


@dataclass(frozen=True, kw_only=True)
class ScratchServer:
    """A running server: the folder of its socket, its superuser, and the folder of its version's programs."""

    sockets: Path
    programs: Path
    user: str = ADMIN

    def create_database(self, name: str) -> None:
        """Make an empty database; raises CoopctlError."""
        _run([str(self.programs / "createdb"), *self._reached, name])

    def load(self, script: Path, *, database: str) -> None:
        """Run a script of SQL in one transaction, and gather statistics; raises CoopctlError."""
        steps = ("--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={script}", "--command=ANALYZE")
        _run([str(self.programs / "psql"), *self._reached, "--no-psqlrc", "--quiet", *steps, database])

    @property
    def _reached(self) -> tuple[str, ...]:
        return (f"--host={self.sockets}", f"--username={self.user}")


@contextmanager
def scratch_postgres(*, record: Path) -> Iterator[ScratchServer]:
    """Run a server while the block runs; the file ``record`` says where, for whoever has to clear up after a kill.

    Callers see to it that no two use one ``record``. Raises NotFound without PostgreSQL, CoopctlError if it fails.
    """
    programs, account = find_programs(), server_account()
    remove_leftover(record)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        record.write_text(str(folder))
        # The account passes through, and sees only what is its own.
        folder.chmod(0o711)
        server = ScratchServer(sockets=private_folder(folder / "sockets", owner=account), programs=programs)
        data = private_folder(folder / "data", owner=account)
        _run([*_as(account), str(programs / "initdb"), f"--pgdata={data}", f"--username={ADMIN}", *_CLUSTER])
        with _running(server, data=data, account=account, log=folder / "log"):
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        record.unlink(missing_ok=True)


def remove_leftover(record: Path) -> None:
    """Remove the folder that ``record`` names, if this account made it for a scratch server; then the record."""
    try:
        folder = Path(record.read_text())
        about = folder.lstat()
    except (OSError, ValueError):
        record.unlink(missing_ok=True)
        return
    ours = folder.name.startswith(PREFIX) and about.st_uid == record.stat().st_uid and stat.S_ISDIR(about.st_mode)
    if ours:
        shutil.rmtree(folder, ignore_errors=True)
    record.unlink()


@contextmanager
def _running(server: ScratchServer, *, data: Path, account: str | None, log: Path) -> Iterator[None]:
    settings = {**_SETTINGS, "unix_socket_directories": str(server.sockets)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [*_as(account, dying="INT"), str(server.programs / "postgres"), "-D", str(data), *options]
    with log.open("wb") as said:
        # A session of its own: Ctrl-C reaches coopctl alone, which ends the server when it has ended what uses it.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/", start_new_session=True
        )
    try:
        _wait(server, process=process, log=log)
        yield
    finally:
        # Nothing is kept: end at once, without writing anything ("Shutting Down the Server", immediate shutdown).
        process.send_signal(Signals.SIGQUIT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: ScratchServer, *, process: "subprocess.Popen[bytes]", log: Path) -> None:
    check = [str(server.programs / "pg_isready"), "-q", "-h", str(server.sockets), "-t", "1"]
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(check, capture_output=True, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise CoopctlError("the scratch PostgreSQL does not start", why=log.read_text(errors="replace").strip())
        time.sleep(_POLL_SECONDS)


def _as(account: str | None, *, dying: str | None = None) -> list[str]:
    """How to become ``account``, and to get the signal ``dying`` when coopctl dies (setpriv(1), prctl(2))."""
    identity = [f"--reuid={account}", f"--regid={account}", "--init-groups"] if account else []
    told = [f"--pdeathsig={dying}"] if dying else []
    return ["setpriv", *identity, *told] if identity or told else []


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    except FileNotFoundError as error:
        raise NotFound(f"{command[0]} is not on this machine", hint="install Debian's package util-linux") from error
    if done.returncode:
        raise CoopctlError(f"{Path(command[0]).name} failed", why=done.stderr.strip() or done.stdout.strip())
