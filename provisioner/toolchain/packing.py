"""Compressing and decompressing archives by their suffix: gzip in Python, zstd by its program."""

import contextlib
import gzip
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

from provisioner.errors import CoopctlError

SUFFIXES: Final = (".tar.gz", ".tgz", ".tar.zst")
CUT_OFF: Final = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a damaged archive raises."""

_GZIP_LEVEL = 6


@contextlib.contextmanager
def compressing(file: Path, *, zstd: bool) -> Iterator[IO[bytes]]:
    """A stream whose bytes end up compressed in ``file``; raises CoopctlError without the program zstd."""
    with file.open("wb") as raw:
        if not zstd:
            # No time and no name in the header: the same content gives the same file.
            with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as packed:
                yield cast("IO[bytes]", packed)
            return
        with subprocess.Popen([_zstd(), "-q", "-T0", "-c"], stdin=subprocess.PIPE, stdout=raw) as process:
            yield cast("IO[bytes]", process.stdin)
        if process.returncode:
            raise CoopctlError("zstd could not compress the archive", hint="use .tar.gz")


@contextlib.contextmanager
def decompressing(file: Path) -> Iterator[IO[bytes]]:
    """A stream of the decompressed bytes; reading raises one of CUT_OFF if the file is damaged."""
    if not file.name.endswith(".zst"):
        with gzip.open(file, "rb") as stream:
            yield cast("IO[bytes]", stream)
        return
    argv = [_zstd(), "-q", "-d", "-c"]
    with (
        file.open("rb") as raw,
        subprocess.Popen(argv, stdin=raw, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
    ):
        yield cast("IO[bytes]", process.stdout)
    # Reached only if the stream was read to its end without an error.
    if process.returncode:
        raise EOFError("zstd cannot decompress it")


def require_packer(file: Path) -> None:
    """Raise CoopctlError if the suffix of ``file`` needs a program that is not there."""
    if file.name.endswith(".zst"):
        _zstd()


def _zstd() -> str:
    program = shutil.which("zstd")
    if program is None:
        raise CoopctlError("a .tar.zst needs the program zstd", hint="`apt-get install zstd`, or use .tar.gz")
    return program
