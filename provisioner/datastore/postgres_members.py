"""Members in a tenant's database: making, mending and removing them, many at a time.

1. All that bears the name of a member's role or schema is read in a few queries, whoever made it; what is another's is
   refused before anything is changed.
2. Wanted members are made or mended in batches, each in one transaction: a role that cannot log in, then by the layout
   its row of access, or its schema with exact privileges, whose role the application may become. A batch bounds the
   locks that a transaction holds.
3. Members that are no longer wanted lose access first: their schemas are closed and marked. Then those schemas without
   any row are dropped; what holds rows stays. Last go the roles.

Cut off anywhere, the next call reads what there is and goes on. Nothing here deletes a row.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from psycopg import sql

from provisioner.datastore.marks import Mark, from_comment, to_comment
from provisioner.datastore.postgres_connection import Connection, retrying, rows, scalar
from provisioner.datastore.postgres_facts import facts_of_schemas
from provisioner.datastore.postgres_grants import grant, is_past_storage, revocation
from provisioner.datastore.postgres_member_facts import (
    MemberFacts,
    MemberRole,
    MemberSchema,
    MembersState,
    closing,
    fact_deviations,
    is_open,
    provisioned,
    require_own_members,
    retained,
    unwanted_roles,
    wanted_access,
    wanted_groups,
    wanted_users,
)
from provisioner.datastore.postgres_member_privileges import member_deviations
from provisioner.datastore.postgres_member_rows import with_rows
from provisioner.datastore.postgres_privileges import Deviations, ObjectKind, Privilege
from provisioner.datastore.postgres_roles import (
    SAFE_ATTRIBUTES,
    SAFE_ATTRIBUTES_BY_ADMIN,
    dropped,
    has_membership_options,
    is_superuser,
)
from provisioner.datastore.postgres_row_security import has_member_access
from provisioner.errors import NotPermitted, ProblemsFound
from provisioner.naming import (
    MEMBER_SCHEMA_PREFIX,
    MemberNames,
    all_member_names,
    member_names,
    member_of_schema,
    member_role_prefix,
)
from provisioner.plan.resources import PostgresMembers

# So many members in one transaction: each holds some locks, and a server has 64 for each session it may have.
BATCH = 200

_ROLES = """
    SELECT r.rolname::text, r.rolinherit AND NOT (r.rolcanlogin OR r.rolsuper OR r.rolcreatedb OR r.rolcreaterole
                                                  OR r.rolreplication OR r.rolbypassrls),
           ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                 WHERE m.member = r.oid),
           ARRAY(SELECT concat_ws(' ', u.rolname, {beyond}) FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member
                 WHERE m.roleid = r.oid AND u.rolname = %(application)s),
           shobj_description(r.oid, 'pg_authid')
    FROM pg_roles r WHERE starts_with(r.rolname::text, %(prefix)s)
"""
# What a membership gives beyond SET ROLE. Before PostgreSQL 16 the role's own attribute says if it inherits.
_BEYOND = sql.SQL("CASE WHEN m.admin_option THEN 'ADMIN' END")
_BEYOND_16 = sql.SQL("""
    CASE WHEN m.admin_option THEN 'ADMIN' END, CASE WHEN m.inherit_option THEN 'INHERIT' END,
    CASE WHEN NOT m.set_option THEN 'NOT SET' END
""")
_SCHEMAS = """
    SELECT n.nspname::text, pg_get_userbyid(n.nspowner)::text, obj_description(n.oid, 'pg_namespace')
    FROM pg_namespace n WHERE starts_with(n.nspname::text, %(prefix)s)
"""
_ACCESS = "SELECT role::text, member FROM coopctl.member_access"
_FORGET_ACCESS = """
    DELETE FROM coopctl.member_access a USING unnest(%(roles)s::text[], %(members)s::text[]) AS g (role, member)
    WHERE a.role = g.role AND a.member = g.member
"""
_GIVE_ACCESS = """
    INSERT INTO coopctl.member_access (role, member)
    SELECT * FROM unnest(%(roles)s::text[], %(members)s::text[]) ON CONFLICT DO NOTHING
"""
T = TypeVar("T")


def read_members(connection: Connection, wanted: PostgresMembers, *, mark: Mark) -> MembersState:
    """The members as they are, seen from inside the tenant's database."""
    facts = read_facts(connection, wanted)
    found = [_privilege_deviations(connection, wanted, facts, part, mark=mark) for part in _batches(facts.schemas)]
    sentences = (sentence for one in found for sentence in one.sentences())
    return MembersState(
        provisioned=provisioned(wanted, facts, mark=mark),
        retained=retained(facts, mark=mark),
        deviations=(*fact_deviations(wanted, facts, mark=mark), *sentences),
    )


