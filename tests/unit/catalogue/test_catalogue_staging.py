"""Charts from outside: what is taken in, and that nothing hostile is written anywhere."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.catalogue.chart_files import BYTES_MAX, FILES_MAX
from provisioner.catalogue.chart_staging import stage
from provisioner.errors import NotFound, UsageError

Member = tuple[str, bytes | tarfile.TarInfo]


def archive(file: Path, *members: Member) -> Path:
    """A gzipped tar of ``members``: contents by name, or headers."""
    with tarfile.open(file, "w:gz") as made:
        for name, what in members:
            if isinstance(what, tarfile.TarInfo):
                what.name = name
                made.addfile(what)
            else:
                about = tarfile.TarInfo(name)
                about.size = len(what)
                made.addfile(about, io.BytesIO(what))
    return file


def header(kind: bytes, *, target: str = "") -> tarfile.TarInfo:
    """The header of something that is no plain file."""
    made = tarfile.TarInfo()
    made.type, made.linkname = kind, target
    return made


def refused(source: Path, into: Path) -> str:
    """Why ``source`` is not taken in; nothing was written."""
    into.mkdir()
    with pytest.raises(UsageError) as error:
        stage(source, into=into)
    assert list(into.iterdir()) == []
    return error.value.why or ""


def test_a_folder_is_copied_with_all_that_it_holds(tmp_path: Path) -> None:
    (tmp_path / "tea" / "templates").mkdir(parents=True)
    (tmp_path / "tea" / "templates" / "x.yaml").write_text("a")
    (tmp_path / "tea" / ".helmignore").write_text("b")
    (tmp_path / "into").mkdir()
    chart = stage(tmp_path / "tea", into=tmp_path / "into")
    assert chart == tmp_path / "into" / "tea"
    assert (chart / "templates" / "x.yaml").read_text() == "a"
    assert (chart / ".helmignore").read_text() == "b"


def test_an_archive_gives_the_folder_that_it_holds(tmp_path: Path) -> None:
    file = archive(tmp_path / "tea-1.tgz", ("./tea/Chart.yaml", b"a"), ("tea/templates/x.yaml", b"b"))
    (tmp_path / "into").mkdir()
    chart = stage(file, into=tmp_path / "into")
    assert chart.name == "tea"
    assert (chart / "templates" / "x.yaml").read_bytes() == b"b"


GOOD: Member = ("tea/Chart.yaml", b"a")


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([GOOD, ("../evil", b"x")], "is no path inside"),
        ([GOOD, ("tea/../../evil", b"x")], "is no path inside"),
        ([GOOD, ("/etc/evil", b"x")], "is no path inside"),
        ([GOOD, ("tea\\evil", b"x")], "is no path inside"),
        ([GOOD, ("tea/e\nvil", b"x")], "is no path inside"),
        ([GOOD, ("tea/\u202eevil", b"x")], "is no path inside"),
        ([GOOD, ("tea/" + "x" * 230, b"x")], "is no path inside"),
        ([GOOD, ("tea/link", header(tarfile.SYMTYPE, target="/etc/passwd"))], "is a link"),
        ([GOOD, ("tea/hard", header(tarfile.LNKTYPE, target="tea/Chart.yaml"))], "is a link"),
        ([GOOD, ("tea/device", header(tarfile.CHRTYPE))], "no plain file"),
        ([GOOD, ("tea/pipe", header(tarfile.FIFOTYPE))], "no plain file"),
        ([GOOD, GOOD], "is there twice"),
        ([GOOD, ("other/x", b"x")], "one folder"),
        ([("Chart.yaml", b"a")], "one folder"),
        ([], "one folder"),
        ([(f"tea/{number}", b"") for number in range(FILES_MAX + 1)], "more than 500 files"),
        ([GOOD, ("tea/large", b"0" * (BYTES_MAX + 1))], "larger than 10 MiB"),
    ],
)
def test_a_hostile_archive_is_refused_and_nothing_is_written(tmp_path: Path, members: list[Member], why: str) -> None:
    assert why in refused(archive(tmp_path / "tea.tgz", *members), tmp_path / "into")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["into", "tea.tgz"]


def test_an_archive_that_swells_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "tea.tgz"
    with gzip.open(file, "wb") as stream:
        for _ in range(64):
            stream.write(bytes(1024 * 1024))
    assert "unpacks to more than 10 MiB" in refused(file, tmp_path / "into")


@pytest.mark.parametrize(
    "content", [b"", b"no archive", gzip.compress(b"no tar" * 200, mtime=0), gzip.compress(b"x", mtime=0)[:-4]]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tea.tgz"
    file.write_bytes(content)
    assert "no gzipped tar" in refused(file, tmp_path / "into")


def _link(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")


def _linked_folder(folder: Path) -> None:
    (folder / "templates").symlink_to("/etc")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def _many(folder: Path) -> None:
    for number in range(FILES_MAX + 1):
        (folder / str(number)).touch()


def _large(folder: Path) -> None:
    with (folder / "large").open("wb") as stream:
        stream.truncate(BYTES_MAX + 1)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_link, "is a link"),
        (_linked_folder, "is a link"),
        (_pipe, "no plain file"),
        (_many, "more than 500 files"),
        (_large, "larger than 10 MiB"),
    ],
)
def test_a_hostile_folder_is_refused_and_nothing_is_written(
    tmp_path: Path, change: Callable[[Path], None], why: str
) -> None:
    (tmp_path / "tea").mkdir()
    change(tmp_path / "tea")
    assert why in refused(tmp_path / "tea", tmp_path / "into")


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        stage(tmp_path / "tea", into=tmp_path)
