"""Row security for `memberLayout: column`: the reader, and whoever inherits its rights, sees the rows of its members.

A schema ``coopctl`` in the tenant's database, which is the administrator's, holds all of it:

- ``member_access`` says which members' rows a role may see: each member's own role those of the member. A login that
  belongs to no such role sees no member's row. Nobody of the tenant can read or write the table; ``my_members()`` tells
  a session its own.
- ``condition(table)`` says which rows are meant. A table with the member column: rows with such a value. A table
  without it that refers to such tables (directly or through others): rows whose parents may all be seen. All others
  are shared by the members.
- ``secure(table)`` switches row security on and makes two policies: one lets application and reader see rows at all,
  the other, a restrictive one that no further policy can widen, bounds the reader. The application is trusted with its
  whole cooperative; owner and migration role own the tables, so that no policy binds them.
- An event trigger calls it for every new or changed table, in the transaction that makes it. It takes views away from
  the reader unless they are made WITH (security_invoker): others read with their owner's rights, past every policy.

The functions run as whoever makes a table, so that nothing runs with rights that the caller lacks; ``my_members`` alone
is SECURITY DEFINER, with a fixed query. An event trigger needs a superuser: without, a new table is secured by the next
`apply`. A restore into a tenant's database brings its policies along: PGOPTIONS='-c coopctl.restoring=on' keeps the
trigger from making them before. (PostgreSQL manual, "Row Security Policies", CREATE POLICY, CREATE EVENT TRIGGER.)
"""

import hashlib

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.datastore.postgres_privileges import PLATFORM_SCHEMA
from provisioner.datastore.postgres_roles import is_superuser
from provisioner.errors import NotOurs
from provisioner.plan.resources import PostgresGrants

EVENT_TRIGGER = "coopctl_member_rows"

