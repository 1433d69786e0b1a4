"""Reads what a migration depends on from both servers; what is tried at the target is taken back.

Every query names pg_catalog alone and runs no code of the tenant; what belongs to an extension comes with it.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, Query, rows, scalar
from provisioner.datastore.postgres_row_security import EVENT_TRIGGER
from provisioner.migration.postgres_catalogue_queries import FIRST_OWN_OID
from provisioner.migration.postgres_facts import (
    FiringTrigger,
    ForeignTransaction,
    LocaleFacts,
    ServerFacts,
    SourceFacts,
    TableName,
    TargetFacts,
)
from provisioner.migration.postgres_relay import PARAMETER_RIGHTS_SINCE
from provisioner.migration.postgres_survey_tables import OWN_OBJECTS, read_tables

SETTINGS = (
    "wal_level",
    "max_wal_senders",
    "max_replication_slots",
    "max_slot_wal_keep_size",
    "max_connections",
    "superuser_reserved_connections",
    "max_worker_processes",
    "max_logical_replication_workers",
    "max_sync_workers_per_subscription",
    "max_parallel_maintenance_workers",
    "wal_sender_timeout",
    "default_table_access_method",
)
COLLATION_VERSION_SINCE = 150000
SUBSCRIPTION_RIGHT_SINCE = 160000
# The one that secures the rows of members goes with them, and is no surprise to anybody.
_EVENT_TRIGGERS = sql.SQL("SELECT evtname::text FROM pg_event_trigger WHERE evtname <> {} ORDER BY 1").format(
    EVENT_TRIGGER
)
_SLOT_NAMES = "SELECT slot_name::text FROM pg_replication_slots WHERE database = current_database() ORDER BY 1"

_FREE = """
    SELECT current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),
           current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""
