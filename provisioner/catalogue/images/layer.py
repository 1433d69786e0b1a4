"""One deterministic file tree out of many packages: the only layer of an image.

Paths are sorted, times are 0, owners are numbers, so that the same content always has the same bytes (OCI image
specification, "Image Layer Filesystem Changeset"; reproducible-builds.org, "Archive metadata"). /bin, /lib and
/sbin are links into /usr, as on every Debian since version 12 (Debian bookworm, release notes 5.1.5).
"""

import copy
import fnmatch
import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from provisioner.errors import CoopctlError

EPOCH = 0
MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
# Nobody reads these in a container; copyright files stay, their licences ask for it.
PRUNED = (
    "usr/share/bug",
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/menu",
    "var/cache",
)
DOCUMENTATION = "usr/share/doc/"
COPYRIGHT = "/copyright"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A member of the tree: its header, and where its content is (None for all but regular files)."""

    header: tarfile.TarInfo
    archive: tarfile.TarFile | None = None
    content: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Files by path; adding a path twice is an error unless both are directories."""

    prune: Sequence[str]
    entries: dict[str, Entry] = field(default_factory=dict)

    def add_archive(self, archive: tarfile.TarFile) -> None:
        """Take over every member of a package's tar that is not pruned; ``archive`` must stay open."""
        for member in archive:
            header = _normal(member)
            if header.name and not self._pruned(header):
                self._add(Entry(header=header, archive=archive))

    def add_file(self, path: str, *, content: bytes, mode: int = 0o644) -> None:
        """Add a file, or put it in the place of a package's."""
        header = tarfile.TarInfo(path)
        header.size, header.mode, header.mtime = len(content), mode, EPOCH
        self.entries[path] = Entry(header=header, content=content)

    def add_folder(self, path: str, *, mode: int = 0o755) -> None:
        """Add a directory."""
        header = tarfile.TarInfo(path)
        header.type, header.mode, header.mtime = tarfile.DIRTYPE, mode, EPOCH
        self.entries[path] = Entry(header=header)

    def write(self, target: BinaryIO) -> None:
        """Write the tree as a tar; hard links come last, after what they link to."""
        self._complete()
        entries = [self.entries[path] for path in sorted(self.entries)]
        with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for entry in sorted(entries, key=lambda entry: entry.header.islnk()):
                tar.addfile(entry.header, _content(entry))

    def _add(self, entry: Entry) -> None:
        path = entry.header.name
        known = self.entries.get(path)
        if known is None:
            self.entries[path] = entry
        elif not (known.header.isdir() and entry.header.isdir()):
            raise CoopctlError(f"two packages hold /{path}", hint="take one of them out of the image's packages")

    def _complete(self) -> None:
        """Add the folders that no package listed, and the links into /usr."""
        for path in list(self.entries):
            for parent in _parents(path):
                if parent not in self.entries:
                    self.add_folder(parent)
        for name in MERGED:
            if f"usr/{name}" in self.entries:
                header = tarfile.TarInfo(name)
                header.type, header.linkname, header.mode, header.mtime = tarfile.SYMTYPE, f"usr/{name}", 0o777, EPOCH
                self.entries[name] = Entry(header=header)

    def _pruned(self, header: tarfile.TarInfo) -> bool:
        path = header.name
        if path.startswith(DOCUMENTATION):
            # A link stands for the folder of a package from the same source.
            return not (path.endswith(COPYRIGHT) or (header.issym() and path.count("/") == DOCUMENTATION.count("/")))
        return any(_below(path, pattern) for pattern in (*PRUNED, *self.prune))


def _normal(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The member's header without what differs between machines, nor the right to become another user."""
    header = copy.copy(member)
    header.name = _merged(member.name)
    header.linkname = _merged(member.linkname) if member.islnk() else member.linkname
    header.mtime, header.uname, header.gname, header.pax_headers = EPOCH, "", "", {}
    header.mode = member.mode & (0o1777 if member.isdir() else 0o777)
    return header


def _merged(name: str) -> str:
    path = name.removeprefix("./").strip("/")
    path = "" if path == "." else path
    return f"usr/{path}" if path.split("/", 1)[0] in MERGED else path


def _parents(path: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    for length in range(1, len(parts) + 1):
        yield "/".join(parts[:length])


def _below(path: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f"{pattern}/*")


def _content(entry: Entry) -> io.BufferedIOBase | None:
    if entry.content is not None:
        return io.BytesIO(entry.content)
    if entry.archive is None or not entry.header.isreg():
        return None
    stream = entry.archive.extractfile(entry.header)
    return stream if isinstance(stream, io.BufferedIOBase) else None
