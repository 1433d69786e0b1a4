"""Pure: attempts of a tenant's database roles on other databases, the server, its files and its other roles.

Every statement is rolled back. One that cannot be is worded so that it fails by itself where it is permitted. What the
tenant's roles may do with tables is tried on a table that its owner makes in the same transaction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provisioner.naming import MemberNames, TenantNames, member_names, member_role_prefix
from provisioner.plan.resources import PostgresDatabase, PostgresGrants, PostgresMembers, PostgresRole, RoleKind
from provisioner.proof import database_statements as statements
from provisioner.proof.attempts import About, Area, Connect, DatabaseAttempt, Guard, GuardKind, Sql, StoreLook
from provisioner.proof.promised_stores import MEMBER_COLUMN, keeps_members_apart
from provisioner.proof.tenant import Neighbour, ProvenTenant

POSTGRES = Guard(kind=GuardKind.POSTGRES)
# Databases that every server has and that may be connected to (PostgreSQL manual, "Template Databases").
ENTRANCES = ("postgres", "template1")
# Connecting costs some milliseconds each; whether any other database lets a role in is asked in one query.
_NEIGHBOURS_TRIED = 5
_RIGHTS = {
    RoleKind.APPLICATION: ("SELECT", "INSERT", "UPDATE", "DELETE"),
    RoleKind.READER: ("SELECT",),
}
_PartOfStore = PostgresRole | PostgresDatabase | PostgresGrants | PostgresMembers
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE"})


@dataclass(frozen=True, kw_only=True)
class DatabaseFacts:
    """What else must be known: the roles whose passwords are delivered, the extensions that the platform allows, and
    whether writing is stopped, because all storage is used."""

    logins: tuple[RoleKind, ...]
    allowed_extensions: tuple[str, ...] = ()
    writes_stopped: bool = False


def database_attempts(
    tenant: ProvenTenant, *, facts: DatabaseFacts, neighbours: Sequence[Neighbour]
) -> tuple[DatabaseAttempt, ...]:
    """The attempts of the tenant's roles, those that the administrator makes in their place, and looks at its parts."""
    apart = keeps_members_apart(tenant)
    planners = [
        _Planner(names=tenant.names, role=role, facts=facts, becomes_members=not apart and role is RoleKind.APPLICATION)
        for role in facts.logins
    ]
    wanted = [item for item in tenant.plan.resources if isinstance(item, _PartOfStore)]
    return (
        *(_look(item) for item in wanted),
        *(attempt for planner in planners for attempt in planner.attempts(neighbours=neighbours)),
        *_on_tables(tenant.names, facts=facts, neighbours=neighbours),
        *(_on_member_rows(tenant) if apart else _on_member_schemas(tenant)),
    )