def read_facts(connection: Connection, wanted: PostgresMembers) -> MemberFacts:
    """All roles and schemas that are named as members', and all access to their rows."""
    query = sql.SQL(_ROLES).format(beyond=_BEYOND_16 if has_membership_options(connection) else _BEYOND)
    asked = {"prefix": member_role_prefix(wanted.database), "application": wanted.application}
    roles = [
        MemberRole(
            name=name,
            closed=closed,
            groups=frozenset(groups),
            users=frozenset(users),
            mark=from_comment(comment),
        )
        for name, closed, groups, users, comment in rows(connection, query, asked)
    ]
    schemas = [
        MemberSchema(name=name, owner=owner, mark=from_comment(comment))
        for name, owner, comment in rows(connection, _SCHEMAS, {"prefix": MEMBER_SCHEMA_PREFIX})
    ]
    access = rows(connection, _ACCESS) if has_member_access(connection) else []
    return MemberFacts(
        roles={one.name: one for one in roles},
        schemas={one.name: one for one in schemas},
        access=frozenset((role, member) for role, member in access),
    )


def ensure_members(connection: Connection, wanted: PostgresMembers, *, mark: Mark) -> None:
    """Make the members as wanted; what holds rows of others is kept, closed and marked.

    Raises NotOurs for a role or schema of somebody else's, before anything is changed; NotPermitted.
    """
    facts = read_facts(connection, wanted)
    require_own_members(wanted, facts, mark=mark)
    close_schemas(connection, wanted, closing(wanted, facts, mark=mark))
    for part in _batches(all_member_names(wanted.members, database=wanted.database).values()):
        retrying(partial(_make, connection, wanted, facts, part, mark=mark))
    _set_access(connection, wanted, facts)
    left = retained(read_facts(connection, wanted), mark=mark)
    _drop_without_rows(connection, wanted, left)
    _drop_roles(connection, [facts.roles[one] for one in unwanted_roles(wanted, facts, mark=mark)], mark=mark)


def retire_members(connection: Connection, wanted: PostgresMembers, *, mark: Mark) -> None:
    """Close everything of the members and mark it as kept: what becomes of it decides what becomes of the database."""
    facts, kept = read_facts(connection, wanted), replace(mark, retained=True)
    own = [one.name for one in facts.schemas.values() if mark.owns(one.mark)]
    close_schemas(connection, wanted, dict.fromkeys(own, kept))
    for part in _batches([one.name for one in facts.roles.values() if mark.owns(one.mark)]):
        retrying(partial(_execute, connection, [_comment("ROLE", one, mark=kept) for one in part]))


def close_schemas(connection: Connection, wanted: PostgresMembers, schemas: Mapping[str, Mark]) -> None:
    """Take schemas from everybody but the administrator and give them their marks."""
    for part in _batches(schemas):
        retrying(partial(_close, connection, wanted, {name: schemas[name] for name in part}))


def wait_for_writers(connection: Connection, schemas: Sequence[str]) -> None:
    """Wait until nobody works any more with tables of schemas that were closed: what was begun before may go on."""
    for part in _batches(schemas):
        with connection.transaction():
            with_rows(connection, part, locked=True)


def drop_dumped(connection: Connection, members: Iterable[str], *, database: str, mark: Mark, dump: str) -> None:
    """Drop the schemas of ``members``, with all rows, that were closed for ``dump`` and not opened since.

    Raises ProblemsFound, before anything is dropped, for one that does not bear that dump's name.
    """
    prefix = {"prefix": MEMBER_SCHEMA_PREFIX}
    marks = {name: from_comment(comment) for name, _, comment in rows(connection, _SCHEMAS, prefix)}
    schemas = [name for one in members if (name := member_names(one, database=database).schema) in marks]
    for name in schemas:
        if (found := marks[name]) is None or not mark.owns(found) or found.dump != dump:
            raise ProblemsFound(
                f"the schema {name} of {database} is not deleted: it was opened again since the dump {dump}",
                hint="run the same command again: it makes a new dump",
            )
    for part in _batches(schemas):
        retrying(partial(_execute, connection, [_drop_schema(one) for one in part]))


