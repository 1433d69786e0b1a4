"""The one strict reader of what lies beside a chart, and of images.lock: every problem at once, with its line.

The limits are those of all documents (size, depth, aliases), and scalars keep the text that was written.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from provisioner.descriptor.checking import PathParts, check, diagnostic
from provisioner.descriptor.nodes import Node, compose, find, location
from provisioner.descriptor.text import read_text
from provisioner.errors import Diagnostic, InvalidDescriptor, Location

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file with the tree that knows where each of its fields stands; ``what`` it should be, ``hint`` if it is not."""

    file: Path
    root: Node
    what: str
    hint: str | None = None

    def invalid(self, problems: list[Diagnostic]) -> InvalidDescriptor:
        """The failure that holds ``problems``."""
        return _invalid(self.file, problems, what=self.what, hint=self.hint)

    def diagnostic(self, path: PathParts, message: str) -> Diagnostic:
        """A problem with what stands at ``path``."""
        return diagnostic(self.root, path, message)


@dataclass(frozen=True, kw_only=True)
class ReadDocument(Generic[M]):
    """A document that keeps to its model, and where it was written."""

    content: M
    source: Source


def read_source(file: Path, *, what: str, hint: str | None = None) -> Source:
    """Read the YAML in ``file``. Raises InvalidDescriptor if there is none, or more than the limits allow."""
    text = read_text(file)
    if text.text is None:
        raise _invalid(file, list(text.problems), what=what, hint=hint)
    composed = compose(text.text, file=file)
    if composed.root is None or composed.problems:
        raise _invalid(file, list(composed.problems), what=what, hint=hint)
    return Source(file=file, root=composed.root, what=what, hint=hint)


def read_document(file: Path, *, model: type[M], what: str, hint: str | None = None) -> ReadDocument[M]:
    """Read ``file`` as a ``model``; raises InvalidDescriptor with every problem."""
    source = read_source(file, what=what, hint=hint)
    checked = check(source.root, model=model)
    if checked.document is None:
        raise source.invalid(list(checked.problems))
    return ReadDocument(content=checked.document, source=source)


def place_in(file: Path, path: PathParts) -> Location:
    """Where the field at ``path`` of the YAML in ``file`` stands; what would hold it, if it is missing."""
    text = read_text(file).text
    root = compose(text, file=file).root if text is not None else None
    return location(find(root, path)[0]) if root is not None else Location(file=file)


def _invalid(file: Path, problems: list[Diagnostic], *, what: str, hint: str | None) -> InvalidDescriptor:
    return InvalidDescriptor(f"{file} is not a valid {what}", diagnostics=problems, hint=hint)
