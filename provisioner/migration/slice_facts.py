"""What a member's slice depends on, as plain values: tables as applications know them, and who refers to whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from provisioner.migration.postgres_facts import TableFacts, TableName


@dataclass(frozen=True, kw_only=True)
class ColumnKind:
    """What a column is made of, domains resolved; ``builtin``: of PostgreSQL itself; ``required``: never NULL."""

    base: str
    builtin: bool = True
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table with all of its partitions, if it has any; ``facts`` are those of all of them together.

    ``foreign``: a partition of it lies on another server.
    """

    facts: TableFacts
    owner: str
    partitioned: bool = False
    foreign: bool = False
    kinds: Mapping[str, ColumnKind] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> TableName:
        """Its name."""
        return self.facts.name

    def requires(self, column: str) -> bool:
        """Whether the column may not be NULL."""
        return column in self.kinds and self.kinds[column].required


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A column that refers to another one, and the operator that finds them equal.

    ``trusted``: comparing them runs no code but PostgreSQL's own and that of an extension.
    """

    column: str
    parent_column: str
    operator_schema: str = "pg_catalog"
    operator: str = "="
    trusted: bool = True


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """Rows of ``child`` refer to rows of ``parent``.

    A partition may have a foreign key of its own, or be referred to alone: it is declared ``on`` one relation and leads
    ``to`` one, which belong to child and parent or are these.
    """

    name: str
    child: TableName
    parent: TableName
    on: TableName
    to: TableName
    pairs: tuple[KeyPair, ...]
    definition: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that refer."""
        return tuple(pair.column for pair in self.pairs)

    @property
    def trusted(self) -> bool:
        """Whether it can be followed without running a tenant's code."""
        return all(pair.trusted for pair in self.pairs)

    def __str__(self) -> str:
        return f"{self.on} ({', '.join(self.columns)}) -> {self.to}"


@dataclass(frozen=True, kw_only=True)
class SliceFacts:
    """All tables of a database, by name, and all foreign keys between them."""

    relations: Mapping[TableName, Relation]
    foreign_keys: tuple[ForeignKey, ...]