class _Planner:
    """Plans for one of the tenant's roles; one that ``becomes_members`` may take their roles with SET ROLE."""

    def __init__(self, *, names: TenantNames, role: RoleKind, facts: DatabaseFacts, becomes_members: bool) -> None:
        self._names = names
        self._becomes_members = becomes_members
        self._role = role
        self._facts = facts
        self._who = f"database role {dict(zip(RoleKind, names.roles, strict=True))[role]}"
        self._own = f"database/{role}/connects to its own database"

    def attempts(self, *, neighbours: Sequence[Neighbour]) -> Iterator[DatabaseAttempt]:
        """All attempts of the role, what must work first."""
        own, others = self._names.database, [other.names.database for other in neighbours[:_NEIGHBOURS_TRIED]]
        yield Connect(about=self._about("connects to its own database", None), role=self._role, database=own)
        for database in (*ENTRANCES, *others):
            yield Connect(about=self._about(f"connects to {database}"), role=self._role, database=database)
        about = self._about("streams the server's whole log")
        yield Connect(about=about, role=self._role, database=own, replication=True)
        yield self._sql("works in its database", "SELECT 1", guard=None)
        yield from self._lookups()
        yield from self._on_server(neighbours)
        if self._role is RoleKind.READER:
            yield self._sql("writes a large object", statements.LARGE_OBJECT)
        if self._owns:
            yield from self._as_owner(neighbours)

    def _lookups(self) -> Iterator[DatabaseAttempt]:
        """Queries that are answered, but may find nothing."""
        sessions = statements.EVERYBODY_ELSE_S_SESSIONS
        yield self._sql("sees that others have sessions", sessions, guard=None)
        hidden = f"{sessions} AND query NOT IN {statements.HIDDEN_TEXTS}"
        yield self._sql("reads what others ask the server", hidden, finds_nothing=True)
        yield self._sql("may connect to any other database", statements.EVERY_OPEN_DATABASE, finds_nothing=True)
        groups = statements.EVERY_GROUP.format(owner=self._names.owner_role if self._owns else "")
        if self._becomes_members:
            groups += statements.BUT_MEMBERS.format(prefix=member_role_prefix(self._names.database))
        yield self._sql("belongs to any other role", groups, finds_nothing=True)

    def _on_server(self, neighbours: Sequence[Neighbour]) -> Iterator[DatabaseAttempt]:
        for what, statement in {**statements.CATALOGUES, **statements.SERVER}.items():
            yield self._sql(what, statement)
        for what, statement in statements.FILES.items():
            yield self._sql(what, statement, permitted=statements.NO_SUCH_FILE)
        for name in statements.UNTRUSTED_EXTENSIONS:
            if name not in self._facts.allowed_extensions:
                yield self._extension(name)
        for role in self._foreign_roles(neighbours):
            yield self._sql(f"acts as {role}", f'SET LOCAL ROLE "{role}"')
        yield self._sql(
            "makes a database",
            "CREATE DATABASE coopctl_proof TEMPLATE coopctl_proof_absent",
            alone=True,
            permitted=statements.NO_SUCH_DATABASE,
        )
        yield self._sql(
            "changes the server's configuration",
            "ALTER SYSTEM SET work_mem = 'coopctl'",
            alone=True,
            permitted=statements.NO_SUCH_VALUE,
        )
        yield self._sql("makes a temporary table", "CREATE TEMPORARY TABLE coopctl_proof (a int)")

    def _as_owner(self, neighbours: Sequence[Neighbour]) -> Iterator[DatabaseAttempt]:
        """What the migration role may do as the owner of its database, and what not even then."""
        before = (f'SET LOCAL ROLE "{self._names.owner_role}"',)
        yield self._sql("makes a table as the owner", statements.NEW_TABLE[0], guard=None, before=before)
        yield self._sql("makes a function out of a library", statements.WORDS_OF_LANGUAGE_C, before=before)
        yield self._sql(
            "reads a file into a table",
            statements.TABLE_FROM_FILE,
            before=(*before, statements.NEW_TABLE[0]),
            permitted=statements.NO_SUCH_FILE,
        )
        for name in statements.TRUSTED_EXTENSIONS:
            if name not in self._facts.allowed_extensions:
                yield self._extension(name, before=before)
        own = self._names.database
        yield self._sql("takes its database's limit away", f'ALTER DATABASE "{own}" CONNECTION LIMIT -1', before=before)
        yield self._sql("takes its database's mark away", f'COMMENT ON DATABASE "{own}" IS NULL', before=before)
        for other in neighbours[:1]:
            role = other.names.application_role
            yield self._sql(
                f"lets {role} in",
                f"SELECT 1 WHERE has_database_privilege('{role}', '{own}', 'CONNECT')",
                before=(*before, f'GRANT CONNECT ON DATABASE "{own}" TO "{role}"'),
                finds_nothing=True,
            )

    def _foreign_roles(self, neighbours: Sequence[Neighbour]) -> tuple[str, ...]:
        own = {role for role in self._names.roles if not (self._owns and role == self._names.owner_role)}
        foreign = {role for other in neighbours[:1] for role in other.names.roles}
        return tuple(sorted((own | foreign) - {self._who.rpartition(" ")[2]}))

    def _extension(self, name: str, *, before: tuple[str, ...] = ()) -> Sql:
        what = f"installs the extension {name}"
        return self._sql(what, f'CREATE EXTENSION "{name}"', before=before, absent=statements.NO_SUCH_EXTENSION)

    @property
    def _owns(self) -> bool:
        return self._role is RoleKind.MIGRATION

    def _about(self, what: str, guard: Guard | None = POSTGRES) -> About:
        return About(
            id=f"database/{self._role}/{what}",
            area=Area.DATABASE,
            who=self._who,
            what=what,
            guard=guard,
            rests_on=(self._own,) if guard else (),
        )

    def _sql(
        self,
        what: str,
        statement: str,
        *,
        guard: Guard | None = POSTGRES,
        before: tuple[str, ...] = (),
        alone: bool = False,
        finds_nothing: bool = False,
        permitted: frozenset[str] = frozenset(),
        absent: frozenset[str] = frozenset(),
    ) -> Sql:
        return Sql(
            about=self._about(what, guard),
            role=self._role,
            statement=statement,
            before=before,
            alone=alone,
            finds_nothing=finds_nothing,
            permitted=permitted,
            absent=absent,
        )


def _on_tables(
    names: TenantNames, *, facts: DatabaseFacts, neighbours: Sequence[Neighbour]
) -> Iterator[DatabaseAttempt]:
    """What each role may do with a table of the owner's: exactly what it needs; another tenant's role nothing."""
    roles = {RoleKind.APPLICATION: names.application_role, RoleKind.READER: names.reader_role}
    for kind, role in roles.items():
        for verb, statement in statements.ON_TABLES.items():
            may = verb in _RIGHTS[kind] and not (facts.writes_stopped and verb in _WRITES)
            yield _on_table(names, role=role, verb=verb, statement=statement, may=may)
    for other in neighbours[:1]:
        for verb in ("SELECT", "INSERT"):
            role = other.names.application_role
            yield _on_table(names, role=role, verb=verb, statement=statements.ON_TABLES[verb], may=False)


