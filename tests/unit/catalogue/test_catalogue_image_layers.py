"""Layers and layouts: the same content always has the same bytes."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from provisioner.catalogue.images.definition import ImageDefinition, read_definition
from provisioner.catalogue.images.layer import Tree
from provisioner.catalogue.images.oci_layout import write_layout
from provisioner.errors import CoopctlError, InvalidDescriptor
from tests.unit.plan.builders import CHARTS

PORTAL_IMAGE = CHARTS / "portal" / "image.yaml"


def archive(*members: tuple[str, str | None], mtime: int = 0, mode: int = 0o644) -> tarfile.TarFile:
    """A package's tar: paths with their content, None for a folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, content in members:
            header = tarfile.TarInfo(path)
            header.mtime, header.mode, header.uname = mtime, mode, "builder"
            if content is None:
                header.type, header.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(header)
            else:
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content.encode()))
    stream.seek(0)
    return tarfile.open(fileobj=stream)


def written(*archives: tarfile.TarFile, prune: tuple[str, ...] = ()) -> bytes:
    """The layer made of ``archives``."""
    tree = Tree(prune=prune)
    for one in archives:
        tree.add_archive(one)
    target = io.BytesIO()
    tree.write(target)
    return target.getvalue()


def names(layer: bytes) -> list[str]:
    """The paths of a layer, in order."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return tar.getnames()


def test_neither_time_nor_order_nor_builder_changes_the_bytes() -> None:
    first = written(archive(("./usr/bin/a", "1")), archive(("./usr/bin/b", "2"), mtime=5))
    second = written(archive(("./usr/bin/b", "2")), archive(("./usr/bin/a", "1"), mtime=9))
    assert first == second


def test_paths_are_sorted_and_every_folder_is_there() -> None:
    layer = written(archive(("./usr/share/x/y", "1"), ("./etc/z", "2")))
    assert names(layer) == ["etc", "etc/z", "usr", "usr/share", "usr/share/x", "usr/share/x/y"]


def test_programs_of_the_old_folders_move_into_usr_and_links_remain() -> None:
    layer = written(archive(("./lib/x86/libc.so", "1"), ("./sbin/init", "2")))
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.getmember("lib").linkname == "usr/lib"
        assert tar.getmember("sbin").linkname == "usr/sbin"
    assert "usr/lib/x86/libc.so" in names(layer)


def test_manuals_go_and_licences_stay() -> None:
    layer = written(
        archive(
            ("./usr/share/man/man1/a.1.gz", "1"),
            ("./usr/share/doc/a/copyright", "MIT"),
            ("./usr/share/doc/a/changelog.gz", "2"),
        )
    )
    assert names(layer)[-2:] == ["usr/share/doc/a", "usr/share/doc/a/copyright"]
    assert not any("man" in name or "changelog" in name for name in names(layer))


def test_what_the_definition_prunes_is_left_out() -> None:
    layer = written(archive(("./var/www", None), ("./var/www/index.html", "1"), ("./etc/a", "2")), prune=("var/www",))
    assert names(layer) == ["etc", "etc/a"]


def test_no_program_can_become_another_user() -> None:
    layer = written(archive(("./usr/bin/su", "1"), mode=0o4755))
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.getmember("usr/bin/su").mode == 0o755


def test_two_packages_with_one_file_are_refused() -> None:
    with pytest.raises(CoopctlError):
        written(archive(("./etc/a", "1")), archive(("./etc/a", "2")))


def test_hard_links_come_after_what_they_link_to() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        header = tarfile.TarInfo("./usr/bin/z")
        header.size = 1
        tar.addfile(header, io.BytesIO(b"1"))
        link = tarfile.TarInfo("./usr/bin/a")
        link.type, link.linkname = tarfile.LNKTYPE, "./usr/bin/z"
        tar.addfile(link)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as package:
        layer = written(package)
    assert names(layer)[-2:] == ["usr/bin/z", "usr/bin/a"]


def layout(folder: Path, *, definition: ImageDefinition, content: bytes) -> str:
    """Write a layout with a layer of ``content``; give its digest."""
    folder.mkdir()
    (folder / "layer.tar").write_bytes(content)
    return write_layout(folder / "layout", layers=[folder / "layer.tar"], definition=definition, architecture="amd64")


def test_a_layout_s_blobs_bear_their_own_hashes(tmp_path: Path) -> None:
    digest = layout(tmp_path / "one", definition=read_definition(PORTAL_IMAGE), content=b"layer")
    blobs = list((tmp_path / "one" / "layout" / "blobs" / "sha256").iterdir())
    assert all(hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name for blob in blobs)
    assert len(blobs) == 3
    index = json.loads((tmp_path / "one" / "layout" / "index.json").read_text())
    assert index["manifests"][0]["digest"] == digest


def test_the_same_layer_gives_the_same_digest_and_another_one_another(tmp_path: Path) -> None:
    definition = read_definition(PORTAL_IMAGE)
    first = layout(tmp_path / "one", definition=definition, content=b"layer")
    again = layout(tmp_path / "two", definition=definition, content=b"layer")
    other = layout(tmp_path / "three", definition=definition, content=b"other")
    assert (first == again, first == other) == (True, False)


def test_the_portal_runs_as_a_user_with_a_number_other_than_root() -> None:
    definition = read_definition(PORTAL_IMAGE)
    assert definition.user_id == 65532
    assert definition.port == 8080


@pytest.mark.parametrize(
    ("replaced", "by"),
    [
        ("packages: [nginx]", "packages: []"),
        ("packages: [nginx]", "packages: ['--option']"),
        ("source: image/nginx.conf", "source: ../secret"),
        ("source: image/nginx.conf", "source: image/missing"),
        ("target: /etc/nginx/nginx.conf", "target: relative"),
        ("id: 65532", "id: 0"),
        ("kind: Image", "kind: Picture"),
    ],
)
def test_a_definition_that_cannot_be_meant_is_refused(tmp_path: Path, replaced: str, by: str) -> None:
    text = PORTAL_IMAGE.read_text()
    assert replaced in text
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "nginx.conf").write_text("")
    (tmp_path / "image.yaml").write_text(text.replace(replaced, by))
    with pytest.raises(InvalidDescriptor):
        read_definition(tmp_path / "image.yaml")