_LOCALE = """
    SELECT pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text, {} FROM pg_database
    WHERE datname = current_database()
"""
_FOREIGN_TABLES = f"""
    SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'f' AND {OWN_OBJECTS} ORDER BY 1, 2
"""  # noqa: S608 - constants of this package
_COUNTS = f"""
    SELECT count(*) FILTER (WHERE relkind = 'S'), count(*) FILTER (WHERE relkind = 'm')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OWN_OBJECTS}
"""  # noqa: S608 - constants of this package
_FIRING = f"""
    SELECT n.nspname::text, c.relname::text, t.tgname::text, t.tgenabled::text
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE t.tgenabled IN ('A', 'R') AND NOT t.tgisinternal AND {OWN_OBJECTS} ORDER BY 1, 2, 3
"""  # noqa: S608 - constants of this package
_INVALID = f"""
    SELECT n.nspname::text, c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT i.indisvalid AND c.relkind = 'i' AND {OWN_OBJECTS}
    ORDER BY 1, 2
"""  # noqa: S608 - constants of this package
# Everything in the database that a role owns, or on which it has a right; what roles there are besides is no matter.
_ROLES = """
    SELECT DISTINCT r.rolname::text, r.rolsuper FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
    WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype IN ('o', 'a', 'r')
      AND (d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
           OR (d.classid = 'pg_database'::regclass
               AND d.objid = (SELECT oid FROM pg_database WHERE datname = current_database())))
    ORDER BY 1
"""
# CREATE_REPLICATION_SLOT waits for every transaction of the server that has an id (PostgreSQL manual,
# "Logical Decoding Concepts"; a prepared one too).
_TRANSACTIONS = """
    SELECT datname::text, usename::text, extract(epoch FROM now() - xact_start)::float8, pid, NULL::text
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
    UNION ALL
    SELECT database::text, owner::text, extract(epoch FROM now() - prepared)::float8, NULL::int, gid
    FROM pg_prepared_xacts
    ORDER BY 3 DESC
"""
_BASE_BACKUP = """
    SELECT EXISTS (SELECT FROM pg_hba_file_rules WHERE error IS NULL AND 'replication' = ANY (database)
                   AND 'all' = ANY (user_name) AND auth_method <> 'reject')
"""
_UNJOINED = f"""
    SELECT DISTINCT pg_get_userbyid(c.relowner)::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT pg_has_role(c.relowner, 'USAGE') AND {OWN_OBJECTS} ORDER BY 1
"""  # noqa: S608 - constants of this package
_ADMINISTRATORS = """
    SELECT rolname::text FROM pg_roles
    WHERE rolsuper OR rolname = current_user
       OR oid = (SELECT datdba FROM pg_database WHERE datname = current_database()) ORDER BY 1
"""
_SUPERUSER_MADE = f"""
    SELECT o.type || ' ' || o.identity FROM (
        SELECT 'pg_opclass'::regclass::oid, oid FROM pg_opclass UNION ALL
        SELECT 'pg_opfamily'::regclass::oid, oid FROM pg_opfamily UNION ALL
        SELECT 'pg_ts_parser'::regclass::oid, oid FROM pg_ts_parser UNION ALL
        SELECT 'pg_ts_template'::regclass::oid, oid FROM pg_ts_template UNION ALL
        SELECT 'pg_foreign_data_wrapper'::regclass::oid, oid FROM pg_foreign_data_wrapper UNION ALL
        SELECT 'pg_event_trigger'::regclass::oid, oid FROM pg_event_trigger WHERE evtname <> %(own)s UNION ALL
        SELECT 'pg_publication'::regclass::oid, oid FROM pg_publication WHERE puballtables UNION ALL
        SELECT 'pg_default_acl'::regclass::oid, d.oid FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole
            WHERE r.rolsuper OR r.oid = (SELECT datdba FROM pg_database WHERE datname = current_database()) UNION ALL
        SELECT 'pg_type'::regclass::oid, oid FROM pg_type WHERE typtype = 'b' AND typcategory <> 'A' UNION ALL
        SELECT 'pg_proc'::regclass::oid, p.oid FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
            WHERE NOT l.lanpltrusted
    ) AS made (class, oid) CROSS JOIN LATERAL pg_identify_object(made.class, made.oid, 0) o
    WHERE made.oid >= {FIRST_OWN_OID}
      AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = made.class AND x.objid = made.oid
                      AND x.deptype IN ('e', 'i'))
    ORDER BY 1
"""  # noqa: S608 - a constant
_SUPERUSER_SETTINGS = """
    SELECT DISTINCT split_part(one, '=', 1) FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) one
    LEFT JOIN pg_settings g ON g.name = split_part(one, '=', 1) LEFT JOIN pg_roles r ON r.oid = s.setrole
    WHERE coalesce(g.context, 'superuser') = 'superuser' AND (s.setrole = 0 OR NOT r.rolsuper)
      AND (s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
           OR (s.setdatabase = 0 AND r.rolname = ANY (%(names)s)))
    ORDER BY 1
"""
_ADMINISTERED = """
    SELECT rolname::text FROM pg_roles
    WHERE NOT rolsuper AND (%(every)s OR rolname = current_user OR pg_has_role(oid, 'MEMBER WITH ADMIN OPTION'))
"""
_LARGE_OBJECTS = "SELECT count(*) FROM pg_largeobject_metadata"
_LARGE_OBJECT_BYTES = "SELECT pg_relation_size('pg_catalog.pg_largeobject')"
_COLLATIONS = """
    SELECT DISTINCT l.collname::text FROM pg_attribute a JOIN pg_collation l ON l.oid = a.attcollation
    JOIN pg_class c ON c.oid = a.attrelid WHERE c.oid >= 16384 AND l.oid < 16384 AND l.collname <> 'default'
"""


