"""Members in the in-memory PostgreSQL: roles, schemas and access as values, compared by the same pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from provisioner.datastore.marks import Mark
from provisioner.datastore.postgres_member_facts import (
    Access,
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
from provisioner.datastore.postgres_privileges import Deviations, ObjectKind, Privilege, SqlObject
from provisioner.naming import all_member_names, member_names, member_of_schema, member_role_prefix
from provisioner.plan.resources import PostgresMembers

ADMINISTRATOR = "administrator"
# In column layout: the member (id) of each row, by table.
MemberRows = dict[SqlObject, list[str]]


@dataclass(kw_only=True)
class MemoryMembers:
    """The members of one database; ``tables`` (rows by table) and ``privileges`` are the database's own."""

    tables: dict[SqlObject, int]
    privileges: set[Privilege]
    roles: dict[str, MemberRole]
    schemas: dict[str, MemberSchema] = field(default_factory=dict)
    access: set[Access] = field(default_factory=set)
    rows: MemberRows = field(default_factory=dict)

    def read(self, wanted: PostgresMembers, *, mark: Mark, read_only: bool) -> MembersState:
        """The members as they are."""
        facts = self._facts(wanted)
        own = [one for one in facts.schemas.values() if mark.owns(one.mark)]
        opened = [one.name for one in own if is_open(one.mark, own=mark) and not wanted.member_column]
        roles = {one: member_names(member_of_schema(one), database=wanted.database).role for one in opened}
        present = {schema: role for schema, role in roles.items() if role in facts.roles}
        found = self._compared(wanted, [one.name for one in own], roles=present, read_only=read_only)
        return MembersState(
            provisioned=provisioned(wanted, facts, mark=mark),
            retained=retained(facts, mark=mark),
            deviations=(*fact_deviations(wanted, facts, mark=mark), *found.sentences()),
        )

    def ensure(self, wanted: PostgresMembers, *, mark: Mark, read_only: bool) -> None:
        """Make them as wanted."""
        facts = self._facts(wanted)
        require_own_members(wanted, facts, mark=mark)
        self._close(wanted, closing(wanted, facts, mark=mark))
        names = all_member_names(wanted.members, database=wanted.database).values()
        for one in names:
            self.roles[one.role] = MemberRole(
                name=one.role, closed=True, groups=wanted_groups(wanted), mark=mark, users=wanted_users(wanted)
            )
            if not wanted.member_column:
                self.schemas[one.schema] = MemberSchema(name=one.schema, owner=wanted.owner, mark=mark)
        if not wanted.member_column:
            self._mend(wanted, roles={one.schema: one.role for one in names}, read_only=read_only)
        self.access = set(wanted_access(wanted))
        for member in retained(self._facts(wanted), mark=mark):
            self._drop_if_empty(member_names(member, database=wanted.database).schema)
        for role in unwanted_roles(wanted, facts, mark=mark):
            self.roles.pop(role, None)

    def retire(self, wanted: PostgresMembers, *, mark: Mark) -> None:
        """Close everything and mark it as kept."""
        kept = replace(mark, retained=True)
        self._close(wanted, {one.name: kept for one in self.schemas.values() if mark.owns(one.mark)})
        for role in [one for one in self._facts(wanted).roles.values() if mark.owns(one.mark)]:
            self.roles[role.name] = replace(role, mark=kept)

    def with_rows(self, wanted: PostgresMembers, members: Iterable[str]) -> tuple[str, ...]:
        """Those of ``members`` that have a row."""
        if wanted.member_column:
            present = {member for rows in self.rows.values() for member in rows}
            return tuple(sorted(present & set(members)))
        found = [one for one in members if self._has_rows(member_names(one, database=wanted.database).schema)]
        return tuple(sorted(found))

    def _facts(self, wanted: PostgresMembers) -> MemberFacts:
        prefix = member_role_prefix(wanted.database)
        roles = {name: role for name, role in self.roles.items() if name.startswith(prefix)}
        return MemberFacts(roles=roles, schemas=dict(self.schemas), access=frozenset(self.access))

    def _close(self, wanted: PostgresMembers, schemas: Mapping[str, Mark]) -> None:
        for name, mark in schemas.items():
            self.schemas[name] = MemberSchema(name=name, owner=ADMINISTRATOR, mark=mark)
            self._mend(wanted, roles={}, closed=[name], read_only=False)

    def _mend(
        self, wanted: PostgresMembers, *, roles: dict[str, str], read_only: bool, closed: Iterable[str] = ()
    ) -> None:
        found = self._compared(wanted, [*roles, *closed], roles=roles, read_only=read_only)
        self.privileges -= {one for one in self.privileges if self._as_owned(one) in found.extra}
        self.privileges |= set(found.missing)

    def _compared(
        self, wanted: PostgresMembers, schemas: Iterable[str], *, roles: dict[str, str], read_only: bool
    ) -> Deviations:
        names = set(schemas)
        made = {SqlObject(kind=ObjectKind.SCHEMA, path=(name,), owner=self.schemas[name].owner) for name in names}
        objects = made | {one for one in self.tables if one.path[0] in names}
        # A privilege on a schema stays when the schema gets another owner.
        actual = {self._as_owned(one) for one in self.privileges if names & set(one.object.path[:2])}
        return member_deviations(
            wanted, roles=roles, objects=objects, actual=actual, read_only=read_only, exempt=frozenset()
        )

    def _as_owned(self, one: Privilege) -> Privilege:
        if one.object.kind is not ObjectKind.SCHEMA or one.object.path[0] not in self.schemas:
            return one
        return replace(one, object=replace(one.object, owner=self.schemas[one.object.path[0]].owner))

    def _has_rows(self, schema: str) -> bool:
        return any(rows for one, rows in self.tables.items() if one.path[0] == schema)

    def _drop_if_empty(self, schema: str) -> None:
        if self._has_rows(schema):
            return
        del self.schemas[schema]
        for one in [table for table in self.tables if table.path[0] == schema]:
            del self.tables[one]
        self.privileges -= {one for one in self.privileges if schema in one.object.path[:2]}
