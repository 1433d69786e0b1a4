"""Where in a file a field of a manifest stands.

Of a file of manifests the place is known exactly. A chart's template is no YAML, but mostly looks like it: the path is
followed through the lines by their indentation, past those that only steer the template. Where it cannot be followed,
or two objects of the template may be meant, the field's line is told only if its name stands in one line alone; else
the nearest field around it is looked for, and at last only the file is told.
"""

import re
from collections.abc import Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from provisioner.descriptor.nodes import Node, find, location
from provisioner.errors import Location

_PART = re.compile(r"\.?(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]|\[(?P<quote>['\"])(?P<quoted>.*?)(?P=quote)\]")


def parts_of(path: str) -> tuple[str | int, ...]:
    """Split a rule's path, such as ``spec.containers[0].image`` or ``metadata.annotations['a.b/c']``."""
    return tuple(
        int(found["index"]) if found["index"] is not None else found["name"] or found["quoted"] or ""
        for found in _PART.finditer(path)
    )


def place_in_document(root: Node, path: str) -> Location:
    """Where the field at ``path`` of a document stands; if it is missing, what would hold it."""
    parts = parts_of(path)
    for length in range(len(parts), -1, -1):
        node, found = find(root, parts[:length])
        if found:
            return location(node)
    return location(root)


class _Line(NamedTuple):
    number: int
    indent: int
    text: str


def place_in_template(template: Path, path: str, *, kind: str = "") -> Location:
    """Where the field at ``path`` of the object of ``kind`` is written in a chart's template, if that can be told."""
    try:
        lines = template.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return Location(file=template)
    parts = parts_of(path)
    followed = {_followed(document, parts) for document in _objects(lines, kind=kind)} - {0}
    if len(followed) == 1:
        return Location(file=template, line=followed.pop())
    return Location(file=template, line=_alone(lines, parts))


def _alone(lines: list[str], parts: tuple[str | int, ...]) -> int:
    """The line that alone begins with the last name of ``parts`` that is written anywhere; 0 if there are several."""
    for name in reversed([part for part in parts if isinstance(part, str)]):
        written = re.compile(rf"^\s*(- )?[\"']?{re.escape(name)}[\"']?:")
        numbers = [number for number, line in enumerate(lines, start=1) if written.match(line)]
        if numbers:
            return numbers[0] if len(numbers) == 1 else 0
    return 0


def _objects(lines: list[str], *, kind: str) -> list[list[_Line]]:
    """The documents that may be the object of ``kind``; none if several are there and none says its kind."""
    documents: list[list[_Line]] = [[]]
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if line.startswith("---"):
            documents.append([])
        elif text and not text.startswith(("#", "{{")):
            documents[-1].append(_Line(number, len(line) - len(line.lstrip()), text))
    documents = [document for document in documents if document]
    said = re.compile(rf"kind:\s*[\"']?{re.escape(kind)}[\"']?\s*(#.*)?")
    of_kind = [one for one in documents if any(not line.indent and said.fullmatch(line.text) for line in one)]
    return of_kind or (documents if len(documents) == 1 else [])


def _followed(block: list[_Line], parts: tuple[str | int, ...]) -> int:
    """The line of the last part that can be followed to; 0 if not even the first can."""
    reached = 0
    for part in parts:
        found = list(_items(block))[part : part + 1] if isinstance(part, int) else list(_values(block, name=part))
        if len(found) != 1:
            break
        line, block = found[0]
        reached = line.number
    return reached


def _values(block: list[_Line], *, name: str) -> Iterator[tuple[_Line, list[_Line]]]:
    """Each line of the block's own level that begins with ``name``, with what is indented below it."""
    begins = re.compile(rf"[\"']?{re.escape(name)}[\"']?\s*:(\s|$)")
    for index, line in enumerate(block):
        if line.indent == block[0].indent and begins.match(line.text):
            yield line, list(takewhile(partial(_is_below, above=line), block[index + 1 :]))


def _is_below(line: _Line, *, above: _Line) -> bool:
    """YAML lets a list begin where its key does (YAML 1.2.2, 8.2.1)."""
    return line.indent > above.indent or (line.indent == above.indent and line.text.startswith("- "))


def _items(block: list[_Line]) -> Iterator[tuple[_Line, list[_Line]]]:
    """Each item of the block's list: its first line, and all of it as a block of its own."""
    for index, line in enumerate(block):
        if line.indent == block[0].indent and line.text.startswith("- "):
            inner = line.text[1:].lstrip()
            first = line._replace(indent=line.indent + len(line.text) - len(inner), text=inner)
            yield line, [first, *takewhile(partial(_is_inside, item=line), block[index + 1 :])]


def _is_inside(line: _Line, *, item: _Line) -> bool:
    return line.indent > item.indent
