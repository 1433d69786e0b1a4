"""The embedded platform's folders: room, owners, short paths for sockets."""

import os
from pathlib import Path

import pytest

from provisioner.descriptor.endpoints import EmbeddedFiles
from provisioner.embedded import folders
from provisioner.embedded.private_files import generated, private_folder, write_if_changed, write_private
from provisioner.errors import CoopctlError


def test_nearly_full_disk_is_refused_with_what_is_free(tmp_path: Path) -> None:
    with pytest.raises(CoopctlError, match="the disk is nearly full: 300 MiB are free") as refused:
        folders.require_room(tmp_path, free=300 * 1024**2)
    assert "free some space" in str(refused.value.hint)


def test_disk_with_room_is_accepted(tmp_path: Path) -> None:
    folders.require_room(tmp_path, free=folders.LEAST_FREE_BYTES)


def test_sockets_are_short_however_long_the_estates_path_is(tmp_path: Path) -> None:
    deep = tmp_path / ("한국쌀가공식품협회/" * 12)
    socket = folders.run_folder(deep) / "postgres" / ".s.PGSQL.15432"
    assert len(os.fsencode(socket)) <= 107


def test_estates_do_not_share_a_folder_of_sockets(tmp_path: Path) -> None:
    assert folders.run_folder(tmp_path / "a") != folders.run_folder(tmp_path / "b")


def test_servers_accounts_may_pass_through_a_closed_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files = EmbeddedFiles(root=tmp_path / ".coopctl" / "embedded")
        folders.make_root(files)
    finally:
        os.umask(before)
    if os.geteuid() == 0:
        assert files.root.stat().st_mode & 0o001
        assert files.root.parent.stat().st_mode & 0o001


def test_size_counts_what_is_on_disk(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"x" * 100_000)
    assert 100_000 <= folders.size(tmp_path) <= 200_000


@pytest.mark.parametrize(
    ("amount", "said"), [(0, "0 B"), (2048, "2 KiB"), (5 * 1024**2, "5 MiB"), (3 * 1024**3 // 2, "1.5 GiB")]
)
def test_sizes_are_said_in_words(amount: int, said: str) -> None:
    assert folders.in_words(amount) == said


def test_deleting_what_is_not_there_is_harmless(tmp_path: Path) -> None:
    folders.delete(tmp_path / "nothing")


def test_secret_is_generated_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "password"
    first = generated(path)
    assert len(first) >= 32
    assert generated(path) == first
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_private_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    write_if_changed(path, "same")
    before = path.stat().st_ino
    write_if_changed(path, "same")
    assert path.stat().st_ino == before


def test_private_folder_keeps_what_it_holds(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "data")
    (folder / "file").write_text("kept")
    assert (private_folder(folder) / "file").read_text() == "kept"
    assert folder.stat().st_mode & 0o777 == 0o700