_DEFINITIONS = """
CREATE SCHEMA IF NOT EXISTS coopctl;
REVOKE ALL ON SCHEMA coopctl FROM PUBLIC;
CREATE TABLE IF NOT EXISTS coopctl.member_access (
    role name NOT NULL, member text NOT NULL, PRIMARY KEY (role, member)
);
CREATE OR REPLACE FUNCTION coopctl.my_members() RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH RECURSIVE mine (oid) AS (
        SELECT oid FROM pg_roles WHERE rolname = session_user
        UNION SELECT m.roleid FROM pg_auth_members m JOIN mine ON m.member = mine.oid
    )
    SELECT coalesce(array_agg(DISTINCT a.member), '{{}}') FROM mine JOIN pg_roles r ON r.oid = mine.oid
    JOIN coopctl.member_access a ON a.role = r.rolname
$body$;
CREATE OR REPLACE FUNCTION coopctl.condition(relation oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    about pg_class;
    kind oid;
    parents text;
BEGIN
    SELECT c.* INTO about FROM pg_class c WHERE c.oid = relation AND c.relkind IN ('r', 'p')
        AND c.relpersistence <> 't' AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = {owner});
    IF NOT FOUND THEN RETURN NULL; END IF;
    SELECT atttypid INTO kind FROM pg_attribute WHERE attrelid = relation AND attname = {column} AND NOT attisdropped;
    IF kind IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype) THEN
        RETURN format('%I = ANY ((SELECT coopctl.my_members())::%s[])', {column}, kind::regtype);
    ELSIF kind IS NOT NULL THEN
        RETURN format('%I::text = ANY ((SELECT coopctl.my_members())::text[])', {column});
    END IF;
    SELECT string_agg(format('(%s OR EXISTS (SELECT FROM %s AS coopctl_parent WHERE %s))',
                             f.nothing, f.parent, f.joined), ' AND ' ORDER BY f.conname)
           || format(' AND NOT (%s)', string_agg(f.nothing, ' AND ' ORDER BY f.conname))
    INTO parents FROM (
        SELECT k.conname, k.confrelid::regclass AS parent,
               string_agg(format('coopctl_parent.%I OPERATOR(%I.%s) %I.%I', p.attname, n.nspname, o.oprname,
                                 about.relname, a.attname), ' AND ' ORDER BY i) AS joined,
               '(' || string_agg(format('%I.%I IS NULL', about.relname, a.attname), ' OR ' ORDER BY i) || ')' AS nothing
        FROM pg_constraint k CROSS JOIN generate_subscripts(k.conkey, 1) AS i
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[i]
        JOIN pg_attribute p ON p.attrelid = k.confrelid AND p.attnum = k.confkey[i]
        JOIN pg_operator o ON o.oid = k.conpfeqop[i] JOIN pg_namespace n ON n.oid = o.oprnamespace
        WHERE k.conrelid = relation AND k.contype = 'f' AND k.confrelid <> relation
          AND EXISTS (SELECT FROM pg_policy WHERE polrelid = k.confrelid AND polname = 'coopctl_member')
        GROUP BY 1, 2) AS f;
    RETURN parents;
END $body$;
CREATE OR REPLACE FUNCTION coopctl.secure(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    wanted text := coopctl.condition(relation);
    before text := coalesce(current_setting('coopctl.restoring', true), '');
    child oid;
BEGIN
    IF wanted IS NULL OR coopctl.is_secure(relation, wanted) THEN RETURN; END IF;
    PERFORM set_config('coopctl.restoring', 'on', true);
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation::regclass);
    EXECUTE format('DROP POLICY IF EXISTS coopctl_rows ON %s', relation::regclass);
    EXECUTE format('DROP POLICY IF EXISTS coopctl_member ON %s', relation::regclass);
    EXECUTE format('CREATE POLICY coopctl_rows ON %s TO %I, %I USING (true) WITH CHECK (true)',
                   relation::regclass, {application}, {reader});
    EXECUTE format('CREATE POLICY coopctl_member ON %s AS RESTRICTIVE TO %I USING (%s)',
                   relation::regclass, {reader}, wanted);
    EXECUTE format('COMMENT ON POLICY coopctl_member ON %s IS %L', relation::regclass,
                   wanted || E'\\n' || coopctl.said(relation));
    FOR child IN SELECT DISTINCT conrelid FROM pg_constraint WHERE confrelid = relation AND contype = 'f' LOOP
        PERFORM coopctl.secure(child);
    END LOOP;
    PERFORM set_config('coopctl.restoring', before, true);
END $body$;
CREATE OR REPLACE FUNCTION coopctl.said(relation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT string_agg(format('%s %s %s %s %s %s', polname, polcmd, polpermissive, polroles::regrole[],
                             pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)),
                      E'\\n' ORDER BY polname)
    FROM pg_policy WHERE polrelid = relation AND polname IN ('coopctl_rows', 'coopctl_member')
$body$;
CREATE OR REPLACE FUNCTION coopctl.is_secure(relation oid, wanted text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT c.relrowsecurity
       AND coalesce(obj_description(p.oid, 'pg_policy') = wanted || E'\\n' || coopctl.said(relation), false)
    FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'coopctl_member' WHERE c.oid = relation
$body$;
CREATE OR REPLACE FUNCTION coopctl.on_ddl() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    made record;
BEGIN
    IF current_setting('coopctl.restoring', true) = 'on' THEN RETURN; END IF;
    FOR made IN SELECT DISTINCT c.oid, c.relkind FROM pg_event_trigger_ddl_commands() d
                JOIN pg_class c ON c.oid = d.objid WHERE d.classid = 'pg_class'::regclass LOOP
        IF made.relkind IN ('r', 'p') THEN
            PERFORM coopctl.secure(made.oid);
        ELSIF coopctl.is_closed(made.oid) THEN
            EXECUTE format('REVOKE ALL ON %s FROM %I', made.oid::regclass, {reader});
        END IF;
    END LOOP;
END $body$;
CREATE OR REPLACE FUNCTION coopctl.is_closed(relation oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT c.relkind IN ('m', 'f') OR c.relkind = 'v' AND NOT coalesce(
        (SELECT bool_or(option_value::boolean) FROM pg_options_to_table(c.reloptions)
         WHERE option_name = 'security_invoker'), false)
    FROM pg_class c WHERE c.oid = relation AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = {owner})
$body$;
GRANT USAGE ON SCHEMA coopctl TO {owner_role};
"""
_TRIGGER = """
CREATE EVENT TRIGGER coopctl_member_rows ON ddl_command_end
WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'CREATE VIEW', 'ALTER VIEW',
             'CREATE MATERIALIZED VIEW', 'CREATE FOREIGN TABLE')
EXECUTE FUNCTION coopctl.on_ddl()
"""
_SCHEMA_OWNER = """
    SELECT r.rolname, r.rolsuper OR r.rolname = current_user, obj_description(n.oid, 'pg_namespace')
    FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner WHERE n.nspname = %(schema)s
"""
_TRIGGER_IS_ON = "SELECT true FROM pg_event_trigger WHERE evtname = %(name)s AND evtenabled IN ('O', 'A')"
_INSECURE = """
    SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
         LATERAL (SELECT coopctl.condition(c.oid) OFFSET 0) AS w (wanted)
    WHERE c.relkind IN ('r', 'p') AND w.wanted IS NOT NULL AND NOT coopctl.is_secure(c.oid, w.wanted) ORDER BY 1
"""
_CLOSED = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('v', 'm', 'f') AND coopctl.is_closed(c.oid)
"""
_MISSING = "missing: the row security of members' rows"


def row_security_deviations(connection: Connection, wanted: PostgresGrants) -> tuple[str, ...]:
    """What is wrong with the row security of the connection's database, in words; nothing where none is wanted."""
    if not wanted.member_column:
        return ()
    if not (_is_defined(connection, wanted) and _is_triggered(connection)):
        return (_MISSING,)
    return tuple(f"missing: row security on table {name}" for (name,) in rows(connection, _INSECURE))