def survey_source(connection: Connection) -> SourceFacts:
    """The facts of the connection's database and its server. Raises psycopg.Error, which ``session`` translates."""
    sequences, views = rows(connection, _COUNTS)[0]
    roles = rows(connection, _ROLES)
    server = survey_server(connection)
    return SourceFacts(
        server=server,
        database=str(scalar(connection, "SELECT current_database()")),
        locale=_locale(connection),
        bytes=int(scalar(connection, "SELECT pg_database_size(current_database())")),
        tables=read_tables(connection),
        extensions=MappingProxyType(
            _pairs(connection, "SELECT extname::text, extversion FROM pg_extension ORDER BY 1")
        ),
        collations=frozenset(_names(connection, _COLLATIONS)),
        foreign_tables=_relations(connection, _FOREIGN_TABLES),
        large_objects=int(scalar(connection, _LARGE_OBJECTS)),
        large_object_bytes=int(scalar(connection, _LARGE_OBJECT_BYTES)),
        sequences=sequences,
        materialised_views=views,
        firing_triggers=_firing_triggers(connection),
        event_triggers=_names(connection, _EVENT_TRIGGERS),
        publications=_names(connection, "SELECT pubname::text FROM pg_publication ORDER BY 1"),
        subscriptions=_subscriptions(connection),
        slots=_names(connection, _SLOT_NAMES),
        role_names=tuple(name for name, _ in roles),
        superuser_owners=tuple(name for name, superuser in roles if superuser),
        administrators=_names(connection, _ADMINISTRATORS),
        unjoined_owners=_names(connection, _UNJOINED),
        superuser_made=_names(connection, _SUPERUSER_MADE, {"own": EVENT_TRIGGER}),
        superuser_settings=_names(connection, _SUPERUSER_SETTINGS, {"names": [name for name, _ in roles]}),
        invalid_indexes=_relations(connection, _INVALID),
        transactions=read_transactions(connection),
        base_backup_open=server.superuser and bool(scalar(connection, _BASE_BACKUP)),
    )


