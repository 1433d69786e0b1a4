"""Reads files of manifests as kubectl takes them: a stream of YAML documents, Lists taken apart.

With the limits of all documents (size, depth, aliases), and every problem at once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from provisioner.descriptor.checking import plain_data
from provisioner.descriptor.fields import free_value
from provisioner.descriptor.loading import invalid
from provisioner.descriptor.nodes import MappingNode, Node, ScalarNode, SequenceNode, compose, location
from provisioner.descriptor.text import read_text
from provisioner.errors import Diagnostic, Location

# YAML 1.2.2, 9.1.2: a line that begins so ends a document, wherever it stands.
_MARKER = re.compile(r"---(?=\s|$)")
_DOCUMENTS_MAX = 1000
_COMMENT = re.compile(r"\s*(#.*)?")


@dataclass(frozen=True, kw_only=True)
class WrittenManifest:
    """A manifest with the tree that knows where each of its fields stands."""

    manifest: dict[str, Any]
    root: Node


def read_manifests(file: Path) -> tuple[WrittenManifest, ...]:
    """Read every manifest of ``file``. Raises InvalidDescriptor with every problem."""
    content = read_text(file)
    problems: list[Diagnostic] = list(content.problems)
    found: list[WrittenManifest] = []
    documents = list(islice(_documents(content.text or ""), _DOCUMENTS_MAX + 1))
    if len(documents) > _DOCUMENTS_MAX:
        message = f"holds more than {_DOCUMENTS_MAX} documents"
        problems.append(Diagnostic(message=message, location=Location(file=file), hint="split it"))
    for text in documents[:_DOCUMENTS_MAX]:
        composed = compose(text, file=file)
        problems += composed.problems
        for root in _objects(composed.root):
            problems += _problems(root)
            found.append(WrittenManifest(manifest=free_value(plain_data(root)), root=root))
    if not found and not problems:
        problems.append(Diagnostic(message="holds no manifest", location=Location(file=file)))
    if problems:
        raise invalid(problems)
    return tuple(found)


def _documents(text: str) -> Iterator[str]:
    """Each document, after as many empty lines as stand before it: so every line keeps its number."""
    lines = text.split("\n")
    begins = [index for index, line in enumerate(lines) if _MARKER.match(line)]
    for first, after in zip([-1, *begins], [*begins, len(lines)], strict=True):
        head = [_MARKER.sub("   ", lines[first])] if first >= 0 else []
        body = [*head, *lines[first + 1 : after]]
        if not all(_COMMENT.fullmatch(line) for line in body):
            yield "\n".join(["" for _ in range(max(first, 0))] + body)


def _objects(root: Node | None) -> Iterator[Node]:
    """The object itself, or what a List holds."""
    if root is None:
        return
    held = root.fields.get("items") if isinstance(root, MappingNode) else None
    kind = root.fields.get("kind") if isinstance(root, MappingNode) else None
    if isinstance(held, SequenceNode) and isinstance(kind, ScalarNode) and kind.text.endswith("List"):
        for item in held.items:
            yield from _objects(item)
    else:
        yield root


def _problems(root: Node) -> Iterator[Diagnostic]:
    fields = root.fields if isinstance(root, MappingNode) else {}
    for name in ("apiVersion", "kind"):
        if not isinstance(fields.get(name), ScalarNode):
            yield Diagnostic(message=f"is no manifest: it has no {name}", location=location(root))
            return
