"""Bytes become text, or a diagnostic that says what is wrong with them and where."""

import os
from pathlib import Path

import pytest

from provisioner.descriptor.text import DOCUMENT_MAX_BYTES, decode, read_text

FILE = Path("rice.yaml")


@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        ("이름: 쌀".encode("utf-16"), "is UTF-16, not UTF-8", "save it as UTF-8"),
        ("이름: 쌀".encode("utf-32"), "is UTF-32, not UTF-8", "save it as UTF-8"),
        ("a: 1\n".encode("utf-16-le"), "looks like UTF-16 or binary data, not UTF-8 text", "save it as UTF-8"),
        (
            "a: 1\n이름: 쌀가공\n".encode("cp949"),
            "is not UTF-8: byte 0xC0",
            "it looks like CP949 (EUC-KR): save it as UTF-8",
        ),
        ("name: Müller\n".encode("latin-1"), "is not UTF-8: byte 0xFC", "save it as UTF-8"),
        (b"a: 1\nbc: x\x00y, long enough to be text\n", "contains a NUL byte", "remove it"),
        (b"a: \x1b[31m\n", "contains the control character U+001B", "remove it"),
    ],
)
def test_what_is_not_plain_utf8_is_named(content: bytes, said: str, hint: str) -> None:
    read = decode(content, file=FILE)
    assert read.text is None
    assert (read.problems[0].message, read.problems[0].hint) == (said, hint)


def test_a_wrong_byte_is_told_with_its_line_and_column() -> None:
    place = decode(b"a: 1\nbc: \xff\n", file=FILE).problems[0].location
    assert (place.line, place.column) == (2, 5)


def test_a_byte_order_mark_of_windows_editors_is_dropped() -> None:
    assert decode(b"\xef\xbb\xbfa: 1\n", file=FILE).text == "a: 1\n"


def test_a_file_of_ten_megabytes_is_refused_without_being_read(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    with file.open("wb") as stream:
        stream.truncate(10 * DOCUMENT_MAX_BYTES)
    assert read_text(file).problems[0].message == "is 10240 KiB; 1024 KiB are the most"


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    assert read_text(pipe).problems[0].message == "is not a regular file"
    assert "cannot be read" in read_text(tmp_path / "missing.yaml").problems[0].message
    assert read_text(tmp_path).problems[0].message == "is not a regular file"
