"""Uploads of `member-files`: forms as browsers write them, and whatever else may come."""

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from member_files.documents import Content
from member_files.refusals import Reason, Refused
from member_files.uploads import FORM_BYTES, Form, boundary_of, read_form, received

BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"


def part(name: str, content: bytes, *, file: str | None = None) -> bytes:
    """A part of a form as browsers write it."""
    escaped = file.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A") if file is not None else ""
    said = f'; filename="{escaped}"\r\nContent-Type: application/pdf' if file is not None else ""
    headers = f'Content-Disposition: form-data; name="{name}"{said}\r\n\r\n'
    return b"--" + BOUNDARY + b"\r\n" + headers.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A whole form."""
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def read(body: bytes) -> tuple[Form, bytes]:
    """The form in ``body``, and the bytes of its file."""
    with received(io.BytesIO(body), length=len(body), most=FORM_BYTES) as content:
        found = read_form(content, boundary=BOUNDARY)
        return found, b"".join(found.content.parts())


def refusal(body: bytes) -> Reason:
    """Why ``body`` is refused."""
    with pytest.raises(Refused) as refused:
        read(body)
    return refused.value.reason


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='/\\"%'), max_size=60)


@given(
    content=st.binary(max_size=4000), name=names, note=st.text(st.characters(exclude_categories=["Cs"]), max_size=90)
)
def test_what_a_browser_sends_arrives_byte_for_byte(content: bytes, name: str, note: str) -> None:
    if b"\r\n--" + BOUNDARY in b"\r\n" + content + note.encode():
        return
    found, got = read(form(part("note", note.encode()), part("file", content, file=name)))
    assert (found.fields, found.file_name, got) == ({"note": note}, name, content)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('a "quoted" name.pdf', 'a "quoted" name.pdf'),
        ("C:\\Users\\회원사\\성적서.pdf", "성적서.pdf"),
        ("../../etc/passwd", "passwd"),
        ("a\r\nContent-Type: text", "a\r\nContent-Type: text"),
        ("", ""),
    ],
)
def test_a_file_is_called_as_it_was_without_its_path(written: str, name: str) -> None:
    found, _ = read(form(part("file", b"x", file=written)))
    assert found.file_name == name


def test_the_file_may_hold_what_looks_like_a_form() -> None:
    content = b"x--" + BOUNDARY + b"\r\n\r\n--" + BOUNDARY[:-1] + b"\r\n--\r\n\n--" + BOUNDARY + b"\r"
    found, got = read(form(part("file", content, file="a"), part("note", b"later")))
    assert (found.fields["note"], got) == ("later", content)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--" + BOUNDARY,
        b"--" + BOUNDARY + b"--",
        form(),
        form(part("note", b"no file")),
        form(part("file", b"a", file="a"), part("file", b"b", file="b")),
        form(part("file", b"a", file="a"))[:-40],
        b"before" + form(part("file", b"a", file="a")),
        b"--" + BOUNDARY + b"\r\nno headers\r\n--" + BOUNDARY + b"--",
        b"--" + BOUNDARY + b"\r\nContent-Disposition: form-data\r\n\r\nx\r\n--" + BOUNDARY + b"--",
        b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--' + BOUNDARY + b"--",
        form(part("note", b"\xff"), part("file", b"a", file="a")),
        form(part("note", b"x" * 9000), part("file", b"a", file="a")),
        form(*(part(f"n{place}", b"x") for place in range(20)), part("file", b"a", file="a")),
        b"--" + BOUNDARY + b"\r\n" + b"X: y\r\n" * 3000 + b"\r\nx\r\n--" + BOUNDARY + b"--",
    ],
)
def test_what_is_no_form_with_one_file_is_refused(body: bytes) -> None:
    assert refusal(body) is Reason.REQUEST


@given(st.binary(max_size=300))
def test_no_bytes_are_more_than_refused(body: bytes) -> None:
    for whole in (body, b"--" + BOUNDARY + body, form(body)):
        with contextlib.suppress(Refused):
            assert isinstance(read(whole)[0], Form)


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; boundary=abc",
        'multipart/form-data; boundary="abc"',
        "Multipart/Form-Data;charset=utf-8; boundary=abc",
        "multipart/form-data; boundary=abc; charset=utf-8",
    ],
)
def test_a_boundary_is_read_in_every_way_that_it_may_be_written(kind: str) -> None:
    assert boundary_of(kind) == b"abc"


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/html",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="abc',
        f"multipart/form-data; boundary={'a' * 71}",
        "multipart/form-data; boundary=a\r\nb",
        "multipart/mixed; boundary=abc",
    ],
)
def test_another_type_of_content_is_refused(kind: str) -> None:
    with pytest.raises(Refused):
        boundary_of(kind)


def test_more_than_may_come_is_refused_before_it_is_read() -> None:
    body = io.BytesIO(b"x" * 11)
    with pytest.raises(Refused) as refused, received(body, length=11, most=10):
        """It is not received."""
    assert (refused.value.reason, body.tell()) == (Reason.TOO_LARGE, 0)


def test_less_than_was_said_is_refused() -> None:
    with pytest.raises(Refused) as refused, received(io.BytesIO(b"x"), length=2, most=10):
        """It is not received."""
    assert refused.value.reason is Reason.REQUEST


def test_what_comes_after_the_body_is_left() -> None:
    body = io.BytesIO(b"body and the next request")
    with received(body, length=4, most=10) as content:
        assert b"".join(content.parts()) == b"body"
    assert body.read() == b" and the next request"


def test_content_comes_in_parts() -> None:
    content = Content(source=b"x" * 600_000, start=1, end=600_000)
    assert [len(one) for one in content.parts()] == [262_144, 262_144, 75_711]
