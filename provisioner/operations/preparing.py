"""Makes tables for an image: its own programs fill a scratch database for each set of modules, which is written down.

1. A set whose tables were made from the same packages, modules, program and PostgreSQL is taken from the cache.
2. For the others a scratch server is started, and as many are made at a time as there are processors. Modules that
   come with charts are laid, as pods mount them, into a copy of the image's unpacked files for the one set that has
   them, and for no others: the server lists every module that it finds.
3. The image's program makes the tables and takes out of them what differs from run to run; the script is written and
   kept at once, so that a build that is cut off goes on with the next set. One that fails lets the others end.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.catalogue import Catalogue
from provisioner.catalogue.images.definition import ImageDefinition, TableProgram
from provisioner.catalogue.images.image_root import ImageRoot
from provisioner.catalogue.images.prepared import PreparedTables
from provisioner.catalogue.images.table_sets import TableSet, table_sets
from provisioner.datastore import table_script
from provisioner.datastore.table_script import TableSource, write_script
from provisioner.embedded.postgres import find_programs, program_major
from provisioner.embedded.scratch_postgres import ScratchServer, scratch_postgres
from provisioner.errors import CoopctlError

PROGRAM_SECONDS = 3600
LAST_WORDS = 2000
KEPT = "tables"
RECORD = "scratch-server"
# Sets of texts come in the same order in every run (Python documentation, PYTHONHASHSEED); times are those of nowhere.
_SAME_EVERY_TIME = {"PYTHONHASHSEED": "0", "TZ": "UTC"}


@dataclass(frozen=True, kw_only=True)
class TablePreparation:
    """Fulfils Preparing for the solutions of ``catalogue``."""

    catalogue: Catalogue

    def fingerprint(self, definition: ImageDefinition) -> str:
        """Changes with the sets of modules, the program, the server's major version, and how scripts are written."""
        if definition.tables is None:
            return ""
        sets = table_sets(definition.name, catalogue=self.catalogue)
        return _digest(_how(definition.tables), *(_what(one) for one in sets))

    def prepare(
        self,
        definition: ImageDefinition,
        *,
        root: ImageRoot,
        packages: str,
        cache: Path,
        report: Callable[[str], None],
    ) -> tuple[PreparedTables, ...]:
        """See Preparing. Raises NotFound without PostgreSQL, CoopctlError if the tables cannot be made."""
        if definition.tables is None:
            return ()
        kept = cache / KEPT
        kept.mkdir(exist_ok=True)
        how = _digest(packages, _how(definition.tables))
        files = {
            one: kept / f"{_digest(how, _what(one))}.sql"
            for one in table_sets(definition.name, catalogue=self.catalogue)
        }
        missing = {one: file for one, file in files.items() if not file.is_file()}
        if missing:
            for one in missing:
                report(f"preparing the tables of {one.name}, which takes some minutes")
            with scratch_postgres(record=cache / RECORD) as server:
                _make_all(missing, program=definition.tables, root=root, server=server)
        return tuple(PreparedTables(tables=one, script=file.read_bytes()) for one, file in files.items())


def _make_all(files: Mapping[TableSet, Path], *, program: TableProgram, root: ImageRoot, server: ScratchServer) -> None:
    """Make the scripts, several at a time, and keep each when it is there; raises the first failure at the end."""
    failures = []
    workers = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="tables")
    try:
        work = {
            workers.submit(_made, one, program=program, root=root, server=server): file for one, file in files.items()
        }
        for done in as_completed(work):
            if failure := done.exception():
                failures.append(failure)
            else:
                _keep(work[done], script=done.result())
    finally:
        # Not waited for: the server ends now, and with it what still fills its databases.
        workers.shutdown(wait=False, cancel_futures=True)
    if failures:
        raise failures[0]


def _keep(file: Path, *, script: bytes) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_bytes(script)
    fresh.rename(file)


def _made(one: TableSet, *, program: TableProgram, root: ImageRoot, server: ScratchServer) -> bytes:
    database = one.name.replace("-", "_")
    server.create_database(database)
    reached = {"PGHOST": str(server.sockets), "PGUSER": server.user, "PGDATABASE": database}
    with _root_of(one, root=root, modules=program.modules) as own:
        done = subprocess.run(
            own.python(program.source, *one.modules),
            env=own.environment({**reached, **_SAME_EVERY_TIME}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()[-LAST_WORDS:]
        raise CoopctlError(f"the tables of {one.name} cannot be made: {program.source} failed", why=words or None)
    return write_script(
        TableSource(host=server.sockets, user=server.user, database=database, pg_dump=server.programs / "pg_dump")
    )


@contextmanager
def _root_of(one: TableSet, *, root: ImageRoot, modules: str) -> Iterator[ImageRoot]:
    """The image's files as the set's pods have them; those of a set with modules of its own are links to ``root``'s."""
    if not one.own:
        yield root
        return
    with tempfile.TemporaryDirectory(dir=root.root.parent, prefix="root-", ignore_cleanup_errors=True) as folder:
        own = replace(root, root=Path(folder) / "root")
        # The programs write nothing there, so files may be shared.
        shutil.copytree(root.root, own.root, symlinks=True, copy_function=os.link)
        for module in one.own:
            place = own.root / modules / module.name
            shutil.copytree(module.folder, place, ignore=shutil.ignore_patterns("__pycache__"))
        yield own


def _how(program: TableProgram) -> str:
    """What decides how tables are made: the program, the server, and what writes them down."""
    writer = Path(table_script.__file__).read_text(encoding="utf-8")
    version = str(program_major(find_programs()))
    return _digest(program.source.read_text(encoding="utf-8"), program.modules, writer, version)


def _what(one: TableSet) -> str:
    """What decides which tables are made."""
    return _digest(one.name, *one.modules, *(f"{module.name} {module.digest}" for module in one.own))


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
