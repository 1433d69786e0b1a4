"""Pure: what there is of a cooperative's members in its database, and how it differs from what must be.

Two things make a member: its role, and (by the layout) its schema or its row in the table of access. Everything whose
name could be a member's is looked at, whoever made it: the tenant's other privileges are compared without it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from provisioner.datastore.marks import Mark, require_own
from provisioner.naming import MemberNames, all_member_names, member_names, member_of_schema
from provisioner.plan.resources import PostgresMembers

Access = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class MemberRole:
    """A role whose name is that of a member: ``closed`` if it neither logs in nor has any attribute but INHERIT.

    It has the rights of its ``groups``. ``users`` is the application, if that belongs to it; where it has more by that
    than to become it with SET ROLE, what it has stands behind its name.
    """

    name: str
    closed: bool
    groups: frozenset[str]
    mark: Mark | None
    users: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class MemberSchema:
    """A schema whose name is that of a member."""

    name: str
    owner: str
    mark: Mark | None


@dataclass(frozen=True, kw_only=True)
class MemberFacts:
    """Roles and schemas by their names, and who has access to whose rows: (role, member's id)."""

    roles: Mapping[str, MemberRole]
    schemas: Mapping[str, MemberSchema]
    access: frozenset[Access]


@dataclass(frozen=True, kw_only=True)
class MembersState:
    """Members as the database has them, by their ids, sorted.

    ``provisioned`` have all that they need; of ``retained`` nothing is left but a closed schema with its data;
    ``deviations`` are in words.
    """

    provisioned: tuple[str, ...]
    retained: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()


def is_open(mark: Mark | None, *, own: Mark) -> bool:
    """Whether what bears ``mark`` is the cooperative's own and in use: neither closed nor about to be deleted."""
    return mark == own


def provisioned(wanted: PostgresMembers, facts: MemberFacts, *, mark: Mark) -> tuple[str, ...]:
    """The members, wanted or not, that have a role and, by the layout, access or a schema."""
    if wanted.member_column:
        found = [(member, role) for role, member in facts.access if _is_role_of(member, role=role, wanted=wanted)]
    else:
        found = [
            (member, member_names(member, database=wanted.database).role)
            for member in (member_of_schema(one.name) for one in facts.schemas.values() if is_open(one.mark, own=mark))
        ]
    roles = {one.name for one in facts.roles.values() if is_open(one.mark, own=mark)}
    return tuple(sorted({member for member, role in found if role in roles}))


def retained(facts: MemberFacts, *, mark: Mark) -> tuple[str, ...]:
    """The members whose schema is closed and kept."""
    kept = [one for one in facts.schemas.values() if mark.owns(one.mark) and not is_open(one.mark, own=mark)]
    return tuple(sorted(member_of_schema(one.name) for one in kept))


def closing(wanted: PostgresMembers, facts: MemberFacts, *, mark: Mark) -> dict[str, Mark]:
    """The cooperative's own schemas that no wanted member has, each with the mark that it must bear when closed."""
    kept = set() if wanted.member_column else {one.schema for one in _names(wanted)}
    return {
        one.name: replace(mark, retained=True) if is_open(one.mark, own=mark) else one.mark
        for one in facts.schemas.values()
        if one.name not in kept and one.mark is not None and mark.owns(one.mark)
    }


def unwanted_roles(wanted: PostgresMembers, facts: MemberFacts, *, mark: Mark) -> tuple[str, ...]:
    """The cooperative's own roles of members that are not wanted."""
    kept = {one.role for one in _names(wanted)}
    return tuple(sorted(one.name for one in facts.roles.values() if mark.owns(one.mark) and one.name not in kept))


def wanted_access(wanted: PostgresMembers) -> frozenset[Access]:
    """The rows that the table of access must have, and no others."""
    return frozenset((one.role, one.id) for one in _names(wanted)) if wanted.member_column else frozenset()


def wanted_groups(wanted: PostgresMembers) -> frozenset[str]:
    """The roles whose rights a member's role inherits."""
    return frozenset({wanted.reader}) if wanted.member_column else frozenset()


def wanted_users(wanted: PostgresMembers) -> frozenset[str]:
    """Who becomes a member's role with SET ROLE: the application, where each member has a schema."""
    return frozenset() if wanted.member_column else frozenset({wanted.application})


def require_own_members(wanted: PostgresMembers, facts: MemberFacts, *, mark: Mark) -> None:
    """Raise NotOurs if a wanted member's role or schema belongs to somebody else."""
    for one in _names(wanted):
        if (role := facts.roles.get(one.role)) is not None:
            require_own(role.mark, own=mark, what=f"the PostgreSQL role {one.role}")
        schema = None if wanted.member_column else facts.schemas.get(one.schema)
        if schema is not None:
            require_own(schema.mark, own=mark, what=f"the schema {one.schema} of {wanted.database}")


def fact_deviations(wanted: PostgresMembers, facts: MemberFacts, *, mark: Mark) -> Iterator[str]:
    """What is wrong, but for privileges and for members that are missing altogether."""
    present = set(provisioned(wanted, facts, mark=mark))
    known = {one.role for one in _all(present | set(wanted.members), wanted=wanted)}
    for role in sorted(facts.roles.values(), key=lambda one: one.name):
        yield from _role_deviations(role, known=known, wanted=wanted, mark=mark)
    for schema in sorted(facts.schemas.values(), key=lambda one: one.name):
        yield from _schema_deviations(schema, wanted=wanted, mark=mark)
    yield from _access_deviations(wanted, facts, present=present)


def _access_deviations(wanted: PostgresMembers, facts: MemberFacts, *, present: Collection[str]) -> Iterator[str]:
    own = {(one.role, one.id) for one in _all(present, wanted=wanted)} if wanted.member_column else set()
    for role, member in sorted(facts.access - own):
        yield f"not wanted: {role} sees the rows of {member}"


def _role_deviations(role: MemberRole, *, known: Collection[str], wanted: PostgresMembers, mark: Mark) -> Iterator[str]:
    if not mark.owns(role.mark):
        yield f"the role {role.name} is named as a member's and does not bear the mark"
        return
    if role.name not in known and is_open(role.mark, own=mark):
        yield f"not wanted: the role {role.name}"
    if not role.closed:
        yield f"not wanted: the role {role.name} logs in, does not inherit or has attributes"
    if is_open(role.mark, own=mark) and role.groups != wanted_groups(wanted):
        yield f"the role {role.name} has the rights of {', '.join(sorted(role.groups)) or 'nobody else'}"
    if is_open(role.mark, own=mark) and role.users != wanted_users(wanted):
        yield f"the role {role.name} is taken by {', '.join(sorted(role.users)) or 'nobody'}"


def _schema_deviations(schema: MemberSchema, *, wanted: PostgresMembers, mark: Mark) -> Iterator[str]:
    if not mark.owns(schema.mark):
        yield f"the schema {schema.name} is named as a member's and does not bear the mark"
    elif is_open(schema.mark, own=mark) is not (schema.owner == wanted.owner):
        yield f"the schema {schema.name} belongs to {schema.owner}"
    elif wanted.member_column and is_open(schema.mark, own=mark):
        yield f"not wanted: the schema {schema.name}"


def _is_role_of(member: str, *, role: str, wanted: PostgresMembers) -> bool:
    return member_names(member, database=wanted.database).role == role


def _names(wanted: PostgresMembers) -> Collection[MemberNames]:
    return all_member_names(wanted.members, database=wanted.database).values()


def _all(members: Collection[str], *, wanted: PostgresMembers) -> Collection[MemberNames]:
    return [member_names(one, database=wanted.database) for one in sorted(members)]
