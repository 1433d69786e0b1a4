"""Brings a chart from outside into a folder: a copy of a folder, or what an archive (.tgz) holds.

Nothing of it is trusted: links, special files, paths that lead out, and more than a chart may be are refused, before
anything of it is written. An archive is unpacked in memory, up to the bound, so that one that swells harms nothing.
"""

import gzip
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from provisioner.catalogue.chart_files import BYTES_MAX, FILES_MAX, MEBIBYTE
from provisioner.errors import NotFound, UsageError

# The headers of a tar, and its padding to whole blocks, come to less than this for as many files as a chart may have.
_TAR_MAX = BYTES_MAX + (FILES_MAX + 1) * 4 * tarfile.BLOCKSIZE
_PART_MAX = 200
_NO_ARCHIVE = (OSError, EOFError, ValueError, zlib.error, tarfile.TarError)

Files = dict[PurePosixPath, bytes]


def stage(source: Path, *, into: Path) -> Path:
    """Write the chart at ``source`` below the empty folder ``into`` and return its folder there.

    Raises NotFound if there is nothing, UsageError for what is no chart that can be taken in.
    """
    if source.is_dir():
        name, files = source.resolve().name, dict(_of_folder(source))
    elif source.is_file():
        name, files = _of_archive(source)
    else:
        raise NotFound(f"{source} does not exist", hint="give a chart's folder, or its archive (.tgz)")
    chart = into / name
    for path, content in files.items():
        file = chart / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return chart


def _of_folder(folder: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    count, size = 0, 0
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(here) / name
            about = path.lstat()
            shown = path.relative_to(folder)
            if stat.S_ISDIR(about.st_mode):
                continue
            if not stat.S_ISREG(about.st_mode):
                raise _refused(folder, f"{shown} is a link, or no plain file")
            count, size = count + 1, size + about.st_size
            _bound(folder, count=count, size=size)
            yield _path(str(PurePosixPath(shown)), source=folder), _content(path)


def _content(file: Path) -> bytes:
    """The file's bytes, though no link's: it may have become one since it was looked at."""
    with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW)) as stream:
        return stream.read(BYTES_MAX)


def _of_archive(file: Path) -> tuple[str, Files]:
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(file)), mode="r:") as archive:
            files = _members(archive, file=file)
    except _NO_ARCHIVE as error:
        raise _refused(file, f"it is no gzipped tar: {error}") from error
    return _top(file, files=files)


def _members(archive: tarfile.TarFile, *, file: Path) -> Files:
    files: Files = {}
    size = 0
    for member in archive:
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            raise _refused(file, f"{member.name!r} is a link, or no plain file")
        path = _path(member.name, source=file)
        size += member.size
        _bound(file, count=len(files) + 1, size=size)
        stream = archive.extractfile(member)
        if path in files or stream is None:
            raise _refused(file, f"{member.name!r} is there twice")
        files[path] = stream.read()
    return files


def _unpacked(file: Path) -> bytes:
    with gzip.open(file) as stream:
        content = stream.read(_TAR_MAX + 1)
    if len(content) > _TAR_MAX:
        raise _refused(file, f"it unpacks to more than {BYTES_MAX // MEBIBYTE} MiB")
    return content


def _top(file: Path, *, files: Files) -> tuple[str, Files]:
    """The one folder that everything lies in, and its files by their paths there."""
    tops = {path.parts[0] for path in files}
    if len(tops) != 1 or any(len(path.parts) == 1 for path in files):
        raise _refused(file, "it does not hold one folder, which is called as the chart is")
    return tops.pop(), {PurePosixPath(*path.parts[1:]): content for path, content in files.items()}


def _path(name: str, *, source: Path) -> PurePosixPath:
    """``name`` as a path that stays inside; what an archive calls ``./x`` is ``x``."""
    path = PurePosixPath(name)
    strange = not name.isprintable() or "\\" in name or any(len(part) > _PART_MAX for part in path.parts)
    if path.is_absolute() or ".." in path.parts or not path.parts or strange:
        raise _refused(source, f"{name[:80]!r} is no path inside of it")
    return path


def _bound(source: Path, *, count: int, size: int) -> None:
    if count > FILES_MAX:
        raise _refused(source, f"it holds more than {FILES_MAX} files")
    if size > BYTES_MAX:
        raise _refused(source, f"it is larger than {BYTES_MAX // MEBIBYTE} MiB")


def _refused(source: Path, why: str) -> UsageError:
    return UsageError(f"{source} is not taken in", why=why, hint="a chart is a folder of plain files")
