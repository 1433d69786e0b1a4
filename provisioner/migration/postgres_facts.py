"""What a survey finds on the two PostgreSQL servers, as plain values: no decision is made here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

VERSION_FACTOR = 10000


@dataclass(frozen=True, kw_only=True, order=True)
class TableName:
    """A relation's schema and name, unquoted."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


class ReplicaIdentity(StrEnum):
    """pg_class.relreplident (PostgreSQL manual, "pg_class")."""

    DEFAULT = "d"
    NOTHING = "n"
    FULL = "f"
    INDEX = "i"


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """A column; ``comparable`` says whether its type has an equality, ``portable`` whether its binary form moves.

    ``identity`` means GENERATED ALWAYS AS IDENTITY: such a column takes no value from an UPDATE.
    """

    name: str
    type: str
    generated: bool = False
    identity: bool = False
    comparable: bool = True
    portable: bool = True


@dataclass(frozen=True, kw_only=True)
class TableFacts:
    """A table that holds rows itself: an ordinary table, a partition's leaf, or a parent by inheritance.

    ``pages`` are of 8 KiB, ``bytes`` with TOAST; ``key`` are the columns of the chosen replica identity, else of the
    primary key, else of the narrowest index that could be the identity. ``unique_indexes`` are all of those, best
    first.
    """

    name: TableName
    pages: int
    bytes: int
    rows: int
    columns: tuple[ColumnFacts, ...]
    identity: ReplicaIdentity = ReplicaIdentity.DEFAULT
    identity_index: str | None = None
    key: tuple[str, ...] = ()
    has_primary_key: bool = False
    unique_indexes: tuple[str, ...] = ()
    unlogged: bool = False
    forced_row_security: bool = False

    @property
    def copied_columns(self) -> tuple[str, ...]:
        """The columns whose values must be carried; the target computes the others."""
        return tuple(column.name for column in self.columns if not column.generated)

    @property
    def is_binary(self) -> bool:
        """Whether the binary form of COPY carries every column."""
        return all(column.portable for column in self.columns if not column.generated)


@dataclass(frozen=True, kw_only=True)
class ForeignTransaction:
    """A transaction that the creation of a slot would wait for; ``prepared`` names one without a session."""

    database: str
    user: str
    age_seconds: float
    pid: int | None = None
    prepared: str | None = None


@dataclass(frozen=True, kw_only=True)
class ServerFacts:
    """A server and what the login may do on it; None means that a limit is not known.

    What a superuser may is said by that alone. ``keeps_triggers``: it may keep them from firing (the parameter
    session_replication_role), ``lets_keep_triggers``: and give others that right; ``reads_verifiers``: of passwords.
    """

    version: int
    superuser: bool
    replication: bool
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    free_slots: int = 0
    free_senders: int = 0
    free_connections: int = 0
    creates_subscriptions: bool = False
    roles: frozenset[str] = frozenset()
    bypasses_row_security: bool = False
    reads_large_objects: bool = False
    keeps_triggers: bool = False
    lets_keep_triggers: bool = False
    reads_verifiers: bool = False

    @property
    def major(self) -> int:
        """The major version, such as 15."""
        return self.version // VERSION_FACTOR


@dataclass(frozen=True, kw_only=True)
class LocaleFacts:
    """How a database encodes and sorts text; ``collation_version`` is what the operating system has now."""

    encoding: str
    collate: str
    ctype: str
    provider: str
    collation_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class FiringTrigger:
    """A trigger that fires for replicated rows too (ENABLE REPLICA or ALWAYS)."""

    table: TableName
    name: str
    mode: str


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """The source's database and server, as far as a migration depends on them.

    ``administrators`` are superusers and who owns the database; ``superuser_made`` is what nobody but a superuser
    could make anew, ``superuser_settings`` what nobody else may set; ``unjoined_owners`` own tables, and the login has
    not their rights.
    """

    server: ServerFacts
    database: str
    locale: LocaleFacts
    bytes: int
    tables: tuple[TableFacts, ...]
    extensions: Mapping[str, str]
    collations: frozenset[str] = frozenset()
    foreign_tables: tuple[TableName, ...] = ()
    large_objects: int = 0
    large_object_bytes: int = 0
    sequences: int = 0
    materialised_views: int = 0
    firing_triggers: tuple[FiringTrigger, ...] = ()
    event_triggers: tuple[str, ...] = ()
    publications: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    role_names: tuple[str, ...] = ()
    superuser_owners: tuple[str, ...] = ()
    administrators: tuple[str, ...] = ()
    superuser_made: tuple[str, ...] = ()
    superuser_settings: tuple[str, ...] = ()
    unjoined_owners: tuple[str, ...] = ()
    invalid_indexes: tuple[TableName, ...] = ()
    transactions: tuple[ForeignTransaction, ...] = ()
    base_backup_open: bool = False


@dataclass(frozen=True, kw_only=True)
class TargetFacts:
    """The target's database and server; ``relations`` are those that it holds already.

    ``administered`` are roles that the login may change and join, ``refused_extensions`` and ``refused_settings`` those
    of the source that it may not make or set.
    """

    server: ServerFacts
    database: str
    locale: LocaleFacts
    available_extensions: Mapping[str, str]
    relations: int = 0
    collations: frozenset[str] = frozenset()
    subscriptions: tuple[str, ...] = ()
    creates_roles: bool = False
    owns_database: bool = False
    administered: frozenset[str] = frozenset()
    refused_extensions: frozenset[str] = frozenset()
    refused_settings: frozenset[str] = frozenset()


def quoted(identifier: str) -> str:
    """An identifier as SQL has it, always in quotes (PostgreSQL manual, "Identifiers and Key Words")."""
    escaped = identifier.replace('"', '""')
    return f'"{escaped}"'
