"""A digest of a database's own system tables: as long as it stays the same, nobody has changed the schema.

To read all definitions (postgres_catalogue.py) takes as long as there are things to be named; behind a fence everybody
waits for it. Two schemas that were compared just before need not be read again if neither has changed since. A change,
however it was made, writes a row of a system table: another version of it, with another ``xmin`` and place. What
changes without anybody's DDL is left out: statistics and files (``pg_class`` is looked at by those columns that define
something), temporary relations, and what the switch itself changes (triggers, the database's rights and settings).

A digest is comparable with an earlier one of the same database alone. It may change where nothing did (VACUUM FULL of a
system table); then the definitions are read. (PostgreSQL, 54.1 Overview of system catalogs; 5.5 System Columns.)
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows

_TEMPORARY = "(SELECT oid FROM pg_class WHERE relpersistence = 't')"
_TEMPORARY_SCHEMAS = "(SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_')"
_VERSION = "t.xmin::text || t.ctid::text"
# Which rows of a system table are another's than temporary relations'.
_KEPT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pg_aggregate": "true",
        "pg_attrdef": f"t.adrelid NOT IN {_TEMPORARY}",
        "pg_attribute": f"t.attrelid NOT IN {_TEMPORARY}",
        "pg_cast": "true",
        "pg_collation": "true",
        "pg_constraint": f"t.conrelid NOT IN {_TEMPORARY}",
        "pg_conversion": "true",
        "pg_default_acl": "true",
        "pg_description": "true",
        "pg_enum": "true",
        "pg_event_trigger": "true",
        "pg_extension": "true",
        "pg_foreign_server": "true",
        "pg_index": f"t.indrelid NOT IN {_TEMPORARY}",
        "pg_inherits": f"t.inhrelid NOT IN {_TEMPORARY}",
        "pg_language": "true",
        "pg_namespace": f"t.oid NOT IN {_TEMPORARY_SCHEMAS}",
        "pg_opclass": "true",
        "pg_operator": "true",
        "pg_opfamily": "true",
        "pg_partitioned_table": "true",
        "pg_policy": "true",
        "pg_proc": "true",
        "pg_publication": "true",
        "pg_publication_rel": "true",
        "pg_range": "true",
        "pg_rewrite": f"t.ev_class NOT IN {_TEMPORARY}",
        "pg_seclabel": "true",
        "pg_sequence": f"t.seqrelid NOT IN {_TEMPORARY}",
        "pg_statistic_ext": "true",
        "pg_transform": "true",
        "pg_ts_config": "true",
        "pg_ts_dict": "true",
        "pg_ts_parser": "true",
        "pg_ts_template": "true",
        "pg_type": f"t.typnamespace NOT IN {_TEMPORARY_SCHEMAS}",
    }
)
_RELATIONS = """ROW(t.oid, t.relname, t.relnamespace, t.relowner, t.relam, t.relpersistence, t.relkind,
    t.relrowsecurity, t.relforcerowsecurity, t.relreplident, t.relacl, t.reloptions, t.relpartbound)::text"""
# Members of an extension, and what belongs to a column; the rest follows from what depends.
_DEPENDS = f"""(t.deptype = 'e' OR t.deptype IN ('a', 'i') AND t.refobjsubid > 0)
    AND (t.classid <> 'pg_class'::regclass OR t.objid NOT IN {_TEMPORARY})
    AND (t.refclassid <> 'pg_class'::regclass OR t.refobjid NOT IN {_TEMPORARY})"""


def _summed(table: str, *, content: str, kept: str) -> str:
    return f"SELECT '{table}', count(*), sum(hashtextextended({content}, 0)) FROM {table} t WHERE {kept}"  # noqa: S608 - constants of this module


_QUERY: Final = " UNION ALL ".join(
    (
        *(_summed(table, content=_VERSION, kept=kept) for table, kept in _KEPT.items()),
        _summed("pg_class", content=_RELATIONS, kept="t.relpersistence <> 't'"),
        _summed("pg_depend", content="t::text", kept=_DEPENDS),
        # Definitions name roles, which another database may rename.
        _summed("pg_roles", content="t.oid || t.rolname", kept="true"),
    )
)
# What is not in the digest, and is compared by its definitions in any case.
OUTSIDE: Final = frozenset({"trigger", "database", "setting", "large object"})


def read_schema_digest(connection: Connection) -> str:
    """64 hex digits. To be read before the definitions that it shall stand for."""
    return hashlib.sha256(repr(sorted(rows(connection, sql.SQL(_QUERY)))).encode()).hexdigest()
