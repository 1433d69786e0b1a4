"""Makes tables for an image: its own programs fill a scratch database for each set of modules, which is written down.

1. A set whose tables were made from the same packages, modules, program and PostgreSQL is taken from the cache.
2. For the others a scratch server is started, and as many are made at a time as there are processors. A set that holds
   another begins with that one's script and adds what is missing, so that no module's tables are made twice; the script
   alone decides, whether it was made just now or long ago. Modules that come with charts are laid, as pods mount them,
   into a copy of the image's unpacked files for the one set that has them, and for no others: the server lists every
   module that it finds.
3. The image's program makes the tables and takes out of them what differs from run to run; the script is written and
   kept at once, so that a build that is cut off goes on with the next set. One that fails lets those end that do not
   grow from it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.catalogue import Catalogue
from provisioner.catalogue.images.definition import ImageDefinition, TableProgram
from provisioner.catalogue.images.image_root import ImageRoot
from provisioner.catalogue.images.prepared import PreparedTables
from provisioner.catalogue.images.table_sets import TableSet, grown_from, table_sets
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
# What the first program compiles, the later ones find beside its source (PEP 3147); the name of what is not whole yet
# goes on behind the dot.
_COMPILED_ONCE = {"PYTHONDONTWRITEBYTECODE": ""}
_HALF_COMPILED = "*.pyc.*"


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
        scripts = _scripts(table_sets(definition.name, catalogue=self.catalogue), how=how, kept=kept)
        missing = [one for one in scripts if not one.file.is_file()]
        if missing:
            for one in missing:
                report(f"preparing the tables of {one.tables.name}, which takes a while")
            with scratch_postgres(record=cache / RECORD) as server:
                _Workshop(program=definition.tables, root=root, server=server).make_all(missing)
        return tuple(PreparedTables(tables=one.tables, script=one.file.read_bytes()) for one in scripts)


@dataclass(frozen=True, kw_only=True)
class _Script:
    """A set, where its script is kept, and the script that it begins with."""

    tables: TableSet
    file: Path
    begins: "_Script | None"

    @property
    def added(self) -> tuple[str, ...]:
        """The modules that the script it begins with has no tables of."""
        there = self.begins.tables.modules if self.begins else ()
        return tuple(module for module in self.tables.modules if module not in there)


def _scripts(sets: Sequence[TableSet], *, how: str, kept: Path) -> list[_Script]:
    """The scripts of ``sets``, which come smaller ones first: each after what it begins with."""
    made: dict[TableSet, _Script] = {}
    for one in sets:
        base = grown_from(one, made)
        begins = made[base] if base else None
        key = _digest(how, _what(one), begins.file.name if begins else "")
        made[one] = _Script(tables=one, file=kept / f"{key}.sql", begins=begins)
    return list(made.values())


@dataclass(frozen=True, kw_only=True)
class _Workshop:
    """Where scripts are made: the image's program and files, and the scratch server."""

    program: TableProgram
    root: ImageRoot
    server: ScratchServer

    def make_all(self, scripts: Sequence[_Script]) -> None:
        """Make them, several at a time, and keep each when it is there; raises the first failure at the end."""
        workers = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="tables")
        work: dict[Path, Future[None]] = {}
        try:
            for one in scripts:
                before = work.get(one.begins.file) if one.begins else None
                work[one.file] = workers.submit(self._make, one, before=before)
            wait(work.values())
        finally:
            # Not waited for: the server ends now, and with it what still fills its databases.
            workers.shutdown(wait=False, cancel_futures=True)
        for done in work.values():
            done.result()

    def _make(self, one: _Script, *, before: "Future[None] | None") -> None:
        """Make one, when what it begins with is there: that was begun earlier, so a worker has it already."""
        if before is not None:
            before.result()
        database = one.tables.name.replace("-", "_")
        self.server.create_database(database)
        if one.begins is not None:
            self.server.load(one.begins.file, database=database)
        self._fill(one, database=database)
        pg_dump = self.server.programs / "pg_dump"
        source = TableSource(host=self.server.sockets, user=self.server.user, database=database, pg_dump=pg_dump)
        fresh = one.file.with_suffix(".new")
        fresh.write_bytes(write_script(source))
        fresh.rename(one.file)

    def _fill(self, one: _Script, *, database: str) -> None:
        reached = {"PGHOST": str(self.server.sockets), "PGUSER": self.server.user, "PGDATABASE": database}
        with _root_of(one.tables, root=self.root, modules=self.program.modules) as own:
            done = subprocess.run(
                own.python(self.program.source, *one.added),
                env=own.environment({**reached, **_SAME_EVERY_TIME, **_COMPILED_ONCE}),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROGRAM_SECONDS,
                check=False,
            )
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip()[-LAST_WORDS:]
            name, source = one.tables.name, self.program.source
            raise CoopctlError(f"the tables of {name} cannot be made: {source} failed", why=words or None)


@contextmanager
def _root_of(one: TableSet, *, root: ImageRoot, modules: str) -> Iterator[ImageRoot]:
    """The image's files as the set's pods have them; those of a set with modules of its own are links to ``root``'s."""
    if not one.own:
        yield root
        return
    with tempfile.TemporaryDirectory(dir=root.root.parent, prefix="root-", ignore_cleanup_errors=True) as folder:
        own = replace(root, root=Path(folder) / "root")
        # The programs change no file there, so files may be shared.
        half = shutil.ignore_patterns(_HALF_COMPILED)
        shutil.copytree(root.root, own.root, symlinks=True, copy_function=os.link, ignore=half)
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
