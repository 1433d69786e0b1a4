"""A tree of nodes against a document's model: every problem comes back with its place and a hint.

pydantic finds the problems; this module gives each its line and column (of the layer it was written in),
its path in the document, and the nearest known word.
"""

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from provisioner.descriptor.fields import Plain, shown
from provisioner.descriptor.nodes import MappingNode, Node, ScalarNode, SequenceNode, find, location
from provisioner.descriptor.suggestions import did_you_mean
from provisioner.errors import Diagnostic, Location

PROBLEMS_MAX = 100

M = TypeVar("M", bound=BaseModel)
PathParts = tuple[int | str, ...]

_MESSAGES: Mapping[str, str] = {
    "model_type": "must be a mapping of fields",
    "dict_type": "must be a mapping of fields",
    "model_attributes_type": "must be a mapping of fields",
    "list_type": "must be a list",
    "missing": "is missing",
    "string_type": "must be text",
}


@dataclass(frozen=True, kw_only=True)
class Checked(Generic[M]):
    """The document, or None if it has problems."""

    document: M | None
    problems: tuple[Diagnostic, ...] = ()


def check(root: Node, *, model: type[M]) -> Checked[M]:
    """Validate ``root`` as ``model``; problems are in the order of the text."""
    try:
        return Checked(document=model.model_validate(plain_data(root)))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        found = [_diagnostic(detail, root=root, model=model) for detail in details[:PROBLEMS_MAX]]
        if len(details) > PROBLEMS_MAX:
            message = f"has {len(details) - PROBLEMS_MAX} further problems that are not shown"
            found.append(Diagnostic(message=message, location=location(root)))
        return Checked(document=None, problems=tuple(sorted(found, key=lambda item: item.location)))


def plain_data(node: Node) -> Any:
    """``node`` as dicts, lists and text; depth is bounded by nodes.DEPTH_MAX."""
    if isinstance(node, ScalarNode):
        return Plain(node.text) if node.plain else node.text
    if isinstance(node, SequenceNode):
        return [plain_data(item) for item in node.items]
    return {name: plain_data(child) for name, child in node.fields.items()}


def diagnostic(root: Node, path: PathParts, message: str, *, hint: str | None = None) -> Diagnostic:
    """A problem with the value at ``path`` of the document ``root``."""
    node, _ = find(root, path)
    return Diagnostic(message=message, location=location(node), path=dotted(path), hint=hint)


def dotted(path: PathParts) -> str:
    """``("spec", "solutions", 0, "name")`` as ``spec.solutions[0].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_short(part)}"
    return text.removeprefix(".")


def _short(part: str) -> str:
    return part if len(part) <= 60 and part.isprintable() else shown(part)


def _diagnostic(detail: ErrorDetails, *, root: Node, model: type[BaseModel]) -> Diagnostic:
    path = tuple(part for part in detail["loc"] if not str(part).startswith("<"))
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = known_fields(model, path[:-1])
        hint = did_you_mean(str(path[-1]), known) or f"known here: {', '.join(known) or 'nothing'}"
        return Diagnostic(message="is not a known field", location=_key(root, path), path=dotted(path), hint=hint)
    node, _ = find(root, path)
    message, remedy = _explained(detail, node=node)
    return Diagnostic(message=message, location=location(node), path=dotted(path), hint=remedy)


def _explained(detail: ErrorDetails, *, node: Node) -> tuple[str, str | None]:
    context = detail.get("ctx", {})
    if detail["type"] == "coopctl":
        return str(context["message"]), context["hint"]
    if detail["type"] == "literal_error":
        expected = str(context["expected"]).strip("'")
        hint = did_you_mean(node.text, [expected]) if isinstance(node, ScalarNode) else None
        return f"must be {expected}", hint
    message = _MESSAGES.get(detail["type"]) or detail["msg"][:1].lower() + detail["msg"][1:]
    return message, None


def _key(root: Node, path: PathParts) -> Location:
    parent, found = find(root, path[:-1])
    if found and isinstance(parent, MappingNode) and str(path[-1]) in parent.keys:
        line, column = parent.keys[str(path[-1])]
        child = parent.fields[str(path[-1])]
        return Location(file=child.file, line=line, column=column)
    return location(parent)


def known_fields(model: type[BaseModel], path: PathParts) -> list[str]:
    """The names, as written in text, of the fields at ``path`` of ``model``."""
    current: list[type[BaseModel]] = [model]
    keys_are_free = False
    for part in path:
        if isinstance(part, int) or keys_are_free:
            keys_are_free = False
            continue
        annotations = [
            field.annotation for owner in current for field in owner.model_fields.values() if field.alias == part
        ]
        current = [inner for annotation in annotations for inner in _models(annotation)]
        keys_are_free = any(typing.get_origin(annotation) is dict for annotation in annotations)
    return [field.alias or name for owner in current for name, field in owner.model_fields.items()]


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """The models inside ``annotation``: itself, the members of a union, the items of a list."""
    arguments = typing.get_args(annotation)
    if not arguments and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in arguments:
        yield from _models(argument)