def _make(
    connection: Connection, wanted: PostgresMembers, facts: MemberFacts, members: Sequence[MemberNames], *, mark: Mark
) -> None:
    """Make or mend one batch of members."""
    with connection.transaction():
        superuser = is_superuser(connection)
        options = sql.SQL(" WITH INHERIT FALSE, SET TRUE" if has_membership_options(connection) else "")
        statements = [
            statement
            for one in members
            for statement in (
                *_role(one.role, wanted=wanted, facts=facts, mark=mark, superuser=superuser),
                *_users(one.role, wanted=wanted, facts=facts, options=options),
            )
        ]
        if not wanted.member_column:
            statements += [each for one in members for each in _schema(one, wanted=wanted, facts=facts, mark=mark)]
        _execute(connection, statements)
        if not wanted.member_column:
            _mend(connection, wanted, roles={one.schema: one.role for one in members})


def _role(
    name: str, *, wanted: PostgresMembers, facts: MemberFacts, mark: Mark, superuser: bool
) -> Iterator[sql.Composed]:
    role, found = sql.Identifier(name), facts.roles.get(name)
    if found is None:
        yield sql.SQL("CREATE ROLE {} NOLOGIN INHERIT").format(role)
    elif not found.closed:
        safe = SAFE_ATTRIBUTES if superuser else SAFE_ATTRIBUTES_BY_ADMIN
        yield sql.SQL("ALTER ROLE {} {} NOLOGIN INHERIT PASSWORD NULL").format(role, safe)
    groups = found.groups if found else frozenset()
    for group in sorted(groups - wanted_groups(wanted)):
        yield sql.SQL("REVOKE {} FROM {} CASCADE").format(sql.Identifier(group), role)
    for group in sorted(wanted_groups(wanted) - groups):
        yield sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), role)
    if found is None or not is_open(found.mark, own=mark):
        yield _comment("ROLE", name, mark=mark)


def _users(name: str, *, wanted: PostgresMembers, facts: MemberFacts, options: sql.SQL) -> Iterator[sql.Composed]:
    """Let the application become the member's role, or not."""
    role, found = sql.Identifier(name), facts.roles.get(name)
    present, expected = found.users if found else frozenset(), wanted_users(wanted)
    for user in sorted({one.split(" ", 1)[0] for one in present - expected}):
        yield sql.SQL("REVOKE {} FROM {} CASCADE").format(role, sql.Identifier(user))
    for user in sorted(expected - present):
        yield sql.SQL("GRANT {} TO {}").format(role, sql.Identifier(user)) + options


def _schema(one: MemberNames, *, wanted: PostgresMembers, facts: MemberFacts, mark: Mark) -> Iterator[sql.Composed]:
    schema, owner = sql.Identifier(one.schema), sql.Identifier(wanted.owner)
    found = facts.schemas.get(one.schema)
    if found is None:
        yield sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(schema, owner)
    elif found.owner != wanted.owner:
        yield sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(schema, owner)
    if found is None or not is_open(found.mark, own=mark):
        yield _comment("SCHEMA", one.schema, mark=mark)


def _close(connection: Connection, wanted: PostgresMembers, schemas: Mapping[str, Mark]) -> None:
    # An owner can always use its schema: so the schema becomes the administrator's, and the tables in it stay.
    taken = [sql.SQL("ALTER SCHEMA {} OWNER TO CURRENT_USER").format(sql.Identifier(one)) for one in schemas]
    with connection.transaction():
        _execute(connection, taken)
        _execute(connection, [_comment("SCHEMA", one, mark=mark) for one, mark in schemas.items()])
        _mend(connection, wanted, roles={}, closed=list(schemas))


def _mend(
    connection: Connection, wanted: PostgresMembers, *, roles: dict[str, str], closed: Sequence[str] = ()
) -> None:
    """Bring privileges in the schemas ``roles`` and ``closed`` to exactly the wanted ones.

    Raises NotPermitted if that changed nothing: PostgreSQL only warns where a right to grant or revoke is lacking.
    """
    schemas = [*roles, *closed]
    found = _compared(connection, wanted, schemas, roles=roles)
    if not found.missing and not found.extra:
        return
    _execute(connection, [revocation(one) for one in _joined(found.extra)])
    _execute(connection, [grant(one) for one in _joined(found.missing)])
    if left := _compared(connection, wanted, schemas, roles=roles).sentences():
        raise NotPermitted(
            "privileges in the schemas of members cannot be brought to what they must be",
            why=f"{len(left)} stay as they are, first: {left[0]}",
            hint="the Platform's admin user must be a superuser, or a member of the cooperative's owner role",
        )


