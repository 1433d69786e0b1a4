"""The reference of the documents, from their models: docs/reference/documents.md is what this gives."""

import datetime
import types
import typing
from collections.abc import Iterator
from enum import EnumType

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from provisioner.descriptor.document import Settings
from provisioner.descriptor.json_schema import DOCUMENTS

_INTRODUCTION = """# Documents

Documents are YAML, `apiVersion: coopctl.dev/v1`, one in each file, UTF-8, at most 1 MiB. They are strict: an unknown
field is an error with its file, line, column and the nearest known name, and all problems are reported at once.
Text stays what was written (`NO` is a name, not false); tags and merge keys are refused, aliases are limited.
`coopctl schema` prints the JSON Schema for editors.

Fields marked *inherited* may be left out of a Cooperative: the size, the template or a default decides them, and
`coopctl explain NAME` shows which. Sizes are written as `512Mi` or `20Gi`, CPUs as `2`, `0.5` or `500m`,
durations as `12h`, `30d` or `2w`, moments with a time zone (`2026-12-05T22:00+09:00`), amounts of WAL as PostgreSQL
writes them (`1MB` is 1024 times 1024 bytes).
"""
_NAMES: dict[object, str] = {
    str: "text",
    int: "number",
    bool: "true or false",
    datetime.date: "date",
    dict: "mapping",
}


def text() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    for kind, model in DOCUMENTS.items():
        parts.append(f"## {kind}\n\n{_summary(model)}\n\n{_table(model)}")
    return "\n".join(parts)


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]


def _table(model: type[BaseModel]) -> str:
    rows = [
        f"| `{path}` | {_type(field)} | {_need(field, owner)} | {field.description or ''} |"
        for path, field, owner in _fields(model, path="")
    ]
    return "\n".join(["| field | type | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _fields(model: type[BaseModel], *, path: str) -> Iterator[tuple[str, FieldInfo, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        here = f"{path}{field.alias or name}"
        yield here, field, model
        for inner, mark in _inner_models(field.annotation, mark="."):
            yield from _fields(inner, path=f"{here}{mark}")


def _inner_models(annotation: object, *, mark: str) -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and not typing.get_args(annotation) and issubclass(annotation, BaseModel):
        yield annotation, mark
    origin = typing.get_origin(annotation)
    inner_mark = "[]." if origin is list else ".NAME." if origin is dict else mark
    for argument in typing.get_args(annotation):
        yield from _inner_models(argument, mark=inner_mark)


def _need(field: FieldInfo, owner: type[BaseModel]) -> str:
    inner = field.annotation
    if issubclass(owner, Settings) or (isinstance(inner, type) and issubclass(inner, Settings)):
        return "*inherited*"
    if field.is_required():
        return "**required**"
    if isinstance(field.json_schema_extra, dict) and "default" in field.json_schema_extra:
        return f"`{field.json_schema_extra['default']}`"
    default = field.get_default(call_default_factory=True)
    if default is None or default is PydanticUndefined or isinstance(default, BaseModel) or default in ("", [], {}):
        return ""
    return f"`{default}`"


def _type(field: FieldInfo) -> str:
    # pydantic keeps what an Annotated alias adds in the metadata; a schema given there names itself or a unit.
    for item in field.metadata:
        given = getattr(item, "json_schema", None)
        if isinstance(given, dict) and "title" in given:
            return str(given["title"])
        if isinstance(given, dict) and "examples" in given:
            return "CPUs" if "500m" in given["examples"] else "size"
    return _described(field.annotation)


def _described(annotation: object) -> str:
    arguments = [argument for argument in typing.get_args(annotation) if argument is not types.NoneType]
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _described(arguments[0])
    if origin is typing.Literal:
        return f"`{arguments[0]}`"
    if origin is list:
        return f"list of {_plural(_described(arguments[0]))}"
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(_described(argument) for argument in arguments)
    if isinstance(annotation, EnumType):
        return " \\| ".join(f"`{item.value}`" for item in annotation)  # type: ignore[var-annotated]  # any enum
    return _NAMES.get(annotation, "mapping")


def _plural(noun: str) -> str:
    return noun if noun in {"text"} or "`" in noun else f"{noun}s"
