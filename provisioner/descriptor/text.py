"""From a file's bytes to text that a parser may see: regular, bounded, UTF-8, without control characters.

Editors on Windows write UTF-16, CP949 or a byte order mark: each is named, so that people know what to change.
"""

import re
import stat
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import Diagnostic, Location

KIBIBYTE = 1024
DOCUMENT_MAX_BYTES = 1024 * KIBIBYTE
MEMBERS_MAX_BYTES = 16 * 1024 * KIBIBYTE

# YAML 1.2.2 section 5.1: these are the characters outside c-printable that decoding UTF-8 can give.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_PROBLEMS_SHOWN = 20
_WIDE_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_UTF8_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class FileText:
    """A file's text, or the reasons why it has none."""

    text: str | None
    problems: tuple[Diagnostic, ...] = ()


def read_text(file: Path, *, max_bytes: int = DOCUMENT_MAX_BYTES) -> FileText:
    """Read ``file`` without ever reading more than ``max_bytes`` of it."""
    try:
        information = file.stat()
        if not stat.S_ISREG(information.st_mode):
            return _refused("is not a regular file", file=file)
        if information.st_size > max_bytes:
            return _too_large(information.st_size, file=file, max_bytes=max_bytes)
        with file.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return _refused(f"cannot be read: {reason}", file=file)
    return decode(content, file=file, max_bytes=max_bytes)


def decode(content: bytes, *, file: Path, max_bytes: int = DOCUMENT_MAX_BYTES) -> FileText:
    """Decode the bytes of ``file``; a UTF-8 byte order mark is dropped."""
    if len(content) > max_bytes:
        return _too_large(len(content), file=file, max_bytes=max_bytes)
    for mark, encoding in _WIDE_MARKS.items():
        if content.startswith(mark):
            return _refused(f"is {encoding}, not UTF-8", file=file, hint="save it as UTF-8")
    try:
        text = content.removeprefix(_UTF8_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        return _not_utf8(content, position=error.start, file=file)
    problems = _unprintable(text, file=file)
    return FileText(text=None if problems else text, problems=problems)


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of the character at ``offset``."""
    line_start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - line_start + 1


def _unprintable(text: str, *, file: Path) -> tuple[Diagnostic, ...]:
    problems = []
    for match in _UNPRINTABLE.finditer(text):
        line, column = position(text, match.start())
        name = "a NUL byte" if match[0] == "\x00" else f"the control character U+{ord(match[0]):04X}"
        where = Location(file=file, line=line, column=column)
        problems.append(Diagnostic(message=f"contains {name}", location=where, hint="remove it"))
        if len(problems) == _PROBLEMS_SHOWN:
            break
    if problems and text.count("\x00") > len(text) // 4:
        return _refused("looks like UTF-16 or binary data, not UTF-8 text", file=file, hint="save it as UTF-8").problems
    return tuple(problems)


def _not_utf8(content: bytes, *, position: int, file: Path) -> FileText:
    line_start = content.rfind(b"\n", 0, position) + 1
    where = Location(file=file, line=content.count(b"\n", 0, position) + 1, column=position - line_start + 1)
    hint = "save it as UTF-8"
    if _is_korean(content):
        hint = "it looks like CP949 (EUC-KR): save it as UTF-8"
    problem = Diagnostic(message=f"is not UTF-8: byte 0x{content[position]:02X}", location=where, hint=hint)
    return FileText(text=None, problems=(problem,))


def _is_korean(content: bytes) -> bool:
    try:
        return any("가" <= character <= "힣" for character in content.decode("cp949"))
    except UnicodeDecodeError:
        return False


def _too_large(size: int, *, file: Path, max_bytes: int) -> FileText:
    return _refused(f"is {size // KIBIBYTE} KiB; {max_bytes // KIBIBYTE} KiB are the most", file=file)


def _refused(message: str, *, file: Path, hint: str | None = None) -> FileText:
    return FileText(text=None, problems=(Diagnostic(message=message, location=Location(file=file), hint=hint),))
