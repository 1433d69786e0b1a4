"""The process's standard streams, made fit for any text, any locale and for being closed.

What a locale's character set cannot show is escaped as JSON does it, so an answer that is JSON stays JSON. A stream
that the caller closed leads nowhere. A conversation (stderr) that nobody can hear any more stops no work.
"""

import codecs
import io
import os
import re
import sys
from typing import Literal, TextIO

_ESCAPED = "coopctl-escaped"
# What a terminal obeys instead of showing it: C0 and C1 controls but tab and line end, and what reorders text (UAX #9).
_OBEYED = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")
_STREAMS: tuple[tuple[str, Literal["r", "w"]], ...] = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


class _Unheard(io.FileIO):
    """A file whose failing writes are taken for done."""

    def write(self, data: object, /) -> int:
        """Write ``data``, or as much as can be."""
        try:
            return super().write(data)  # type: ignore[arg-type]  # a buffer, whose type has no name before Python 3.12
        except OSError:
            return memoryview(data).nbytes  # type: ignore[arg-type]


def prepare() -> None:
    """Make stdin, stdout and stderr ready, once and before anything is read or written."""
    codecs.register_error(_ESCAPED, _escaped)
    for number, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            setattr(sys, name, _leading_nowhere(number, mode))
    _escape(sys.stdout)
    _escape(sys.stderr)
    told = _Unheard(sys.stderr.fileno(), "w", closefd=False)
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(told), encoding=sys.stderr.encoding, errors=_ESCAPED, line_buffering=True
    )


def speaks_unicode(stream: TextIO) -> bool:
    """Whether every character can be written to ``stream`` as it is."""
    return codecs.lookup(stream.encoding or "ascii").name.startswith("utf")


def harmless(text: str) -> str:
    """``text`` with what a terminal would obey written as JSON writes it.

    A tenant named the tables, objects and fields that are told of at an operator's terminal.
    """
    return _OBEYED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _leading_nowhere(number: int, mode: Literal["r", "w"]) -> TextIO:
    """What stands for the standard stream ``number``; its number is taken, or the next file would get it."""
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    return open(number, mode, encoding="utf-8", closefd=False)


def _escape(stream: TextIO) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=_ESCAPED)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """A codec's error handler: UTF-16 code units as RFC 8259 section 7 writes them, lone surrogates too."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)), error.end
