"""One stream of a copy: a psql that reads from the source, joined by a pipe to one that writes to the target.

No row passes through this process. PostgreSQL takes the end of a pipe for the end of the rows, even of the binary form
without its trailer, so that a reader that dies would look like one that is done. Therefore the writer commits only at
this process's word, given when the reader ended well: after its COPY it reads one line from a gate, and kills itself if
the gate is closed instead, as it is when this process dies.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from provisioner.errors import StreamDisturbed, StreamFailed
from provisioner.migration.postgres_sides import Clients

SOURCE, TARGET = "source", "target"
LAST_WORDS_BYTES = 2000
GO = "go"
# Verbose errors begin with their SQLSTATE.
_QUIET = ("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose")
# psql's exit code for a connection that broke or could not be made (psql, "Exit Status").
CONNECTION_LOST = 2
# Connection exceptions, insufficient resources, operator intervention (PostgreSQL manual, "Error Codes").
_PASSING = re.compile(r"(?:ERROR|FATAL):\s+(?:08|53|57P)")
# No triggers, no checks of foreign keys: what is copied was checked where it comes from.
REPLICA_OPTIONS = "-c session_replication_role=replica -c synchronous_commit=off"


@dataclass
class Running:
    """The programs that run now, so that they can be ended; ``stopped`` keeps new ones from being started."""

    processes: "set[subprocess.Popen[bytes]]" = field(default_factory=set)
    stopped: bool = False

    def stop(self) -> None:
        """End all programs at once."""
        self.stopped = True
        for process in tuple(self.processes):
            process.kill()


def run_stream(
    clients: Clients, *, read: str, write: tuple[str, ...], snapshot: str, label: str, running: Running, replica: bool
) -> None:
    """Copy what ``read`` gives in the snapshot into the first statement of ``write``; the others follow it.

    Raises StreamFailed with the last words of the program that failed; then the target holds nothing of it.
    """
    if running.stopped:
        raise StreamFailed("the copy was stopped")
    gate_reader, gate_writer = os.pipe()
    with os.fdopen(gate_reader, "rb") as held, os.fdopen(gate_writer, "wb") as gate:
        begin = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        reading = [str(clients.psql), *_QUIET, *_commands((*begin, read, "COMMIT"))]
        # By path: a shell need not know descriptors of two digits. Whatever goes wrong here must not lead to a commit.
        waiting = rf'\! read -r word < /dev/fd/{held.fileno()} && [ "$word" = {GO} ] || kill -KILL $PPID'
        writing = [str(clients.psql), *_QUIET, "--single-transaction", *_commands((*write, waiting))]
        with _started(reading, clients.variables(SOURCE, application=label), running, stdout=subprocess.PIPE) as reader:
            variables = clients.variables(TARGET, application=label)
            if replica:
                variables["PGOPTIONS"] += f" {REPLICA_OPTIONS}"
            with _started(writing, variables, running, stdin=reader.process.stdout, gate=held.fileno()) as writer:
                _closed(reader.process.stdout)
                if reader.process.wait() == 0:
                    _say(gate)
                gate.close()
                writer.process.wait()
                # The writer's refusal is the cause of a reader's broken pipe; a reader's own failure kills the writer.
                for one in sorted((writer, reader), key=lambda one: one.process.returncode < 0):
                    one.require_success()


@dataclass(frozen=True, kw_only=True)
class _Program:
    process: "subprocess.Popen[bytes]"
    said: IO[bytes]
    what: str

    def require_success(self) -> None:
        code = self.process.returncode
        if code == 0:
            return
        self.said.seek(0)
        words = self.said.read(LAST_WORDS_BYTES).decode(errors="replace").strip()
        kind = StreamDisturbed if code == CONNECTION_LOST or _PASSING.search(words) else StreamFailed
        raise kind(f"{self.what} failed (exit code {code})", why=words or None)


@contextmanager
def _started(
    argv: list[str],
    variables: dict[str, str],
    running: Running,
    *,
    stdin: IO[bytes] | int | None = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    gate: int | None = None,
) -> Iterator[_Program]:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=said,
            env=variables,
            start_new_session=True,
            pass_fds=() if gate is None else (gate,),
        )
        running.processes.add(process)
        try:
            yield _Program(process=process, said=said, what=f"psql on the {variables['PGSERVICE']}")
        finally:
            process.kill()
            process.wait()
            running.processes.discard(process)


def _commands(statements: tuple[str, ...]) -> list[str]:
    return [f"--command={statement}" for statement in statements]


def _closed(pipe: IO[bytes] | None) -> None:
    # The writer holds the other end: only then does a reader notice that it is gone.
    if pipe is not None:
        pipe.close()


def _say(gate: IO[bytes]) -> None:
    try:
        gate.write(f"{GO}\n".encode())
        gate.flush()
    except BrokenPipeError:
        return
