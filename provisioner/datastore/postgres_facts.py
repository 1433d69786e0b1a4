"""Reading the privileges that there are: in the tenant's common schemas and on the server, or in schemas of members."""

from collections.abc import Iterable, Sequence

from provisioner.datastore.postgres_connection import Connection, rows
from provisioner.datastore.postgres_privileges import (
    LARGE_OBJECT_WRITERS,
    PUBLIC,
    ObjectKind,
    Privilege,
    SqlObject,
    future_objects,
)
from provisioner.datastore.postgres_roles import is_superuser
from provisioner.naming import MEMBER_SCHEMA_PREFIX, member_role_prefix
from provisioner.plan.resources import PostgresGrants

Facts = tuple[set[SqlObject], set[Privilege]]

_GRANTEE = "CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END"
# The schemas of members are no tenant's common ground: they are looked at by themselves (postgres_members.py).
_COMMON_SCHEMA = f"""n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT starts_with(n.nspname::text, '{MEMBER_SCHEMA_PREFIX}')"""
_ONE_OF = "n.nspname = ANY (%(schemas)s)"
_NOT_OF_EXTENSION = """NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass
    AND x.objid = c.oid AND x.deptype = 'e')"""

# Each query: identifiers, owner, then grantee, right and grantable (null where nobody but the owner has a right).
_SCHEMAS = f"""
    SELECT ARRAY[n.nspname::text], pg_get_userbyid(n.nspowner)::text, {_GRANTEE}, a.privilege_type, a.is_grantable
    FROM pg_namespace n LEFT JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a ON true
    WHERE """  # noqa: S608 - constants of this module
_RELATIONS = f"""
    SELECT ARRAY[n.nspname::text, c.relname::text], pg_get_userbyid(c.relowner)::text,
           {_GRANTEE}, a.privilege_type, a.is_grantable, c.relkind = 'S'
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN LATERAL aclexplode(coalesce(c.relacl,
        acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) a ON true
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_NOT_OF_EXTENSION} AND """  # noqa: S608 - constants of this module
_COLUMNS = f"""
    SELECT ARRAY[n.nspname::text, c.relname::text, t.attname::text], pg_get_userbyid(c.relowner)::text,
           {_GRANTEE}, a.privilege_type, a.is_grantable
    FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL aclexplode(t.attacl) a
    WHERE NOT t.attisdropped AND {_NOT_OF_EXTENSION} AND """  # noqa: S608 - constants of this module
_FUTURE = f"""
    SELECT array_remove(ARRAY[pg_get_userbyid(d.defaclrole)::text, n.nspname::text], NULL),
           pg_get_userbyid(d.defaclrole)::text, {_GRANTEE}, a.privilege_type, a.is_grantable, d.defaclobjtype::text
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
    CROSS JOIN LATERAL aclexplode(d.defaclacl) a WHERE d.defaclobjtype IN ('r', 'S', 'n') AND """  # noqa: S608 - constants of this module
_DATABASES = f"""
    SELECT ARRAY[d.datname::text], pg_get_userbyid(d.datdba)::text, {_GRANTEE}, a.privilege_type, a.is_grantable
    FROM pg_database d LEFT JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a ON true
"""  # noqa: S608 - constants of this module
_ENTRANCES = "WHERE (d.datname = 'postgres' OR d.datistemplate) AND d.datallowconn"
_MEMBERS = """
    SELECT ARRAY[g.rolname::text], g.rolname::text, r.rolname::text, 'MEMBER', m.admin_option
    FROM pg_roles g LEFT JOIN (pg_auth_members m JOIN pg_roles r ON r.oid = m.member)
        ON m.roleid = g.oid AND NOT (g.rolname = %(reader)s AND starts_with(r.rolname::text, %(members)s))
    WHERE g.rolname = ANY(%(roles)s)
"""
_FUNCTIONS = f"""
    SELECT array_prepend('pg_catalog', array_prepend(p.proname::text, ARRAY(
               SELECT t.typname::text FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, place)
               JOIN pg_type t ON t.oid = a.type ORDER BY a.place))),
           pg_get_userbyid(p.proowner)::text, {_GRANTEE}, a.privilege_type, a.is_grantable
    FROM pg_proc p LEFT JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a ON true
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY (%(names)s)
"""  # noqa: S608 - constants of this module
_FUTURE_KINDS = {"r": ObjectKind.FUTURE_TABLES, "S": ObjectKind.FUTURE_SEQUENCES, "n": ObjectKind.FUTURE_SCHEMAS}