def survey_target(connection: Connection, *, source: SourceFacts | None = None) -> TargetFacts:
    """The facts of the database that is to be filled, and of its server.

    Whether the extensions of ``source`` may be made there is tried, and taken back at once: servers permit what no
    catalogue tells.
    """
    available = "SELECT name::text, default_version FROM pg_available_extensions ORDER BY 1"
    relations = sql.SQL(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {}"
    ).format(sql.SQL(OWN_OBJECTS))
    server = survey_server(connection)
    creates_roles = bool(
        scalar(connection, "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    )
    # Before version 16 who makes roles administers all that are no superusers.
    every = creates_roles and server.version < SUBSCRIPTION_RIGHT_SINCE
    return TargetFacts(
        server=server,
        database=str(scalar(connection, "SELECT current_database()")),
        locale=_locale(connection),
        available_extensions=MappingProxyType(_pairs(connection, available)),
        relations=int(scalar(connection, relations)),
        collations=frozenset(_names(connection, "SELECT DISTINCT collname::text FROM pg_collation")),
        subscriptions=_subscriptions(connection),
        creates_roles=creates_roles,
        administered=frozenset(_names(connection, _ADMINISTERED, {"every": every})),
        refused_extensions=frozenset(
            _refused(connection, source.extensions) if source and not server.superuser else ()
        ),
        refused_settings=frozenset(
            name for name in (source.superuser_settings if source else ()) if not _may_set(connection, name)
        ),
        owns_database=bool(
            scalar(
                connection,
                "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()",
            )
        ),
    )


def _refused(connection: Connection, extensions: Iterable[str]) -> Iterator[str]:
    """Which of ``extensions`` the login is not permitted to make; that a machine does not have one is another fact."""
    for name in extensions:
        try:
            with connection.transaction(force_rollback=True):
                made = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} CASCADE")
                connection.execute(made.format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            yield name
        except psycopg.Error:
            if connection.closed:
                raise


def survey_server(connection: Connection) -> ServerFacts:
    """The server's version, settings and room, and the rights of the login."""
    superuser, replication, bypasses = rows(
        connection, "SELECT rolsuper, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    )[0]
    slots, senders, connections = rows(connection, _FREE)[0]
    version = connection.info.server_version
    granted = "SELECT pg_has_role('pg_create_subscription', 'USAGE')"
    readable = "SELECT has_table_privilege(%(table)s, 'SELECT')"
    return ServerFacts(
        version=version,
        superuser=superuser,
        replication=replication,
        settings=MappingProxyType(_settings(connection)),
        free_slots=slots,
        free_senders=senders,
        free_connections=connections,
        creates_subscriptions=superuser or (version >= SUBSCRIPTION_RIGHT_SINCE and bool(scalar(connection, granted))),
        roles=frozenset(_names(connection, "SELECT rolname::text FROM pg_roles")),
        bypasses_row_security=bypasses,
        reads_large_objects=bool(scalar(connection, readable, {"table": "pg_catalog.pg_largeobject"})),
        reads_verifiers=bool(scalar(connection, readable, {"table": "pg_catalog.pg_authid"})),
        keeps_triggers=_may_set(connection, "session_replication_role"),
        lets_keep_triggers=_may_set(connection, "session_replication_role", right="SET WITH GRANT OPTION"),
    )


def _may_set(connection: Connection, parameter: str, *, right: str = "SET") -> bool:
    """Whether the login may set what else only a superuser may."""
    if connection.info.server_version < PARAMETER_RIGHTS_SINCE:
        return bool(scalar(connection, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"))
    query = "SELECT has_parameter_privilege(%(name)s, %(right)s)"
    return bool(scalar(connection, query, {"name": parameter, "right": right}))


def read_role_names(connection: Connection) -> tuple[str, ...]:
    """All roles that own something in the connection's database or have a right in it or on it."""
    return tuple(name for name, _ in rows(connection, _ROLES))


def read_transactions(connection: Connection) -> tuple[ForeignTransaction, ...]:
    """Transactions anywhere in the server that have an id, the oldest first."""
    return tuple(
        ForeignTransaction(database=database or "", user=user or "", age_seconds=age or 0.0, pid=pid, prepared=gid)
        for database, user, age, pid, gid in rows(connection, _TRANSACTIONS)
    )


def _settings(connection: Connection) -> dict[str, str]:
    query = "SELECT name::text, current_setting(name) FROM pg_settings WHERE name = ANY (%(names)s)"
    return dict(rows(connection, query, {"names": list(SETTINGS)}))


def _locale(connection: Connection) -> LocaleFacts:
    known = connection.info.server_version >= COLLATION_VERSION_SINCE
    columns = "datlocprovider::text, pg_database_collation_actual_version(oid)" if known else "'c', NULL"
    encoding, collate, ctype, provider, version = rows(connection, sql.SQL(_LOCALE).format(sql.SQL(columns)))[0]
    return LocaleFacts(
        encoding=encoding, collate=collate, ctype=ctype, provider=provider, collation_version=version or None
    )


def _subscriptions(connection: Connection) -> tuple[str, ...]:
    # The columns named here are open to everybody; the connection string is not.
    return _names(
        connection,
        """SELECT s.subname::text FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
           WHERE d.datname = current_database() ORDER BY 1""",
    )


def _firing_triggers(connection: Connection) -> tuple[FiringTrigger, ...]:
    return tuple(
        FiringTrigger(table=TableName(schema=schema, name=table), name=name, mode=mode)
        for schema, table, name, mode in rows(connection, _FIRING)
    )


def _relations(connection: Connection, query: Query) -> tuple[TableName, ...]:
    return tuple(TableName(schema=schema, name=name) for schema, name in rows(connection, query))


def _names(connection: Connection, query: Query, parameters: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    return tuple(name for (name,) in rows(connection, query, parameters))


def _pairs(connection: Connection, query: Query) -> dict[str, str]:
    return dict(rows(connection, query))
