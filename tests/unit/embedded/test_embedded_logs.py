"""Logs: read from the end, followed over a rotation."""

import itertools
from pathlib import Path

import pytest

from provisioner.embedded import logs
from provisioner.errors import NotFound


def test_last_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "etcd.log").write_text("".join(f"line {number}\n" for number in range(100)))
    assert logs.read(tmp_path, name="etcd", lines=2) == ("line 98", "line 99")


def test_bytes_that_are_no_text_are_shown_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "etcd.log").write_bytes(b"caf\xe9\n\xec\x8c\x80\n")
    assert logs.read(tmp_path, name="etcd", lines=5) == ("caf\N{REPLACEMENT CHARACTER}", "쌀")


def test_unknown_name_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "etcd.log").touch()
    (tmp_path / "postgres.log").touch()
    with pytest.raises(NotFound) as refused:
        logs.read(tmp_path, name="../secrets", lines=1)
    assert refused.value.hint == "there are etcd, postgres"


def test_followed_log_goes_on_with_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "etcd.log"
    path.write_text("old\n")
    following = logs.follow(tmp_path, name="etcd", lines=10)
    assert next(following) == "old"
    with path.open("a") as log:
        log.write("new\nhal")
        log.flush()
        assert next(following) == "new"
        log.write("f\n")
    assert next(following) == "half"


def test_followed_log_that_is_begun_anew_is_followed_on(tmp_path: Path) -> None:
    path = tmp_path / "etcd.log"
    path.write_text("before\n")
    following = logs.follow(tmp_path, name="etcd", lines=10)
    assert next(following) == "before"
    path.rename(tmp_path / "etcd.log.1")
    path.write_text("after one\nafter two\n")
    assert list(itertools.islice(following, 2)) == ["after one", "after two"]
