"""The schema on the target: dumped in the copy's snapshot, restored in two halves around the rows.

The client programs are at least as new as the newer server. Roles must be there first (postgres_role_moves.py), since
owners and grants are restored by name. Before the rows come tables and types, after them indexes, constraints, triggers
and policies, several at once. What the migration made for itself on the source is left out.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provisioner.errors import CoopctlError
from provisioner.migration.postgres_sides import Clients
from provisioner.migration.postgres_streams import LAST_WORDS_BYTES, SOURCE, TARGET
from provisioner.naming import is_replication_name

DUMP_FILE = "schema.dump"
LIST_FILE = "schema.list"
# An ALTER of the tenant's that is under way is waited for so long; other tenants' tables are not touched at all.
_LOCK_WAIT = "--lock-wait-timeout=60s"
_PUBLICATION_ENTRIES = ("PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA")


Kept = Callable[[Sequence[str]], Iterable[str]]


def dump_schema(clients: Clients, *, snapshot: str, folder: Path, further: Sequence[str] = ()) -> Path:
    """Write the schema as it is in the snapshot to ``folder``, with ``further`` options of pg_dump; gives the archive.

    Raises CoopctlError with pg_dump's last words. The archive holds no row and no password.
    """
    archive = folder / DUMP_FILE
    _run(
        [
            str(clients.tools.pg_dump),
            "--format=custom",
            "--schema-only",
            "--no-subscriptions",
            _LOCK_WAIT,
            *further,
            f"--snapshot={snapshot}",
            f"--file={archive}",
            f"--dbname=service={SOURCE}",
        ],
        variables=clients.variables(SOURCE),
    )
    return archive


def kept_entries(lines: Sequence[str]) -> Iterator[str]:
    """Pure: the entries of an archive's list without the publications of a migration.

    An entry is ``<id>; <class> <oid> <TYPE> <schema> <name> <owner>`` (pg_restore, "--list").
    """
    for line in lines:
        typed = described(line)
        ours = typed.startswith(_PUBLICATION_ENTRIES) and any(map(is_replication_name, typed.split()))
        if not ours:
            yield line


def described(line: str) -> str:
    """Pure: of an entry of an archive's list, what follows its numbers: it begins with its type."""
    _, _, entry = line.partition("; ")
    _, _, numbered = entry.partition(" ")
    return numbered.partition(" ")[2]


@dataclass(frozen=True, kw_only=True)
class Restoring:
    """Which entries of an archive's list are restored, and with which further options of pg_restore."""

    kept: Kept = kept_entries
    options: tuple[str, ...] = ()


EVERYTHING: Final = Restoring()


def restore_before_rows(clients: Clients, archive: Path, *, restoring: Restoring = EVERYTHING) -> None:
    """Make schemas, types, tables, views and functions, with owners and grants."""
    _restore(clients, archive, section="pre-data", jobs=1, restoring=restoring)


def restore_after_rows(clients: Clients, archive: Path, *, jobs: int, restoring: Restoring = EVERYTHING) -> None:
    """Make indexes, constraints, triggers, policies and publications, ``jobs`` at once."""
    _restore(clients, archive, section="post-data", jobs=jobs, restoring=restoring)


def restore_chosen(clients: Clients, archive: Path, *, restoring: Restoring) -> None:
    """Restore exactly what ``restoring`` keeps. An entry of no section, such as a right, counts to what stands before
    it in the list, and so is left out where a section is named."""
    _restore(clients, archive, section=None, jobs=1, restoring=restoring)


def _restore(clients: Clients, archive: Path, *, section: str | None, jobs: int, restoring: Restoring) -> None:
    listed = _run([str(clients.tools.pg_restore), "--list", str(archive)], variables={"LC_ALL": "C.UTF-8"})
    chosen = archive.with_name(LIST_FILE)
    chosen.write_text("".join(restoring.kept(listed.splitlines(keepends=True))))
    _run(
        [
            str(clients.tools.pg_restore),
            "--exit-on-error",
            *restoring.options,
            *([f"--section={section}"] if section else []),
            f"--jobs={jobs}",
            f"--use-list={chosen}",
            f"--dbname=service={TARGET}",
            str(archive),
        ],
        variables=clients.variables(TARGET),
    )


def _run(argv: list[str], *, variables: dict[str, str]) -> str:
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=variables,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode:
            said.seek(0)
            words = said.read(LAST_WORDS_BYTES).decode(errors="replace").strip()
            raise CoopctlError(f"{Path(argv[0]).name} failed (exit code {done.returncode})", why=words or None)
    return done.stdout