def _on_member_rows(tenant: ProvenTenant) -> Iterator[DatabaseAttempt]:
    """The application sees the rows of every member; the reader those that it is let see: of these none; a member
    its own."""
    names = tenant.names
    created, *others = statements.MEMBER_ROWS
    before = (
        # The administrator's sessions would rather fail than see some of the rows.
        "SET LOCAL row_security = on",
        f'SET LOCAL ROLE "{names.owner_role}"',
        created.format(column=MEMBER_COLUMN),
        *others,
    )
    every = statements.EVERY_MEMBER_ROW
    seen, unseen = "reads the rows of every member", "reads rows of members that it was not let see"
    as_role = [(*before, f'SET LOCAL ROLE "{role}"') for role in (names.application_role, names.reader_role)]
    control = _of_members(names.application_role, seen, every, before=as_role[0])
    yield control
    yield _of_members(names.reader_role, unseen, every, before=as_role[1], rests_on=control)
    members = [one for item in tenant.plan.resources if isinstance(item, PostgresMembers) for one in item.members]
    for member in members[:1]:
        yield from _on_own_rows(member_names(member, database=names.database), before=before)


def _on_member_schemas(tenant: ProvenTenant) -> Iterator[DatabaseAttempt]:
    """A member works in its own schema; nobody else reads there: no other member, nor reader, nor the application while
    it has not become the member."""
    names = tenant.names
    listed = [one for item in tenant.plan.resources if isinstance(item, PostgresMembers) for one in item.members]
    members = [member_names(one, database=names.database) for one in listed[:2]]
    for own in members[:1]:
        made = tuple(one.format(schema=own.schema) for one in statements.NEW_MEMBER_TABLE)
        ready = (f'SET LOCAL ROLE "{names.owner_role}"', *made)
        statement = statements.MEMBER_TABLE.format(schema=own.schema)
        as_member = {one.role: [each.format(role=one.role) for each in statements.AS_MEMBER] for one in members}
        others = {role: [f'SET LOCAL ROLE "{role}"'] for role in (names.application_role, names.reader_role)}
        before = {role: (*ready, *becoming) for role, becoming in (as_member | others).items()}
        control = _of_members(own.role, "works in its own schema", statement, before=before[own.role])
        yield control
        for role in sorted(set(before) - {own.role}):
            what = f"reads the schema of the member {own.id}"
            yield _of_members(role, what, statement, before=before[role], rests_on=control, finds_nothing=False)


def _on_own_rows(names: MemberNames, *, before: tuple[str, ...]) -> Iterator[DatabaseAttempt]:
    words = {"column": MEMBER_COLUMN, "member": names.id, "role": names.role}
    ready = (*before, *(one.format(**words) for one in (statements.OWN_MEMBER_ROW, *statements.AS_MEMBER)))
    own, others = (one.format(**words) for one in (statements.OWN_MEMBER_ROWS, statements.OTHER_MEMBERS_ROWS))
    control = _of_members(names.role, "reads the rows of its member", own, before=ready)
    yield control
    yield _of_members(names.role, "reads rows of other members", others, before=ready, rests_on=control)


def _of_members(
    role: str,
    what: str,
    statement: str,
    *,
    before: tuple[str, ...],
    rests_on: Sql | None = None,
    finds_nothing: bool = True,
) -> Sql:
    """A look at rows of members: one that must be refused, or find none, if it rests on a control."""
    about = About(
        id=f"database/{role}/{what}",
        area=Area.DATABASE,
        who=f"database role {role}",
        what=what,
        guard=POSTGRES if rests_on else None,
        rests_on=(rests_on.about.id,) if rests_on else (),
    )
    empty = finds_nothing and rests_on is not None
    return Sql(about=about, role=None, statement=statement, before=before, finds_nothing=empty)


def _on_table(names: TenantNames, *, role: str, verb: str, statement: str, may: bool) -> Sql:
    about = About(
        id=f"database/{role}/{verb}",
        area=Area.DATABASE,
        who=f"database role {role}",
        what=f"{verb} on a table of {names.owner_role}",
        guard=None if may else POSTGRES,
    )
    before = (
        f'SET LOCAL ROLE "{names.owner_role}"',
        *statements.NEW_TABLE,
        f'SET LOCAL ROLE "{role}"',
    )
    return Sql(about=about, role=None, statement=statement, before=before)


def _look(wanted: _PartOfStore) -> StoreLook:
    name = wanted.database if isinstance(wanted, PostgresGrants | PostgresMembers) else wanted.name
    kinds = {
        PostgresRole: "role",
        PostgresDatabase: "database",
        PostgresGrants: "grants of the database",
        PostgresMembers: "members in the database",
    }
    what = f"finds the {kinds[type(wanted)]} {name} as planned"
    return StoreLook(
        about=About(id=f"database/{wanted.key}", area=Area.DATABASE, who="coopctl", what=what), wanted=wanted
    )