def _joined(privileges: Sequence[Privilege]) -> Iterator[Privilege]:
    """The same privileges, those of one grantee on one object in one: so that they are one statement."""
    rights: dict[tuple[object, ...], list[Privilege]] = {}
    for one in privileges:
        alone = one.right if one.object.kind is ObjectKind.COLUMN else ""
        rights.setdefault((one.object, one.grantee, one.grantable, alone), []).append(one)
    for same in rights.values():
        yield replace(same[0], right=", ".join(one.right for one in same))


def _privilege_deviations(
    connection: Connection, wanted: PostgresMembers, facts: MemberFacts, schemas: Sequence[str], *, mark: Mark
) -> Deviations:
    """How privileges in the cooperative's own schemas among ``schemas`` differ."""
    own = {one: facts.schemas[one] for one in schemas if mark.owns(facts.schemas[one].mark)}
    opened = [one for one, found in own.items() if is_open(found.mark, own=mark) and not wanted.member_column]
    roles = {one: member_names(member_of_schema(one), database=wanted.database).role for one in opened}
    # Of a role that is missing its schema is told; PostgreSQL has forgotten what it was granted.
    present = {schema: role for schema, role in roles.items() if role in facts.roles}
    return _compared(connection, wanted, list(own), roles=present)


def _compared(
    connection: Connection, wanted: PostgresMembers, schemas: Sequence[str], *, roles: dict[str, str]
) -> Deviations:
    objects, actual = facts_of_schemas(connection, schemas)
    administrator = scalar(connection, "SELECT current_user::text")
    return member_deviations(
        wanted,
        roles=roles,
        objects=objects,
        actual=actual,
        read_only=wanted.writes_stopped or is_past_storage(connection, wanted.storage_bytes),
        exempt=frozenset({administrator}),
    )


def _set_access(connection: Connection, wanted: PostgresMembers, facts: MemberFacts) -> None:
    expected = wanted_access(wanted)
    for query, pairs in ((_FORGET_ACCESS, facts.access - expected), (_GIVE_ACCESS, expected - facts.access)):
        if pairs:
            columns = {"roles": [role for role, _ in pairs], "members": [member for _, member in pairs]}
            connection.execute(query, columns)


def _drop_without_rows(connection: Connection, wanted: PostgresMembers, members: Collection[str]) -> None:
    schemas = [member_names(one, database=wanted.database).schema for one in members]
    for part in _batches(schemas):
        retrying(partial(_drop_empty, connection, part))


def _drop_empty(connection: Connection, schemas: Sequence[str]) -> None:
    """Drop those of ``schemas`` in which no table has a row; nobody writes while they are looked at."""
    with connection.transaction():
        empty = set(schemas) - with_rows(connection, schemas, locked=True)
        _execute(connection, [_drop_schema(one) for one in sorted(empty)])


def _drop_roles(connection: Connection, roles: Sequence[MemberRole], *, mark: Mark) -> None:
    for part in _batches(roles):
        if not dropped(connection, [one.name for one in part]):
            for one in part:
                _drop_or_keep(connection, one, mark=mark)


def _drop_or_keep(connection: Connection, role: MemberRole, *, mark: Mark) -> None:
    if dropped(connection, [role.name]):
        return
    # Something hangs on it, in another database perhaps: it is kept, marked, and goes with the database.
    name = sql.Identifier(role.name)
    left = [sql.SQL("REVOKE {} FROM {} CASCADE").format(sql.Identifier(one), name) for one in sorted(role.groups)]
    users = sorted({one.split(" ", 1)[0] for one in role.users})
    left += [sql.SQL("REVOKE {} FROM {} CASCADE").format(name, sql.Identifier(one)) for one in users]
    _execute(connection, [*left, _comment("ROLE", role.name, mark=replace(mark, retained=True))])


def _drop_schema(name: str) -> sql.Composed:
    return sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name))


def _comment(kind: str, name: str, *, mark: Mark) -> sql.Composed:
    return sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(kind), sql.Identifier(name), sql.Literal(to_comment(mark)))


def _execute(connection: Connection, statements: Sequence[sql.Composed]) -> None:
    """Send all statements at once; outside a transaction they are one of their own."""
    if statements:
        connection.execute(sql.SQL("; ").join(statements))


def _batches(items: Iterable[T]) -> Iterator[Sequence[T]]:
    every = list(items)
    for start in range(0, len(every), BATCH):
        yield every[start : start + BATCH]
