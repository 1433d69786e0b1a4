"""Whether a chart's values.schema.json is closed: a value that it does not name is refused.

JSON Schema, draft 7 (Helm documentation, "Schema Files"). What coopctl itself sets, ``coopctl`` and Helm's ``global``,
may stay open: their facts grow.
"""

from collections.abc import Iterator, Mapping
from typing import Any

SET_BY_COOPCTL = frozenset({"coopctl", "global"})
DEPTH_MAX = 64
# What says anything about the form of a value; without all of them any value is taken.
_FORMS = frozenset({"type", "enum", "const", "allOf", "anyOf", "oneOf", "properties"})

Place = tuple[str | int, ...]
Fault = tuple[Place, str]


def schema_faults(schema: Mapping[str, Any]) -> Iterator[Fault]:
    """Every object that takes values which it does not name, and every reference out of the chart."""
    if schema.get("additionalProperties") is not False:
        yield (), "is open: additionalProperties is not false"
    yield from _references(schema, path=())
    seen: set[str] = set()
    for name, child in _mapping(schema.get("properties")).items():
        if name not in SET_BY_COOPCTL:
            yield from _open_objects(child, path=("properties", name), root=schema, seen=seen)


def _references(schema: Any, *, path: Place) -> Iterator[Fault]:
    """References that are not into the schema itself: a reader would fetch them, or fail."""
    if len(path) > DEPTH_MAX:
        return
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from _references(item, path=(*path, index))
    for name, child in _mapping(schema).items():
        if name == "$ref" and isinstance(child, str) and not child.startswith("#"):
            yield (*path, name), f"refers to {child[:80]!r}, outside of the chart"
        yield from _references(child, path=(*path, name))


def _open_objects(schema: Any, *, path: Place, root: Mapping[str, Any], seen: set[str]) -> Iterator[Fault]:
    content = _mapping(schema)
    reference = content.get("$ref")
    if isinstance(reference, str):
        if reference not in seen:
            seen.add(reference)
            yield from _referenced(reference, root=root, seen=seen)
        return
    if not _FORMS & set(content):
        yield path, "says nothing of the form: any value is taken"
    elif _is_object(content) and content.get("additionalProperties", True) is True:
        yield path, "is an open object: additionalProperties is not false"
    if len(path) < DEPTH_MAX:
        for place, child in _children(content):
            yield from _open_objects(child, path=(*path, *place), root=root, seen=seen)


def _referenced(reference: str, *, root: Mapping[str, Any], seen: set[str]) -> Iterator[Fault]:
    """The schema that ``#/definitions/name`` means (RFC 6901, JSON Pointer)."""
    parts = tuple(part.replace("~1", "/").replace("~0", "~") for part in reference.removeprefix("#/").split("/"))
    found: Any = root
    for part in parts:
        found = _mapping(found).get(part)
    yield from _open_objects(found, path=parts, root=root, seen=seen)


def _children(schema: Mapping[str, Any]) -> Iterator[tuple[Place, Any]]:
    for holder in ("properties", "patternProperties"):
        for name, child in _mapping(schema.get(holder)).items():
            yield (holder, name), child
    for holder in ("additionalProperties", "items"):
        if isinstance(schema.get(holder), Mapping):
            yield (holder,), schema[holder]
    for holder in ("allOf", "anyOf", "oneOf", "items"):
        listed = schema.get(holder)
        for index, child in enumerate(listed if isinstance(listed, list) else []):
            yield (holder, index), child


def _is_object(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
