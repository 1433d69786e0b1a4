"""Carries built tools to other machines: an archive with a manifest of checksums, and its careful reading.

Writing: 1. every build is made in the cache (tools that PATH offers too: the other machine may lack them); 2. manifest
and executables go into a file beside the wanted one; 3. that is renamed. The same tools give the same archive.

Reading: 1. the manifest comes first and must be for this platform and these pins; 2. every member must be one that the
manifest names, once, with its size and checksum, and lands in a staging folder; 3. only when all are there, each build
is renamed into the cache. Cut off anywhere, the cache holds whole builds only, and the same command goes on.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from provisioner.errors import CoopctlError, NotFound, ProblemsFound, UsageError, refused_by_system
from provisioner.toolchain.building import Report, add_links, is_complete, target_platform
from provisioner.toolchain.cache import translated
from provisioner.toolchain.chain import Toolchain
from provisioner.toolchain.packing import CUT_OFF, SUFFIXES, compressing, decompressing, require_packer
from provisioner.toolchain.pins import MEGABYTE, Build

KIND: Final = "ToolchainArchive"
API_VERSION: Final = "coopctl.dev/v1"
MANIFEST: Final = "manifest.json"
_MOST_MANIFEST_BYTES = 1_000_000
_CHUNK = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One executable in an archive: its member name, and what it must be."""

    name: str
    version: str
    member: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an archive says about itself."""

    os: str
    arch: str
    coopctl: str
    tools: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A written archive; ``sha256`` is of the whole file, to be told to the receiver by another way."""

    file: Path
    size: int
    sha256: str
    manifest: Manifest


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an archive brought: names of builds that are new here, and of those that were here already."""

    added: tuple[str, ...]
    present: tuple[str, ...]


def export_archive(toolchain: Toolchain, file: Path, *, report: Report) -> Exported:
    """Write every build of ``toolchain`` into ``file`` (.tar.gz, .tgz or .tar.zst), making what is not built yet.

    Raises UsageError for another suffix, CoopctlError if a tool cannot be built or the file cannot be written.
    """
    _require_suffix(file)
    folders = tuple(toolchain.ensure_built(build, report=report) for build in toolchain.builds)
    manifest = _manifest(toolchain, folders)
    report(f"writing {_total(manifest) // MEGABYTE} MB of tools into {file}")
    try:
        _write(file, manifest=manifest, cache=toolchain.store.root)
        return Exported(file=file, size=file.stat().st_size, sha256=_digest(file), manifest=manifest)
    except OSError as error:
        raise refused_by_system(error, f"{file} cannot be written", hint="name another file") from error


def import_archive(toolchain: Toolchain, file: Path, *, report: Report) -> Imported:
    """Take the builds of an archive into the cache.

    Raises NotFound without the file; ProblemsFound if the archive is damaged, cut off, for another platform, for other
    versions, or holds anything that its manifest does not name. Then nothing is changed.
    """
    if not file.is_file():
        raise NotFound(f"{file} does not exist")
    _require_suffix(file)
    cache = toolchain.store
    with (
        cache.lock("import", waiting=lambda: report("another coopctl imports tools; waiting for it")),
        cache.staging("import") as staging,
    ):
        builds = _unpack(file, toolchain=toolchain, staging=staging, report=report)
        return _adopt(builds, toolchain=toolchain, staging=staging, report=report)


def _require_suffix(file: Path) -> None:
    if not file.name.endswith(SUFFIXES):
        raise UsageError(f"{file.name}: an archive's name ends with one of {', '.join(SUFFIXES)}")
    require_packer(file)


def _manifest(toolchain: Toolchain, folders: tuple[Path, ...]) -> Manifest:
    system, arch = target_platform()
    entries = (_entry(build, folder) for build, folder in zip(toolchain.builds, folders, strict=True))
    return Manifest(os=system, arch=arch, coopctl=metadata.version("coopctl"), tools=tuple(entries))


def _entry(build: Build, folder: Path) -> Entry:
    program = folder / "bin" / build.name
    size, sha256 = program.stat().st_size, _digest(program)
    member = _member(build, folder)
    return Entry(name=build.name, version=build.version, member=member, size=size, sha256=sha256)


def _member(build: Build, folder: Path) -> str:
    return f"{folder.name}/bin/{build.name}"


def _total(manifest: Manifest) -> int:
    return sum(entry.size for entry in manifest.tools)


def _write(file: Path, *, manifest: Manifest, cache: Path) -> None:
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        zstd = file.name.endswith(".zst")
        with compressing(partial, zstd=zstd) as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
            text = json.dumps({"apiVersion": API_VERSION, "kind": KIND, **asdict(manifest)}, indent=2).encode()
            tar.addfile(_header(MANIFEST, size=len(text), mode=0o644), io.BytesIO(text))
            for entry in manifest.tools:
                with (cache / entry.member).open("rb") as source:
                    tar.addfile(_header(entry.member, size=entry.size, mode=0o755), source)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _header(name: str, *, size: int, mode: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, mode
    return header


def _unpack(file: Path, *, toolchain: Toolchain, staging: Path, report: Report) -> tuple[Build, ...]:
    try:
        with decompressing(file) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            builds = _read_members(tar, file=file, toolchain=toolchain, staging=staging, report=report)
            # To the very end: a damaged tail shows in the compressor's own checksum.
            while stream.read(_CHUNK):
                pass
    except (tarfile.TarError, *CUT_OFF) as error:
        raise _damaged(file, f"it cannot be read to its end: {error}") from error
    return builds


def _read_members(
    tar: tarfile.TarFile, *, file: Path, toolchain: Toolchain, staging: Path, report: Report
) -> tuple[Build, ...]:
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > _MOST_MANIFEST_BYTES:
        raise _damaged(file, f"its first member is not {MANIFEST}")
    content = tar.extractfile(first)
    manifest = read_manifest(content.read() if content else b"", file=file)
    builds = _fitting(manifest, file=file, toolchain=toolchain)
    _require_room(manifest, at=staging)
    missing = {entry.member: entry for entry in manifest.tools}
    while member := tar.next():
        entry = missing.pop(member.name, None)
        if entry is None or not member.isreg() or member.size != entry.size:
            raise _damaged(file, f"{member.name!r} is not what the manifest says")
        report(f"checking {entry.name} {entry.version}")
        _extract(tar, member, entry=entry, target=staging / entry.member, file=file)
    if missing:
        raise _damaged(file, f"{', '.join(entry.name for entry in missing.values())} is not in it")
    return builds


def read_manifest(text: bytes, *, file: Path) -> Manifest:
    """Parse an archive's manifest; raises ProblemsFound if it is none."""
    try:
        document = json.loads(text)
        if (document["apiVersion"], document["kind"]) != (API_VERSION, KIND):
            raise ValueError("another kind of document")
        tools = tuple(_read_entry(entry) for entry in document["tools"])
        if len({entry.member for entry in tools}) != len(tools):
            raise ValueError("a tool is named twice")
        return Manifest(os=document["os"], arch=document["arch"], coopctl=document["coopctl"], tools=tools)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(file, f"its manifest is no {KIND}: {error}") from error


