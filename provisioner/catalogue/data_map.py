"""The data map of a solution: whose is which row and which object. The document ``data-map.yaml`` beside the chart.

A member's table has a path of columns. Each but the last is a foreign key to the table where the path goes on; the last
one says whose the row is. So ``[company]`` is a column of the table itself, and ``[move, company]`` means the column
``company`` of the table that ``move`` refers to. Which table that is, the database knows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from provisioner.catalogue.reading import read_document
from provisioner.descriptor.checking import PathParts
from provisioner.descriptor.document import Document
from provisioner.descriptor.fields import shown

DATA_MAP_FILE = "data-map.yaml"
MEMBER = "{member}"
# Names that need quotes for a hyphen alone, as Tryton gives to tables between two others.
IDENTIFIER = r"^[a-z_][a-z0-9_-]{0,62}$"
PREFIX = r"^[A-Za-z0-9._{}-]+(/[A-Za-z0-9._{}-]+)*/$"

Columns = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DataMap:
    """Whose data are in a solution's tables and below its prefixes of the bucket.

    ``members`` maps a table to its path of columns; ``shared`` are tables that all members use; a prefix of
    ``member_objects`` holds ``{member}`` in the place of the member's id.
    """

    source: Path
    members: Mapping[str, Columns]
    shared: frozenset[str]
    member_objects: tuple[str, ...]
    shared_objects: tuple[str, ...]

    def unmapped(self, tables: frozenset[str]) -> tuple[str, ...]:
        """Those of ``tables`` that the map does not speak of, sorted."""
        return tuple(sorted(tables - self.shared - set(self.members)))


_Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
_Prefix = Annotated[str, Field(pattern=PREFIX)]


class _Tables(Document):
    members: dict[_Identifier, Annotated[list[_Identifier], Field(min_length=1, max_length=8)]] = Field(default={})
    shared: list[_Identifier] = Field(default=[])


class _Objects(Document):
    members: list[_Prefix] = Field(default=[])
    shared: list[_Prefix] = Field(default=[])


class _Spec(Document):
    tables: _Tables = _Tables.model_construct()
    objects: _Objects = _Objects.model_construct()


class _DataMapDocument(Document):
    api_version: Literal["coopctl.dev/v1"]
    kind: Literal["DataMap"]
    spec: _Spec


def read_data_map(file: Path) -> DataMap:
    """Read the data map in ``file``; raises InvalidDescriptor with every problem."""
    read = read_document(file, model=_DataMapDocument, what="data map")
    spec = read.content.spec
    problems = [read.source.diagnostic(path, message) for path, message in _contradictions(spec)]
    if problems:
        raise read.source.invalid(problems)
    return DataMap(
        source=file,
        members=MappingProxyType({table: tuple(path) for table, path in sorted(spec.tables.members.items())}),
        shared=frozenset(spec.tables.shared),
        member_objects=tuple(sorted(spec.objects.members)),
        shared_objects=tuple(sorted(spec.objects.shared)),
    )


def _contradictions(spec: _Spec) -> Iterator[tuple[PathParts, str]]:
    tables, objects = spec.tables, spec.objects
    for table in sorted(set(tables.members) & set(tables.shared)):
        yield ("spec", "tables", "members", table), f"the table {table} is both a member's and shared"
    for index, prefix in enumerate(objects.members):
        if prefix.split("/").count(MEMBER) != 1:
            yield (
                ("spec", "objects", "members", index),
                f"the prefix {shown(prefix)} does not say whose it is: {MEMBER}",
            )
    for index, prefix in enumerate(objects.shared):
        if MEMBER in prefix:
            yield ("spec", "objects", "shared", index), f"the shared prefix {shown(prefix)} names a member"
