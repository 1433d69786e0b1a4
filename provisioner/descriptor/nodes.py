"""YAML text as a tree of nodes that know where they stand, with every limit checked while it is read.

The tree is built from libyaml's events without recursion, so neither deep nesting nor an alias bomb can
exhaust memory or the stack. Scalars keep the text as it was written: which type it means is decided by
the schema (fields.py), so that YAML 1.1's surprises (NO, 010, 12:30) cannot happen.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from provisioner.descriptor.cooperative import OriginKind
from provisioner.errors import Diagnostic, Location

DEPTH_MAX = 32
ALIASES_MAX = 100
NODES_MAX = 200_000
PROBLEMS_MAX = 100

# Line breaks and tabs are text; all else below U+0020, and U+007F to U+009F, can only come from escapes.
_NO_TABS = "indent with spaces"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class ScalarNode(NamedTuple):
    """A scalar as written; ``plain`` means without quotes; ``expression`` is the Jinja2 text that gave ``text``."""

    text: str
    plain: bool
    file: Path
    line: int
    column: int
    layer: OriginKind = OriginKind.DESCRIPTOR
    expression: str | None = None


class SequenceNode(NamedTuple):
    """A list of nodes."""

    items: "tuple[Node, ...]"
    file: Path
    line: int
    column: int
    layer: OriginKind = OriginKind.DESCRIPTOR


class MappingNode(NamedTuple):
    """Fields by name, each with the position of its key."""

    fields: "dict[str, Node]"
    keys: dict[str, tuple[int, int]]
    file: Path
    line: int
    column: int
    layer: OriginKind = OriginKind.DESCRIPTOR


Node = ScalarNode | SequenceNode | MappingNode


def location(node: Node) -> Location:
    """Where ``node`` stands."""
    return Location(file=node.file, line=node.line, column=node.column)


@dataclass(frozen=True, kw_only=True)
class Composed:
    """The tree of one document (None if it cannot be read) and the problems met on the way."""

    root: Node | None
    problems: tuple[Diagnostic, ...] = ()


def compose(text: str, *, file: Path, layer: OriginKind = OriginKind.DESCRIPTOR) -> Composed:
    """Read the single document in ``text``; syntax problems and broken limits come back as diagnostics."""
    composer = _Composer(file=file, layer=layer)
    try:
        root = composer.run(text)
    except _LimitBroken as broken:
        composer.problems.append(composer.diagnostic(broken.message, broken.event, hint=broken.hint))
        root = None
    except UnicodeEncodeError as error:
        message = f"contains half a character, U+{ord(text[error.start]):04X}"
        composer.problems.append(Diagnostic(message=message, location=Location(file=file)))
        root = None
    except yaml.YAMLError as error:
        composer.problems.append(_syntax_problem(error, text=text, file=file))
        root = None
    return Composed(root=root, problems=tuple(composer.problems))


class _LimitBroken(Exception):
    def __init__(self, message: str, event: Event, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.event, self.hint = message, event, hint


@dataclass(kw_only=True)
class _Open:
    """A collection that is being read: its start, what it holds so far, and the key that waits for its value."""

    start: CollectionStartEvent
    items: list[Node] = field(default_factory=list)
    fields: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    key: str | None = None


@dataclass(kw_only=True)
class _Composer:
    file: Path
    layer: OriginKind
    problems: list[Diagnostic] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Node, int]] = field(default_factory=dict)
    root: Node | None = None
    documents: int = 0
    aliases: int = 0
    nodes: int = 0

    def run(self, text: str) -> Node | None:
        for event in _events(text):
            self._take(event)
            if self.documents > 1:
                break
        if self.root is None and not self.problems:
            self.problems.append(Diagnostic(message="is empty", location=Location(file=self.file)))
        return self.root

    def diagnostic(self, message: str, event: Event, *, hint: str | None) -> Diagnostic:
        line, column = _at(event)
        return Diagnostic(message=message, location=Location(file=self.file, line=line, column=column), hint=hint)

    def problem(self, message: str, event: Event, *, hint: str | None = None) -> None:
        self.problems.append(self.diagnostic(message, event, hint=hint))
        if len(self.problems) == PROBLEMS_MAX:
            raise _LimitBroken("has further problems; the rest was not read", event)

    def _take(self, event: Event) -> None:
        if isinstance(event, DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.problem("holds more than one document", event, hint="write one document into each file")
        elif isinstance(event, AliasEvent):
            self._add(self._alias(event), event, size=0)
        elif isinstance(event, ScalarEvent):
            self._check_tag(event)
            self._scalar(event)
        elif isinstance(event, CollectionStartEvent):
            self._check_tag(event)
            if len(self.stack) == DEPTH_MAX:
                raise _LimitBroken(f"is nested more than {DEPTH_MAX} levels deep", event)
            self._check_complex_key(event)
            self.stack.append(_Open(start=event))
        elif isinstance(event, CollectionEndEvent):
            self._close()

    def _check_tag(self, event: ScalarEvent | CollectionStartEvent) -> None:
        if event.tag is not None:
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")[:80]
            self.problem(f"has the tag {shown}; tags are not used here", event, hint="remove the tag")

    def _check_complex_key(self, event: Event) -> None:
        if self.stack and isinstance(self.stack[-1].start, MappingStartEvent) and self.stack[-1].key is None:
            raise _LimitBroken("has a list or mapping as a key; a key is text", event)

    def _scalar(self, event: ScalarEvent) -> None:
        if _CONTROL.search(event.value):
            self.problem("contains an escaped control character", event, hint="remove it")
        line, column = _at(event)
        node = ScalarNode(event.value, not event.style, self.file, line, column, self.layer)
        self._add(node, event, size=1)

    def _alias(self, event: AliasEvent) -> Node:
        self.aliases += 1
        if self.aliases > ALIASES_MAX:
            raise _LimitBroken(f"uses more than {ALIASES_MAX} aliases", event)
        anchor = event.anchor or ""
        if anchor not in self.anchors:
            raise _LimitBroken(f"uses the alias *{anchor[:80]} inside itself or before its anchor", event)
        node, size = self.anchors[anchor]
        self._count(size, event)
        return node

    def _count(self, size: int, event: Event) -> None:
        self.nodes += size
        if self.nodes > NODES_MAX:
            raise _LimitBroken(f"holds more than {NODES_MAX} values, aliases expanded", event)

    def _close(self) -> None:
        top = self.stack.pop()
        line, column = _at(top.start)
        node: Node
        if isinstance(top.start, SequenceStartEvent):
            node = SequenceNode(tuple(top.items), self.file, line, column, self.layer)
        else:
            node = MappingNode(top.fields, top.keys, self.file, line, column, self.layer)
        self._add(node, top.start, size=1)

    def _add(self, node: Node, event: NodeEvent, *, size: int) -> None:
        self._count(size, event)
        if size and event.anchor is not None:
            self.anchors[event.anchor] = (node, node_count(node))
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if isinstance(top.start, SequenceStartEvent):
            top.items.append(node)
        elif top.key is None:
            top.key = self._key(node, event)
        else:
            self._field(top, top.key, node)

    def _key(self, node: Node, event: Event) -> str:
        if not isinstance(node, ScalarNode):
            raise _LimitBroken("has a list or mapping as a key; a key is text", event)
        top = self.stack[-1]
        if node.text == "<<" and node.plain:
            self.problem("uses a merge key (<<), which is not supported", event, hint="write the fields out")
        elif node.text in top.keys:
            first = top.keys[node.text][0]
            self.problem(f"repeats the field {_shown(node.text)} of line {first}", event, hint="keep one of them")
        else:
            top.keys[node.text] = _at(event)
        return node.text

    def _field(self, top: _Open, key: str, node: Node) -> None:
        top.key = None
        # The first of two equal keys stays, so that later problems are about what people see first.
        if key != "<<":
            top.fields.setdefault(key, node)


def node_count(node: Node) -> int:
    """How many nodes ``node`` stands for, itself included; shared nodes count each time (no recursion)."""
    count, waiting = 0, [node]
    while waiting:
        current = waiting.pop()
        count += 1
        if count > NODES_MAX:
            break
        if isinstance(current, SequenceNode):
            waiting += current.items
        elif isinstance(current, MappingNode):
            waiting += current.fields.values()
    return count


def find(root: Node, path: tuple[int | str, ...]) -> tuple[Node, bool]:
    """The node at ``path``, or the nearest one above it, and whether it is the node itself."""
    node = root
    for part in path:
        child: Node | None = None
        if isinstance(node, MappingNode):
            child = node.fields.get(str(part))
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.items):
            child = node.items[part]
        if child is None:
            return node, False
        node = child
    return node, True


def leaves(node: Node, *, path: str = "") -> Iterator[tuple[str, ScalarNode | SequenceNode | MappingNode]]:
    """Every value that was decided as a whole, with its dotted path: scalars, lists and empty mappings."""
    if isinstance(node, MappingNode) and node.fields:
        for name, child in node.fields.items():
            yield from leaves(child, path=f"{path}.{name}" if path else name)
    else:
        yield path, node


def _events(text: str) -> Iterator[Event]:
    parser = yaml.CSafeLoader(text)
    try:
        while (event := parser.get_event()) is not None:
            yield event
    finally:
        parser.dispose()


def _at(event: Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _syntax_problem(error: yaml.YAMLError, *, text: str, file: Path) -> Diagnostic:
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return Diagnostic(message=f"is not YAML: {error}", location=Location(file=file))
    mark = error.problem_mark
    where = Location(file=file, line=mark.line + 1, column=mark.column + 1)
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: mark.column + 1]:
        return Diagnostic(message="is not YAML: a tab stands where YAML wants spaces", location=where, hint=_NO_TABS)
    said = " ".join(filter(None, (error.context, error.problem)))
    return Diagnostic(message=f"is not YAML: {said or 'it cannot be parsed'}", location=where)
