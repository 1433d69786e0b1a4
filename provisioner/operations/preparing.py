"""Makes tables for an image: its own programs fill a scratch database for each set of modules, which is written down.

1. A set whose tables were made from the same packages, modules, program and PostgreSQL is taken from the cache.
2. For the others a scratch server is started. Modules that come with charts are laid into the image's unpacked files
   for the sets that have them, as pods mount them, and for no others: the server lists every module that it finds.
3. The image's program makes the tables and takes out of them what differs from run to run; the script is written and
   kept at once, so that a build that is cut off goes on with the next set.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
            with scratch_postgres(record=cache / RECORD) as server:
                for one, file in missing.items():
                    report(f"preparing the tables of {one.name}, which takes some minutes")
                    script = _made(one, program=definition.tables, root=root, server=server)
                    fresh = file.with_suffix(".new")
                    fresh.write_bytes(script)
                    fresh.rename(file)
        return tuple(PreparedTables(tables=one, script=file.read_bytes()) for one, file in files.items())


def _made(one: TableSet, *, program: TableProgram, root: ImageRoot, server: ScratchServer) -> bytes:
    database = one.name.replace("-", "_")
    server.create_database(database)
    reached = {"PGHOST": str(server.sockets), "PGUSER": server.user, "PGDATABASE": database}
    with _laid(one, into=root.root / program.modules):
        done = subprocess.run(
            root.python(program.source, *one.modules),
            env=root.environment({**reached, **_SAME_EVERY_TIME}),
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
def _laid(one: TableSet, *, into: Path) -> Iterator[None]:
    """The set's own modules among those of the image while the block runs."""
    places = {module: into / module.name for module in one.own}
    try:
        for module, place in places.items():
            shutil.copytree(module.folder, place, ignore=shutil.ignore_patterns("__pycache__"))
        yield
    finally:
        for place in places.values():
            shutil.rmtree(place, ignore_errors=True)


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
