"""An image is unpacked by the Python of Debian 12 as by newer ones, and its interpreter is found in it."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue.images.image_root import unpack
from provisioner.errors import CoopctlError

FILES = ("usr/lib64/ld-linux-x86-64.so.2", "usr/bin/python3.11", "usr/lib/x86_64-linux-gnu/libc.so.6")


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A layer with an interpreter, as far as names go."""
    made = tmp_path / "layer.tar"
    with tarfile.open(made, "w") as files:
        for name in FILES:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o755, 3
            files.addfile(entry, io.BytesIO(b"abc"))
    return made


@pytest.fixture
def without_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11.2: tarfile knows no filters."""
    newer = tarfile.TarFile.extractall

    def older(self: tarfile.TarFile, path: Any = ".", members: Any = None, *, numeric_owner: bool = False) -> None:
        newer(self, path, members, numeric_owner=numeric_owner)

    monkeypatch.setattr(tarfile.TarFile, "extractall", older)
    monkeypatch.delattr(tarfile, "tar_filter", raising=False)


def test_the_interpreter_runs_by_the_image_s_own_loader_and_libraries(layer: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    command = unpack(layer, into=root).python("-V")
    loader, interpreter, library = (root / name for name in FILES)
    assert command == [str(loader), "--library-path", str(library.parent), str(interpreter), "-V"]
    assert interpreter.read_bytes() == b"abc"


@pytest.mark.usefixtures("without_filters")
def test_a_python_without_filters_unpacks_the_same(layer: Path, tmp_path: Path) -> None:
    unpack(layer, into=tmp_path / "root")
    assert all((tmp_path / "root" / name).read_bytes() == b"abc" for name in FILES)


def test_an_image_without_an_interpreter_is_told(tmp_path: Path) -> None:
    layer = tmp_path / "empty.tar"
    tarfile.open(layer, "w").close()
    with pytest.raises(CoopctlError, match="holds no"):
        unpack(layer, into=tmp_path / "root").python("-V")