def _read_entry(document: dict[str, Any]) -> Entry:
    entry = Entry(**document)
    texts = (entry.name, entry.version, entry.member, entry.sha256)
    if not all(isinstance(text, str) for text in texts) or not isinstance(entry.size, int):
        raise ValueError("a tool's entry has a value of the wrong type")
    return entry


def _fitting(manifest: Manifest, *, file: Path, toolchain: Toolchain) -> tuple[Build, ...]:
    """The builds that the archive brings; every one must be pinned here, made from the same sources."""
    here = target_platform()
    if (manifest.os, manifest.arch) != here:
        raise ProblemsFound(
            f"{file} is for {manifest.os}/{manifest.arch}, this machine is {here[0]}/{here[1]}",
            hint="export the tools on a machine like this one",
        )
    known = {_member(build, toolchain.folder(build)): build for build in toolchain.builds}
    foreign = [f"{entry.name} {entry.version}" for entry in manifest.tools if entry.member not in known]
    if foreign:
        raise ProblemsFound(
            f"{file} was made by coopctl {manifest.coopctl} with other tools: {', '.join(foreign)}",
            hint="export the tools with the coopctl that is used here",
        )
    return tuple(known[entry.member] for entry in manifest.tools)


def _require_room(manifest: Manifest, *, at: Path) -> None:
    free = shutil.disk_usage(at).free
    if free < _total(manifest):
        raise CoopctlError(
            f"the disk is nearly full: {free // MEGABYTE} MB are free at {at.parent}",
            why=f"the tools need {_total(manifest) // MEGABYTE} MB there",
            hint="free some space, or set XDG_CACHE_HOME to a folder on another disk",
        )


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, *, entry: Entry, target: Path, file: Path) -> None:
    source = tar.extractfile(member)
    digest = hashlib.sha256()
    with translated(target.parent):
        target.parent.mkdir(parents=True)
        with target.open("wb") as output:
            while chunk := source.read(_CHUNK) if source else b"":
                digest.update(chunk)
                output.write(chunk)
        target.chmod(0o755)
    if digest.hexdigest() != entry.sha256:
        raise _damaged(file, f"the checksum of {entry.name} is not the manifest's")


def _adopt(builds: tuple[Build, ...], *, toolchain: Toolchain, staging: Path, report: Report) -> Imported:
    added = tuple(build.name for build in builds if _adopt_one(build, toolchain, staging=staging, report=report))
    return Imported(added=added, present=tuple(build.name for build in builds if build.name not in added))


def _adopt_one(build: Build, toolchain: Toolchain, *, staging: Path, report: Report) -> bool:
    """Move one checked build into the cache; False if the same is there already."""
    folder = toolchain.folder(build)
    waiting = f"another coopctl builds {build.name}; waiting for it"
    with toolchain.store.lock(folder.name, waiting=lambda: report(waiting)):
        if is_complete(build, folder=folder) and _same(folder, staging / folder.name, name=build.name):
            return False
        add_links(build, folder=staging / folder.name)
        toolchain.store.publish(staging / folder.name, key=folder.name, staging=staging)
    return True


def _same(one: Path, other: Path, *, name: str) -> bool:
    return _digest(one / "bin" / name) == _digest(other / "bin" / name)


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _damaged(file: Path, why: str) -> ProblemsFound:
    return ProblemsFound(
        f"{file} is damaged", why=why, hint="copy it again, and compare its SHA-256 with the one that export printed"
    )
