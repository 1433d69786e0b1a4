"""Gives a data store that a migration has brought to its servers the mark of the estate that takes it over.

Only what bears the mark of the owner before, or the new one already, is marked; roles, the bucket and its identity may
bear none, since no migration carries theirs. All of it is looked at before anything is changed, and in PostgreSQL it is
one transaction. What the administrator before had made in the database for members becomes the new administrator's:
nobody else's functions are trusted there. Idempotent.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from psycopg import sql

from provisioner.datastore.marks import Mark, from_comment, from_tags, require_own, to_comment
from provisioner.datastore.objects_buckets import mark_bucket, read_bucket_tags
from provisioner.datastore.objects_clients import Clients
from provisioner.datastore.objects_identities import has_identity, mark_identity, read_identity_mark
from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.datastore.postgres_privileges import PLATFORM_SCHEMA
from provisioner.errors import NotFound
from provisioner.naming import TenantNames, is_member_role, member_role_prefix

_DATABASE = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
_ROLES = """
    SELECT rolname::text, shobj_description(oid, 'pg_authid') FROM pg_roles
    WHERE rolname = ANY (%(own)s) OR starts_with(rolname, %(members)s) ORDER BY 1
"""
_SCHEMAS = """
    SELECT nspname::text, obj_description(oid, 'pg_namespace') FROM pg_namespace
    WHERE obj_description(oid, 'pg_namespace') IS NOT NULL ORDER BY 1
"""
_SCHEMA_OWNER = """
    SELECT 1 FROM pg_namespace
    WHERE nspname = %(schema)s AND pg_get_userbyid(nspowner) = %(before)s AND %(before)s <> current_user
"""
_ROUTINES = """
    SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = %(schema)s AND pg_get_userbyid(p.proowner) = %(before)s ORDER BY 1
"""
_RELATIONS = """
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'v', 'm') AND pg_get_userbyid(c.relowner) = %(before)s
    ORDER BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Handover:
    """From whom to whom; ``administrator`` is the role that administered the data store on the platform's server."""

    before: Mark
    after: Mark
    administrator: str

    def marked(self, found: Mark | None, *, what: str, unmarked: bool) -> Mark:
        """The mark that ``what`` is to bear. Raises NotOurs for one of somebody else's, or for none unless that is
        to be expected."""
        if (found is None and unmarked) or self.after.owns(found):
            return found or self.after
        require_own(found, own=self.before, what=what)
        return replace(found or self.after, cluster=self.after.cluster, cooperative=self.after.cooperative)


def hand_over_database(connection: Connection, names: TenantNames, *, by: Handover) -> None:
    """Mark the connection's database, its roles and its members' schemas. Raises NotOurs, and none is marked then."""
    with connection.transaction():
        for statement in [*_marks(connection, names, by=by), *_ownerships(connection, by=by)]:
            connection.execute(statement)


def hand_over_objects(clients: Clients, names: TenantNames, *, by: Handover) -> None:
    """Mark the bucket, and its identity if there is one already. Raises NotFound without the bucket, NotOurs."""
    tags = read_bucket_tags(clients, names.bucket)
    if tags is None:
        raise NotFound(f"the bucket {names.bucket} is not there", hint="look at `target.objects` of the document")
    bucket = by.marked(from_tags(tags), what=f"the bucket {names.bucket}", unmarked=True)
    if has_identity(clients, names.objects_identity):
        found = read_identity_mark(clients, names.objects_identity)
        own = by.marked(found, what=f"the S3 identity {names.objects_identity}", unmarked=True)
        mark_identity(clients, names.objects_identity, mark=own)
    mark_bucket(clients, names.bucket, mark=bucket)


def _marks(connection: Connection, names: TenantNames, *, by: Handover) -> Iterator[sql.Composed]:
    database = sql.Identifier(names.database)
    found = from_comment(scalar(connection, _DATABASE))
    mark = by.marked(found, what=f"the PostgreSQL database {names.database}", unmarked=False)
    # It is open, whatever was noted when its source was closed.
    yield _comment("DATABASE", database, replace(mark, retained=False, dump=""))
    wanted = {"own": list(names.roles), "members": member_role_prefix(names.database)}
    for name, comment in rows(connection, _ROLES, wanted):
        mark = by.marked(from_comment(comment), what=f"the PostgreSQL role {name}", unmarked=True)
        kept = mark if is_member_role(name) else replace(mark, retained=False, dump="")
        yield _comment("ROLE", sql.Identifier(name), kept)
    for name, comment in rows(connection, _SCHEMAS):
        if by.before.owns(from_comment(comment)):
            mark = by.marked(from_comment(comment), what=f"the schema {name}", unmarked=False)
            yield _comment("SCHEMA", sql.Identifier(name), mark)


def _ownerships(connection: Connection, *, by: Handover) -> Iterator[sql.Composed]:
    wanted = {"schema": PLATFORM_SCHEMA, "before": by.administrator}
    if scalar(connection, _SCHEMA_OWNER, wanted) is None:
        return
    yield sql.SQL("ALTER SCHEMA {} OWNER TO CURRENT_USER").format(sql.Identifier(PLATFORM_SCHEMA))
    for kind, query in (("ROUTINE", _ROUTINES), ("TABLE", _RELATIONS)):
        for (name,) in rows(connection, query, wanted):
            # The server has written the name, quoted as it must be.
            yield sql.SQL("ALTER {} {} OWNER TO CURRENT_USER").format(sql.SQL(kind), sql.SQL(name))


def _comment(kind: str, name: sql.Identifier, mark: Mark) -> sql.Composed:
    return sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(kind), name, sql.Literal(to_comment(mark)))
