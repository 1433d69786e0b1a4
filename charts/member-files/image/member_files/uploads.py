"""What is uploaded: received whole into a file without a name, before any transaction begins.

A program sends a document as it is, a page's form as ``multipart/form-data`` (RFC 7578). The file is mapped, not read,
so that a large document is in memory no more often than once, and that as long as the system has room for it.
"""

import mmap
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from member_files.documents import PART_BYTES, Content
from member_files.refusals import Reason, Refused

# Besides the document: boundaries, headers and a note.
FORM_BYTES = 64 * 1024
FIELD_BYTES = 8 * 1024
FIELDS_MAX = 16
_BOUNDARY = re.compile(
    r'multipart/form-data\s*;(?:.*;)?\s*boundary=("?)([A-Za-z0-9\'()+_,./:=?-]{1,70})\1\s*(?:;.*)?', re.I
)
_DISPOSITION = re.compile(rb"(?:^|\r\n)content-disposition:\s*form-data\s*;([^\r\n]*)", re.IGNORECASE)
_PARAMETER = re.compile(r'(?:^|;)\s*(name|filename)="([^"]*)"')
# How a form writes what would end a quoted name (HTML standard, "Multipart form data").
_ESCAPES = {"%0D": "\r", "%0A": "\n", "%22": '"'}


class Reader(Protocol):
    """The body of a request (PEP 3333, ``wsgi.input``)."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """The fields of a form, by name, and its one file: what that was called, and its bytes."""

    fields: Mapping[str, str]
    file_name: str
    content: Content


@contextmanager
def received(body: Reader, *, length: int, most: int) -> Iterator[Content]:
    """The body's ``length`` bytes. Raises Refused if those are more than ``most``, or if fewer came."""
    if length > most:
        raise Refused(Reason.TOO_LARGE)
    with tempfile.TemporaryFile() as file:
        left = length
        while left and (part := body.read(min(left, PART_BYTES))):
            file.write(part)
            left -= len(part)
        if left:
            raise Refused(Reason.REQUEST)
        file.flush()
        if not length:
            # Nothing cannot be mapped.
            yield Content(source=b"", start=0, end=0)
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield Content(source=mapped, start=0, end=length)


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts of a form. Raises Refused for another type of content."""
    found = _BOUNDARY.fullmatch(content_type.strip())
    if found is None:
        raise Refused(Reason.REQUEST)
    return found[2].encode()


def read_form(body: Content, *, boundary: bytes) -> Form:
    """Read a form with one file. Raises Refused for anything else."""
    fields: dict[str, str] = {}
    files: list[tuple[str, Content]] = []
    for headers, content in _parts(body, delimiter=b"--" + boundary):
        name, file_name = _names(headers)
        if file_name is None:
            fields[name] = _text(content)
        else:
            files.append((file_name, content))
    if len(files) != 1:
        raise Refused(Reason.REQUEST)
    return Form(fields=fields, file_name=files[0][0], content=files[0][1])


def _parts(body: Content, *, delimiter: bytes) -> Iterator[tuple[bytes, Content]]:
    """Headers and content of each part (RFC 2046, section 5.1.1), up to the closing delimiter."""
    source, place = body.source, len(delimiter)
    if source[:place] != delimiter:
        raise Refused(Reason.REQUEST)
    for _ in range(FIELDS_MAX):
        if source[place : place + 2] == b"--":
            return
        begin = source.find(b"\r\n\r\n", place)
        end = source.find(b"\r\n" + delimiter, begin + 2)
        if source[place : place + 2] != b"\r\n" or not 0 <= begin - place <= FIELD_BYTES or end < 0:
            raise Refused(Reason.REQUEST)
        # Of an empty part the break before the delimiter is the one after the headers.
        yield source[place + 2 : begin], Content(source=source, start=min(begin + 4, end), end=end)
        place = end + 2 + len(delimiter)
    raise Refused(Reason.REQUEST)


def _names(headers: bytes) -> tuple[str, str | None]:
    """What the field is called, and what its file is, if it has one."""
    found = _DISPOSITION.search(headers)
    try:
        said = {name: _plain(text) for name, text in _PARAMETER.findall(found[1].decode() if found else "")}
    except UnicodeDecodeError as error:
        raise Refused(Reason.REQUEST) from error
    if "name" not in said:
        raise Refused(Reason.REQUEST)
    # Some browsers of old send the whole path.
    file_name = said.get("filename")
    return said["name"], re.split(r"[/\\]", file_name)[-1] if file_name is not None else None


def _plain(text: str) -> str:
    return re.sub("%0D|%0A|%22", lambda found: _ESCAPES[found[0]], text)


def _text(content: Content) -> str:
    if content.size > FIELD_BYTES:
        raise Refused(Reason.REQUEST)
    try:
        return content.source[content.start : content.end].decode()
    except UnicodeDecodeError as error:
        raise Refused(Reason.REQUEST) from error