def ensure_row_security(connection: Connection, wanted: PostgresGrants) -> None:
    """Make functions, event trigger and policies as they must be. Raises NotOurs for a schema that the tenant made."""
    if not wanted.member_column:
        return
    if not _is_defined(connection, wanted):
        _require_own_schema(connection)
        connection.execute(_definitions(wanted))
    if not _is_triggered(connection):
        drop_event_trigger(connection)
        connection.execute(_TRIGGER)
    if rows(connection, _INSECURE):
        connection.execute("SELECT coopctl.secure(oid) FROM pg_class WHERE relkind IN ('r', 'p')")


def has_member_access(connection: Connection) -> bool:
    """Whether the database has the table of access, the administrator's own."""
    return any(ours for _, ours, _ in rows(connection, _SCHEMA_OWNER, {"schema": PLATFORM_SCHEMA}))


def closed_views(connection: Connection, wanted: PostgresGrants) -> frozenset[tuple[str, ...]]:
    """The views and foreign tables that would show the reader rows past every policy."""
    if not wanted.member_column or not _is_defined(connection, wanted):
        return frozenset()
    return frozenset((schema, name) for schema, name in rows(connection, _CLOSED))


def drop_event_trigger(connection: Connection) -> None:
    """Take the event trigger away: only a superuser could restore it."""
    connection.execute(sql.SQL("DROP EVENT TRIGGER IF EXISTS {}").format(sql.Identifier(EVENT_TRIGGER)))


def _is_defined(connection: Connection, wanted: PostgresGrants) -> bool:
    found = rows(connection, _SCHEMA_OWNER, {"schema": PLATFORM_SCHEMA})
    return [(ours, digest) for _, ours, digest in found] == [(True, _digest(wanted))]


def _is_triggered(connection: Connection) -> bool:
    """Whether the event trigger is on; True also for an administrator who cannot make one."""
    return not is_superuser(connection) or bool(scalar(connection, _TRIGGER_IS_ON, {"name": EVENT_TRIGGER}))


def _require_own_schema(connection: Connection) -> None:
    """A schema of the tenant's would be a trap: what a superuser replaces there stays the tenant's own."""
    for owner, is_administrator_s, _ in rows(connection, _SCHEMA_OWNER, {"schema": PLATFORM_SCHEMA}):
        if not is_administrator_s:
            raise NotOurs(
                f"the schema {PLATFORM_SCHEMA} exists already and belongs to {owner}",
                hint=f"rename it: ALTER SCHEMA {PLATFORM_SCHEMA} RENAME TO ...",
            )


def _definitions(wanted: PostgresGrants) -> sql.Composed:
    return _filled(wanted) + sql.SQL("COMMENT ON SCHEMA {} IS {}").format(
        sql.Identifier(PLATFORM_SCHEMA), sql.Literal(_digest(wanted))
    )


def _filled(wanted: PostgresGrants) -> sql.Composed:
    return sql.SQL(_DEFINITIONS).format(
        owner=sql.Literal(wanted.owner),
        owner_role=sql.Identifier(wanted.owner),
        application=sql.Literal(wanted.application),
        reader=sql.Literal(wanted.reader),
        column=sql.Literal(wanted.member_column),
    )


def _digest(wanted: PostgresGrants) -> str:
    return hashlib.sha256(f"{_filled(wanted).as_string()}{_TRIGGER}".encode()).hexdigest()
