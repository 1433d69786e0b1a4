"""pg_dump and pg_restore: finding them, and running both so that one is fed with what the other writes.

Each runs in a session of its own, so that Ctrl-C on a terminal reaches coopctl alone, which passes it on: once as
SIGINT, which both take as "cancel the query and end", twice as SIGKILL.
"""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from provisioner.datastore.stopping import Stopping, require_going_on
from provisioner.errors import CoopctlError, NotFound

CHUNK_BYTES = 1 << 16
DEBIAN_FOLDER = Path("/usr/lib/postgresql")
LAST_WORDS_BYTES = 2000
_TIMEOUT_SINCE = 17


@dataclass(frozen=True, kw_only=True)
class PostgresTools:
    """The client programs; at least as new as the server."""

    pg_dump: Path
    pg_restore: Path


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program to run: its command line (without any secret) and its whole environment."""

    argv: Sequence[str]
    environment: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name to call it by."""
        return Path(self.argv[0]).name


def find_tools(*, server_version: int, search_path: str) -> PostgresTools:
    """Find client programs for a server of this major version: on ``search_path``, or where Debian puts them.

    The nearest version that is not older is taken, the first in the order of search if there are several of it. Raises
    NotFound if there are none, naming the package.
    """
    found: dict[int, PostgresTools] = {}
    for folder in (*map(Path, filter(None, search_path.split(os.pathsep))), *_debian_folders()):
        tools = PostgresTools(pg_dump=folder / "pg_dump", pg_restore=folder / "pg_restore")
        if tools.pg_dump.is_file() and tools.pg_restore.is_file():
            found.setdefault(_major(tools.pg_dump), tools)
    fitting = [version for version in found if fits(version, server_version=server_version)]
    if fitting:
        return found[min(fitting)]
    raise NotFound(
        f"there is no pg_dump for PostgreSQL {server_version} on this machine",
        why=f"there is that of version {max(found)}, which does not fit" if found else None,
        hint=f"install the package postgresql-client-{server_version}",
    )


def fits(version: int, *, server_version: int) -> bool:
    """Pure: whether client programs of ``version`` dump from a server and restore into it.

    pg_restore sets a parameter that servers do not know before 17 (PostgreSQL 17, release notes, transaction_timeout).
    """
    return version >= server_version and (version < _TIMEOUT_SINCE or server_version >= _TIMEOUT_SINCE)


def piped(dump: Program, restore: Program, *, stopping: Stopping) -> Iterator[bytes]:
    """Run both programs, the second fed with what the first writes; gives each chunk on the way.

    Raises CoopctlError with a failed program's last words, Interrupted after a signal; neither program is left.
    """
    with tempfile.TemporaryFile() as dump_said, tempfile.TemporaryFile() as restore_said:
        reader = _started(dump, stdout=subprocess.PIPE, stderr=dump_said)
        writer = _started(restore, stdin=subprocess.PIPE, stderr=restore_said)
        try:
            with stopping.forwarded_to(reader.pid), stopping.forwarded_to(writer.pid):
                yield from _fed(reader, writer, stopping=stopping)
                reader.wait()
                writer.wait()
            require_going_on(stopping)
            _require_success(reader, said=dump_said, what=dump.name)
            _require_success(writer, said=restore_said, what=restore.name)
        finally:
            for process in (reader, writer):
                process.kill()
                process.wait()


def _started(
    program: Program, *, stderr: IO[bytes], stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        list(program.argv),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=dict(program.environment),
        start_new_session=True,
    )


def _fed(
    reader: "subprocess.Popen[bytes]", writer: "subprocess.Popen[bytes]", *, stopping: Stopping
) -> Iterator[bytes]:
    if reader.stdout is None or writer.stdin is None:
        raise AssertionError("both programs were started with pipes")
    listening = True
    try:
        while chunk := reader.stdout.read(CHUNK_BYTES):
            require_going_on(stopping)
            # A restore that ended early is told apart by its exit code, with its own words.
            listening = listening and _written(writer.stdin, chunk)
            yield chunk
    finally:
        reader.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            writer.stdin.close()


def _written(pipe: IO[bytes], chunk: bytes) -> bool:
    try:
        pipe.write(chunk)
        pipe.flush()
    except BrokenPipeError:
        return False
    return True


def _require_success(process: "subprocess.Popen[bytes]", *, said: IO[bytes], what: str) -> None:
    if process.returncode == 0:
        return
    said.seek(0)
    words = said.read(LAST_WORDS_BYTES).decode(errors="replace").strip()
    raise CoopctlError(f"{what} failed (exit code {process.returncode})", why=words or None)


def _debian_folders() -> list[Path]:
    versions = [folder for folder in DEBIAN_FOLDER.glob("*/bin") if folder.parent.name.isdecimal()]
    return sorted(versions, key=lambda folder: int(folder.parent.name), reverse=True)


def _major(program: Path) -> int:
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)\.", done.stdout)
    return int(found[1]) if found else 0