def facts_of_database(connection: Connection, wanted: PostgresGrants) -> Facts:
    """The objects that a tenant's privileges are about, but for the schemas of members, and every privilege on them."""
    tenant = [wanted.owner, wanted.application, wanted.reader, wanted.migration]
    own_database = rows(connection, _DATABASES + "WHERE d.datname = current_database()")
    groups = {"roles": tenant, "reader": wanted.reader, "members": member_role_prefix(wanted.database)}
    parts = [
        collected(own_database, kind=ObjectKind.DATABASE),
        collected(rows(connection, _SCHEMAS + _COMMON_SCHEMA), kind=ObjectKind.SCHEMA),
        *_relations(rows(connection, _RELATIONS + _COMMON_SCHEMA)),
        collected(rows(connection, _COLUMNS + _COMMON_SCHEMA), kind=ObjectKind.COLUMN),
        collected(rows(connection, _MEMBERS, groups), kind=ObjectKind.ROLE),
        _functions(connection),
        _future(rows(connection, f"{_FUTURE}(n.nspname IS NULL OR {_COMMON_SCHEMA})")),
    ]
    objects, actual = _together(parts)
    return objects | set(future_objects(wanted.owner)), actual


def facts_of_schemas(connection: Connection, schemas: Sequence[str]) -> Facts:
    """The schemas, all that is in them, and every privilege on it."""
    these = {"schemas": list(schemas)}
    return _together(
        [
            collected(rows(connection, _SCHEMAS + _ONE_OF, these), kind=ObjectKind.SCHEMA),
            *_relations(rows(connection, _RELATIONS + _ONE_OF, these)),
            collected(rows(connection, _COLUMNS + _ONE_OF, these), kind=ObjectKind.COLUMN),
            _future(rows(connection, _FUTURE + _ONE_OF, these)),
        ]
    )


def open_entrances(connection: Connection) -> tuple[Privilege, ...]:
    """What PUBLIC may still do on postgres and the templates."""
    _, actual = collected(rows(connection, _DATABASES + _ENTRANCES), kind=ObjectKind.DATABASE)
    return tuple(sorted(one for one in actual if one.grantee == PUBLIC))


def _together(parts: Iterable[Facts]) -> Facts:
    objects: set[SqlObject] = set()
    actual: set[Privilege] = set()
    for found, privileges in parts:
        objects |= found
        actual |= privileges
    return objects, actual


def _relations(found: Sequence[tuple[object, ...]]) -> tuple[Facts, Facts]:
    return (
        collected([row[:5] for row in found if row[5]], kind=ObjectKind.SEQUENCE),
        collected([row[:5] for row in found if not row[5]], kind=ObjectKind.TABLE),
    )


def _functions(connection: Connection) -> Facts:
    if not is_superuser(connection):
        return set(), set()
    names = [name for name, *_ in LARGE_OBJECT_WRITERS]
    objects, actual = collected(rows(connection, _FUNCTIONS, {"names": names}), kind=ObjectKind.FUNCTION)
    known = {one for one in objects if one.path[1:] in LARGE_OBJECT_WRITERS}
    return known, {one for one in actual if one.object in known}


def _future(found: Sequence[tuple[object, ...]]) -> Facts:
    parts = [collected([row[:5] for row in found if row[5] == code], kind=kind) for code, kind in _FUTURE_KINDS.items()]
    # Which rules are wanted says who asks; one that is only there may be there to be revoked.
    return set(), set[Privilege]().union(*(actual for _, actual in parts))


def collected(found: Iterable[tuple[object, ...]], *, kind: ObjectKind) -> Facts:
    """The objects and privileges in rows of identifiers, owner, grantee, right and grantable."""
    objects: set[SqlObject] = set()
    actual: set[Privilege] = set()
    for path, owner, grantee, right, grantable in found:
        one = SqlObject(kind=kind, path=tuple(str(part) for part in _sequence(path)), owner=str(owner))
        objects.add(one)
        if right is not None and grantee is not None:
            actual.add(Privilege(object=one, grantee=str(grantee), right=str(right), grantable=bool(grantable)))
    return objects, actual


def _sequence(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
