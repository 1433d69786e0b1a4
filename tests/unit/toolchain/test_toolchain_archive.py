"""Archives of tools: they arrive whole, or nothing changes."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import CoopctlError, NotFound, ProblemsFound, UsageError
from provisioner.toolchain import Origin, Toolchain
from provisioner.toolchain.archive import export_archive, import_archive
from tests.unit.toolchain.small_tools import HELLO, LONE, contents, script, small_toolchain, system_path, with_candidate

NAMES = ["tools.tar.gz", "tools.tgz"] + (["tools.tar.zst"] if shutil.which("zstd") else [])
Member = tuple[tarfile.TarInfo, bytes]


def quiet(_line: str) -> None:
    """Take progress and drop it."""


@pytest.fixture(name="here")
def _here(tmp_path: Path) -> Toolchain:
    """Where the tools are built: programs that stand for built ones."""
    toolchain = small_toolchain(tmp_path / "here", builds=(HELLO, LONE))
    for build in toolchain.builds:
        folder = toolchain.folder(build)
        script(folder / "bin", build.name, f"echo {build.name} {'x' * 3000}")
        for link in build.links:
            (folder / "bin" / link).symlink_to(build.name)
    return toolchain


@pytest.fixture(name="there")
def _there(tmp_path: Path, here: Toolchain) -> Toolchain:
    """Another machine with the same coopctl, no Go and nothing in its cache."""
    return replace(here, cache=tmp_path / "there", environment={"PATH": system_path()})


def members(file: Path) -> list[Member]:
    with tarfile.open(file) as tar:
        return [(member, tar.extractfile(member).read()) for member in tar.getmembers()]  # type: ignore[union-attr]  # all are files


def rewrite(file: Path, changed: list[Member]) -> None:
    with tarfile.open(file, "w:gz") as tar:
        for header, content in changed:
            if header.isreg():
                header.size = len(content)
            tar.addfile(header, io.BytesIO(content))


def header(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def edit_manifest(edit: Callable[[dict[str, Any]], None]) -> Callable[[list[Member]], list[Member]]:
    def change(all_members: list[Member]) -> list[Member]:
        (first, text), *rest = all_members
        document = json.loads(text)
        edit(document)
        return [(first, json.dumps(document).encode()), *rest]

    return change


@pytest.mark.parametrize("name", NAMES)
def test_tools_arrive_on_a_machine_without_go(tmp_path: Path, here: Toolchain, there: Toolchain, name: str) -> None:
    exported = export_archive(here, tmp_path / name, report=quiet)
    assert exported.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    imported = import_archive(there, tmp_path / name, report=quiet)
    assert (imported.added, imported.present) == (("hello", "lone"), ())
    assert {tool.origin for tool in there.all()} == {Origin.CACHE}
    paths = there.ensure(["hello-b", "lone"], report=quiet)
    assert paths["hello-b"].read_bytes() == (here.folder(HELLO) / "bin" / "hello").read_bytes()
    assert (contents(here.store.root), import_archive(there, tmp_path / name, report=quiet).present) == (
        contents(there.store.root),
        ("hello", "lone"),
    )


def test_what_path_has_here_is_built_for_the_archive(tmp_path: Path) -> None:
    script(tmp_path / "bin", "lone", "echo hello v1.2.3")
    toolchain = small_toolchain(tmp_path, builds=(with_candidate(LONE),))
    toolchain = replace(toolchain, environment={**toolchain.environment, "PATH": _path_with(tmp_path, toolchain)})
    assert toolchain.find("lone").origin is Origin.PATH
    exported = export_archive(toolchain, tmp_path / "tools.tar.gz", report=quiet)
    assert exported.manifest.tools[0].size > 100_000


def _path_with(folder: Path, toolchain: Toolchain) -> str:
    return f"{folder / 'bin'}:{toolchain.environment['PATH']}"


def test_the_same_tools_give_the_same_archive(tmp_path: Path, here: Toolchain) -> None:
    one, other = (export_archive(here, tmp_path / name, report=quiet) for name in ("a.tar.gz", "b.tar.gz"))
    assert one.sha256 == other.sha256


def test_a_damaged_tool_is_mended_by_an_import(tmp_path: Path, here: Toolchain, there: Toolchain) -> None:
    export_archive(here, tmp_path / "tools.tar.gz", report=quiet)
    import_archive(there, tmp_path / "tools.tar.gz", report=quiet)
    (there.folder(LONE) / "bin" / "lone").write_text("damaged")
    imported = import_archive(there, tmp_path / "tools.tar.gz", report=quiet)
    assert (imported.added, imported.present) == (("lone",), ("hello",))
    assert "lone xxx" in (there.folder(LONE) / "bin" / "lone").read_text()


TAMPERINGS: dict[str, Callable[[list[Member]], list[Member]]] = {
    "a changed byte": lambda m: [*m[:2], (m[2][0], m[2][1][:-2] + b"!\n")],
    "a longer tool": lambda m: [*m[:2], (m[2][0], m[2][1] + b"more")],
    "a missing tool": lambda m: m[:2],
    "no tool at all": lambda m: m[:1],
    "a tool twice": lambda m: [*m, m[1]],
    "a member more": lambda m: [*m, (header("extra"), b"x")],
    "a path outside": lambda m: [*m[:2], (header("../../outside"), m[2][1])],
    "an absolute path": lambda m: [*m[:2], (header("/tmp/outside"), m[2][1])],
    "a symbolic link": lambda m: [*m[:2], (header(m[2][0].name, tarfile.SYMTYPE, "/etc/passwd"), b"")],
    "a hard link": lambda m: [*m[:2], (header(m[2][0].name, tarfile.LNKTYPE, m[1][0].name), b"")],
    "a device": lambda m: [*m[:2], (header(m[2][0].name, tarfile.CHRTYPE), b"")],
    "no manifest": lambda m: m[1:],
    "the manifest last": lambda m: [*m[1:], m[0]],
    "a manifest that is no JSON": lambda m: [(m[0][0], b"{"), *m[1:]],
    "a manifest that is too deep": lambda m: [(m[0][0], b"[" * 200_000), *m[1:]],
    "a manifest that is a list": lambda m: [(m[0][0], b"[]"), *m[1:]],
    "a manifest that is huge": lambda m: [(m[0][0], b" " * 2_000_000), *m[1:]],
    "another kind": edit_manifest(lambda d: d.update(kind="Other")),
    "a tool named twice": edit_manifest(lambda d: d["tools"].append(d["tools"][0])),
    "a size that is a text": edit_manifest(lambda d: d["tools"][0].update(size="1")),
    "a member that is a list": edit_manifest(lambda d: d["tools"][0].update(member=["x"])),
    "a field more": edit_manifest(lambda d: d["tools"][0].update(command="rm")),
    "another checksum": edit_manifest(lambda d: d["tools"][0].update(sha256="0" * 64)),
    "nothing": lambda m: m[:0],
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_a_tampered_archive_is_refused_and_nothing_changes(
    tmp_path: Path, here: Toolchain, there: Toolchain, tampering: str
) -> None:
    file = tmp_path / "tools.tar.gz"
    export_archive(here, file, report=quiet)
    rewrite(file, TAMPERINGS[tampering](members(file)))
    with pytest.raises(ProblemsFound, match="is damaged"):
        import_archive(there, file, report=quiet)
    assert contents(there.store.root) == set()
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("percent", [0, 1, 20, 50, 80, 99])
def test_a_cut_off_archive_is_refused_wherever_it_ends(
    tmp_path: Path, here: Toolchain, there: Toolchain, name: str, percent: int
) -> None:
    file = tmp_path / name
    export_archive(here, file, report=quiet)
    whole = file.read_bytes()
    file.write_bytes(whole[: min(len(whole) * percent // 100, len(whole) - 1)])
    with pytest.raises(ProblemsFound, match="is damaged"):
        import_archive(there, file, report=quiet)
    assert contents(there.store.root) == set()


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 4096, b"no archive", gzip.compress(b"no tar", mtime=0), b"\x1f\x8b\x08"]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, there: Toolchain, content: bytes) -> None:
    (tmp_path / "tools.tar.gz").write_bytes(content)
    with pytest.raises(ProblemsFound, match="is damaged"):
        import_archive(there, tmp_path / "tools.tar.gz", report=quiet)


@pytest.mark.parametrize("change", [{"arch": "riscv64"}, {"os": "plan9"}])
def test_an_archive_for_another_platform_is_refused(
    tmp_path: Path, here: Toolchain, there: Toolchain, change: dict[str, str]
) -> None:
    file = tmp_path / "tools.tar.gz"
    export_archive(here, file, report=quiet)
    rewrite(file, edit_manifest(lambda document: document.update(change))(members(file)))
    with pytest.raises(ProblemsFound, match=f"is for .*{next(iter(change.values()))}"):
        import_archive(there, file, report=quiet)
    assert contents(there.store.root) == set()


def test_an_archive_of_other_versions_is_refused(tmp_path: Path, here: Toolchain, there: Toolchain) -> None:
    export_archive(here, tmp_path / "tools.tar.gz", report=quiet)
    newer = replace(there, builds=(replace(HELLO, ldflags="-X main.version=2"), LONE))
    with pytest.raises(ProblemsFound, match=r"other tools: hello 1\.2\.3") as refused:
        import_archive(newer, tmp_path / "tools.tar.gz", report=quiet)
    assert "export" in (refused.value.hint or "")
    assert contents(there.store.root) == set()


def test_what_a_killed_import_left_is_cleared_away(tmp_path: Path, here: Toolchain, there: Toolchain) -> None:
    export_archive(here, tmp_path / "tools.tar.gz", report=quiet)
    script(there.store.root / ".import.killed" / "hello", "half", "")
    import_archive(there, tmp_path / "tools.tar.gz", report=quiet)
    assert not [name for name in contents(there.store.root) if name.startswith(".")]


def test_an_export_that_cannot_be_written_leaves_nothing(tmp_path: Path, here: Toolchain) -> None:
    with pytest.raises(CoopctlError, match="cannot be written"):
        export_archive(here, tmp_path / "missing" / "tools.tar.gz", report=quiet)
    (tmp_path / "tools.tar.gz").mkdir()
    with pytest.raises(CoopctlError, match="cannot be written"):
        export_archive(here, tmp_path / "tools.tar.gz", report=quiet)
    assert list(tmp_path.glob(".tools*")) == []


@pytest.mark.parametrize("name", ["tools.zip", "tools", "tools.tar"])
def test_only_known_suffixes_are_taken(tmp_path: Path, here: Toolchain, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.tar\.zst"):
        export_archive(here, tmp_path / name, report=quiet)
    (tmp_path / name).write_text("x")
    with pytest.raises(UsageError, match=r"\.tar\.gz"):
        import_archive(here, tmp_path / name, report=quiet)


def test_an_archive_that_is_not_there_is_named(tmp_path: Path, there: Toolchain) -> None:
    with pytest.raises(NotFound, match=r"tools\.tar\.gz does not exist"):
        import_archive(there, tmp_path / "tools.tar.gz", report=quiet)
