"""Owners on a target whose login is no superuser, as on managed servers.

pg_restore gives each thing to its owner as it makes it. Whoever is no superuser may give only to roles that it may
become, and only what the new owner may create where it lies, which rights restored later say (PostgreSQL manual, "ALTER
TABLE"). So there:

1. The login joins the roles that it has made (postgres_role_moves.py), and restores everything as its own.
2. Schemas are given away, then all else; for that their owners may create in each schema, and no longer than that.
3. Then rights are restored.

What belongs to an administrator of the source stays the login's: it administers the target.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.migration.postgres_schema import Restoring, described, kept_entries
from provisioner.naming import is_replication_name

# The types of pg_identify_object that have an owner of their own -> what ALTER calls them.
_WORDS: Final = MappingProxyType(
    {
        "schema": "SCHEMA",
        "table": "TABLE",
        "view": "VIEW",
        "materialized view": "MATERIALIZED VIEW",
        "sequence": "SEQUENCE",
        "foreign table": "FOREIGN TABLE",
        "function": "ROUTINE",
        "procedure": "ROUTINE",
        "aggregate": "ROUTINE",
        "type": "TYPE",
        "collation": "COLLATION",
        "conversion": "CONVERSION",
        "operator": "OPERATOR",
        "text search dictionary": "TEXT SEARCH DICTIONARY",
        "text search configuration": "TEXT SEARCH CONFIGURATION",
        "server": "SERVER",
        "statistics object": "STATISTICS",
        "publication": "PUBLICATION",
    }
)
# Made after the rows.
LATER: Final = frozenset({"statistics object", "publication"})
# A sequence of a column follows its table, a multirange its range, and an extension's things their extension.
_OWNED = """
    SELECT o.type, o.schema, o.identity, r.rolname::text
    FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
    CROSS JOIN LATERAL pg_identify_object(s.classid, s.objid, s.objsubid) o
    WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o' AND o.type = ANY (%(types)s)
      AND (o.schema IS NULL OR o.schema !~ '^pg_')
      AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = s.classid AND x.objid = s.objid AND x.deptype = 'e')
      AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_depend x ON x.classid = s.classid AND x.objid = c.oid
                      WHERE s.classid = 'pg_class'::regclass AND c.oid = s.objid AND c.relkind = 'S'
                        AND x.deptype IN ('a', 'i'))
      AND NOT EXISTS (SELECT FROM pg_type t WHERE s.classid = 'pg_type'::regclass AND t.oid = s.objid
                        AND t.typtype = 'm')
    ORDER BY o.type <> 'schema', 1, 3
"""
_RIGHTS = ("ACL ", "DEFAULT ACL ")
# Only a superuser makes one; the platform's own secures new tables at once, which an apply does, too.
_EVENT_TRIGGERS = ("EVENT TRIGGER ", "COMMENT - EVENT TRIGGER ")


@dataclass(frozen=True, kw_only=True)
class Owned:
    """Something of the source and its owner; names are quoted as SQL needs it, ``schema`` is None outside of any."""

    type: str
    schema: str | None
    identity: str
    owner: str


def read_owned(connection: Connection, *, administrators: Collection[str]) -> tuple[Owned, ...]:
    """What is to be given away, schemas first; nothing of ``administrators``, nor of the migration itself."""
    found = rows(connection, _OWNED, {"types": list(_WORDS)})
    return tuple(
        Owned(type=kind, schema=schema, identity=identity, owner=owner)
        for kind, schema, identity, owner in found
        if owner not in administrators and not is_replication_name(identity)
    )


def give_to_owners(connection: Connection, owned: Iterable[Owned]) -> None:
    """Give each thing to its owner, in one transaction. Raises NotPermitted if the login may not become an owner."""
    wanted = tuple(owned)
    database = str(scalar(connection, "SELECT quote_ident(current_database())"))
    on_database = {(database, one.owner) for one in wanted if not _creates_in_database(connection, one.owner)}
    with connection.transaction(), _may_create(connection, "DATABASE", on_database):
        for one in wanted:
            if one.type == "schema":
                _give(connection, one)
        with _may_create(connection, "SCHEMA", _guests(connection, wanted)):
            for one in wanted:
                if one.type != "schema":
                    _give(connection, one)


@contextmanager
def _may_create(connection: Connection, kind: str, where: Collection[tuple[str, str]]) -> Iterator[None]:
    """Let roles create in schemas, or in the database (quoted as SQL needs it), while the block runs."""
    for place, role in where:
        grant = sql.SQL("GRANT CREATE ON {} {} TO {}")
        connection.execute(grant.format(sql.SQL(kind), sql.SQL(place), sql.Identifier(role)))
    yield
    for place, role in where:
        revoke = sql.SQL("REVOKE CREATE ON {} {} FROM {}")
        connection.execute(revoke.format(sql.SQL(kind), sql.SQL(place), sql.Identifier(role)))


def rights_alone(*, administrators: Collection[str]) -> Restoring:
    """Rights alone; default rights of ``administrators`` are left."""
    return Restoring(kept=lambda lines: _rights(lines, administrators=administrators))


def _things(lines: Sequence[str]) -> Iterator[str]:
    return (line for line in kept_entries(lines) if not described(line).startswith((*_RIGHTS, *_EVENT_TRIGGERS)))


def _rights(lines: Sequence[str], *, administrators: Collection[str]) -> Iterator[str]:
    for line in lines:
        typed = described(line)
        of_administrator = typed.startswith("DEFAULT ACL ") and typed.rstrip().endswith(
            tuple(f" {one}" for one in administrators)
        )
        # Rights on what PostgreSQL itself brings are a superuser's to give.
        if typed.startswith(_RIGHTS) and not of_administrator and not typed.startswith("ACL pg_catalog "):
            yield line


# Everything but rights, as the login's own.
AS_OWN: Final = Restoring(kept=_things, options=("--no-owner",))


def _guests(connection: Connection, wanted: Sequence[Owned]) -> set[tuple[str, str]]:
    """Who must create in a schema, and may not; a right that somebody has is not taken away afterwards."""
    query = "SELECT has_schema_privilege(%(role)s, %(schema)s::regnamespace, 'CREATE')"
    return {
        (schema, role)
        for schema, role in {(one.schema, one.owner) for one in wanted if one.schema is not None}
        if not scalar(connection, query, {"role": role, "schema": schema})
    }


def _creates_in_database(connection: Connection, role: str) -> bool:
    query = "SELECT has_database_privilege(%(role)s, current_database(), 'CREATE')"
    return bool(scalar(connection, query, {"role": role}))


def _give(connection: Connection, one: Owned) -> None:
    # The source's server has written the identity, quoted as it must be.
    kind, identity = sql.SQL(_WORDS[one.type]), sql.SQL(one.identity)
    connection.execute(sql.SQL("ALTER {} {} OWNER TO {}").format(kind, identity, sql.Identifier(one.owner)))
