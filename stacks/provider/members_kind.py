"""The kind `coopctl:postgres:Members`: all members of a cooperative in one resource, however many they are."""

from collections.abc import Sequence

from provisioner.datastore.postgres_member_facts import MembersState
from provisioner.errors import UsageError
from provisioner.naming import MEMBER_ID_PATTERN, all_member_names
from provisioner.plan.resources import PostgresMembers
from stacks.provider.kinds import DEVIATIONS, Shape, Stores, number, required, text, texts
from stacks.provider.properties import UNKNOWN, Plain, Properties, State

NAMES = 4  # of a database and three of its roles, the first fields


class MembersResource:
    """A cooperative's members in its database. What holds a member's rows is never deleted: it is closed and marked."""

    shape = Shape(
        fields=(
            "database",
            "owner",
            "application",
            "reader",
            "members",
            "memberColumn",
            "storageBytes",
            "writesStopped",
        ),
        replaced_by=frozenset({"database"}),
    )

    def identifier(self, inputs: Properties) -> str:
        """The database's name."""
        return text(inputs.get("database"))

    def problems(self, inputs: Properties, *, stores: Stores) -> Sequence[tuple[str, str]]:  # noqa: ARG002 - the protocol's
        """Database and roles must be named, and every member by an id that no other has."""
        missing = [problem for name in self.shape.fields[:NAMES] for problem in required(name, inputs.get(name))]
        return [*missing, *_member_problems(inputs)]

    def create(self, inputs: Properties, *, stores: Stores) -> State:
        """Make or adopt roles and schemas."""
        wanted = _members(inputs)
        stores.postgres.ensure_members(wanted, mark=stores.mark)
        found = stores.postgres.read_members(wanted, mark=stores.mark)
        return _state(inputs, found=found or MembersState(provisioned=wanted.members))

    def read(self, state: Properties, *, stores: Stores) -> State | None:
        """The members as they are; gone with the database."""
        found = stores.postgres.read_members(_members(state), mark=stores.mark)
        return None if found is None else _state(state, found=found)

    def update(self, state: Properties, inputs: Properties, *, stores: Stores) -> State:  # noqa: ARG002 - the protocol's
        """Bring them to ``inputs``; who is no longer among them loses role and access, and keeps rows."""
        return self.create(inputs, stores=stores)

    def delete(self, state: Properties, *, stores: Stores) -> None:
        """Close everything and mark it as kept; it is dropped with the database, if that is."""
        stores.postgres.retire_members(_members(state), mark=stores.mark)


def _member_problems(inputs: Properties) -> list[tuple[str, str]]:
    listed = inputs.get("members")
    if listed is UNKNOWN or listed is None:
        return []
    if not isinstance(listed, list):
        return [("members", "must be a list of ids")]
    wrong = [one for one in listed if not isinstance(one, str) or not MEMBER_ID_PATTERN.fullmatch(one)]
    if wrong:
        return [("members", f"{wrong[0]!r} is not the id of a member")]
    try:
        all_member_names(texts(listed), database=text(inputs.get("database")))
    except UsageError as error:
        return [("members", error.message)]
    return []


def _members(inputs: Properties) -> PostgresMembers:
    database = text(inputs.get("database"))
    return PostgresMembers(
        key=database,
        database=database,
        owner=text(inputs.get("owner")),
        application=text(inputs.get("application")),
        reader=text(inputs.get("reader")),
        members=texts(inputs.get("members")),
        member_column=text(inputs.get("memberColumn")),
        storage_bytes=number(inputs.get("storageBytes"), default=0),
        writes_stopped=inputs.get("writesStopped") is True,
    )


def _state(before: Properties, *, found: MembersState) -> State:
    deviations: list[Plain] = list(found.deviations)
    members: list[Plain] = list(found.provisioned)
    declared = {name: before[name] for name in MembersResource.shape.fields if name in before}
    return declared | {"members": members, DEVIATIONS: deviations}
