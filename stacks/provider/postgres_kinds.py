"""The kinds `coopctl:postgres:Role`, `:Database` and `:Grants`."""

from collections.abc import Sequence

from provisioner.datastore.credentials import Secret, generate_password
from provisioner.datastore.postgres import DatabaseState, RoleState
from provisioner.plan.resources import PostgresDatabase, PostgresGrants, PostgresRole, RoleKind
from stacks.provider.kinds import (
    DEVIATIONS,
    ROTATION,
    Shape,
    Stores,
    elsewhere,
    mark_deviations,
    may_delete_data,
    number,
    renews,
    required,
    rotation,
    text,
    text_map,
    texts,
)
from stacks.provider.properties import UNKNOWN, Plain, Properties, State

NO_LIMIT = -1
NAMES = 5  # of a database and its four roles, the first fields of its privileges
ERASED_DEVIATION = "it is here again, and its data store was erased here"
PASSWORD_DEVIATION = "the password was changed"  # noqa: S105 - a sentence, not a password


class RoleResource:
    """A database role; a role that logs in has a generated password, which a later create replaces.

    With another ``rotation`` the password is a new one, where the data store lives, too. An ``erased`` role is there
    alone: what is here of it goes.
    """

    shape = Shape(
        fields=("name", "kind", "login", "connectionLimit", "memberOf", "settings", "fenced", ROTATION, "erased"),
        replaced_by=frozenset({"name"}),
        generated=("password",),
        secrets=frozenset({"password"}),
        renewed_by=frozenset({ROTATION}),
    )

    def identifier(self, inputs: Properties) -> str:
        """The role's name."""
        return text(inputs.get("name"))

    def problems(self, inputs: Properties, *, stores: Stores) -> Sequence[tuple[str, str]]:  # noqa: ARG002 - the protocol's
        """A role needs a name and a known kind."""
        kind = inputs.get("kind")
        known = kind is UNKNOWN or kind in list(RoleKind)
        wrong = [] if known else [("kind", f"must be one of {', '.join(RoleKind)}")]
        return [*required("name", inputs.get("name")), *wrong]

    def create(self, inputs: Properties, *, stores: Stores) -> State:
        """Make or adopt the role; the password is always a new one."""
        return self._made(inputs, known=None, stores=stores)

    def read(self, state: Properties, *, stores: Stores) -> State | None:
        """The role as it is; the password stays the state's, and a changed one is a deviation."""
        found = stores.postgres.read_role(self.identifier(state))
        if state.get("erased") is True:
            return _erased(state, password=_password(state), deviations=[ERASED_DEVIATION] if found else [])
        return None if found is None else self._state(found, before=state, password=_password(state), stores=stores)

    def update(self, state: Properties, inputs: Properties, *, stores: Stores) -> State:
        """Bring the role to ``inputs``, with the password that the state knows unless they ask for another."""
        known = None if renews(self, state=state, inputs=inputs) else _password(state)
        return self._made(inputs, known=known, stores=stores)

    def delete(self, state: Properties, *, stores: Stores) -> None:
        """Drop the role; while its database is kept it only loses login and password."""
        stores.postgres.drop_role(self.identifier(state), mark=stores.mark)

    def _made(self, inputs: Properties, *, known: Secret | None, stores: Stores) -> State:
        """A new password is set here first: cut off between the two, the state knows the old one and asks again."""
        wanted = _role(inputs)
        password = (known or generate_password()) if wanted.login else None
        if wanted.erased:
            stores.postgres.drop_role(wanted.name, mark=stores.mark)
        else:
            stores.postgres.ensure_role(wanted, mark=stores.mark, password=password)
        if wanted.rotation and password is not None and known is None:
            elsewhere(stores, what=f"the role {wanted.name}").set_password(wanted.name, password)
        if wanted.erased:
            return _erased(inputs, password=password, deviations=[])
        return self._after(wanted, inputs=inputs, password=password, stores=stores)

    def _after(self, wanted: PostgresRole, *, inputs: Properties, password: Secret | None, stores: Stores) -> State:
        found = stores.postgres.read_role(wanted.name)
        made = found or RoleState(name=wanted.name, login=wanted.login, connection_limit=wanted.connection_limit)
        return self._state(made, before=inputs, password=password, stores=stores)

    def _state(self, found: RoleState, *, before: Properties, password: Secret | None, stores: Stores) -> State:
        deviations: list[Plain] = [f"not wanted: {one}" for one in found.attributes]
        # What may not log in and is meant to keeps its password: it is fenced, whoever did it.
        fenced = before.get("login") is True and not found.login
        if (found.login or fenced) and password and not stores.postgres.has_password(found.name, password):
            deviations.append(PASSWORD_DEVIATION)
        return {
            "name": found.name,
            "kind": before.get("kind"),
            "login": found.login or fenced,
            **({"fenced": True} if fenced else {}),
            **rotation(before),
            "connectionLimit": found.connection_limit,
            "memberOf": list(found.member_of),
            "settings": dict(found.settings),
            "password": password,
            DEVIATIONS: [*deviations, *mark_deviations(found.mark, own=stores.mark)],
        }


class DatabaseResource:
    """A database. It is never replaced, and deleted only when it is empty or the provider may delete data."""

    shape = Shape(fields=("name", "owner", "connectionLimit", "extensions"), protected=frozenset({"name"}))

    def identifier(self, inputs: Properties) -> str:
        """The database's name."""
        return text(inputs.get("name"))

    def problems(self, inputs: Properties, *, stores: Stores) -> Sequence[tuple[str, str]]:
        """A database needs name and owner; extensions come from the Platform's allow list."""
        refused = [
            ("extensions", f"{one!r} is not among the extensions that the Platform allows")
            for one in texts(inputs.get("extensions"))
            if one not in stores.allowed_extensions
        ]
        return [*required("name", inputs.get("name")), *required("owner", inputs.get("owner")), *refused]

    def create(self, inputs: Properties, *, stores: Stores) -> State:
        """Make or adopt the database."""
        wanted = _database(inputs)
        stores.postgres.ensure_database(wanted, mark=stores.mark)
        found = stores.postgres.read_database(wanted.name)
        if found is not None and (unwanted := _not_allowed(found, stores=stores)):
            stores.postgres.drop_extensions(wanted.name, unwanted)
            found = stores.postgres.read_database(wanted.name)
        made = found or DatabaseState(name=wanted.name, owner=wanted.owner, connection_limit=wanted.connection_limit)
        return self._state(made, declared=wanted.extensions, stores=stores)

    def read(self, state: Properties, *, stores: Stores) -> State | None:
        """The database as it is."""
        found = stores.postgres.read_database(self.identifier(state))
        declared = texts(state.get("extensions"))
        return None if found is None else self._state(found, declared=declared, stores=stores)

    def update(self, state: Properties, inputs: Properties, *, stores: Stores) -> State:  # noqa: ARG002 - the protocol's
        """Bring the database to ``inputs`` in place."""
        return self.create(inputs, stores=stores)

    def delete(self, state: Properties, *, stores: Stores) -> None:
        """Drop it if it is empty or a final dump holds it; else keep it, closed and marked."""
        name = self.identifier(state)
        found = stores.postgres.read_database(name)
        may = may_delete_data(found.mark if found else None, stores=stores, what=f"the database {name}")
        stores.postgres.retire_database(name, mark=stores.mark, delete_data=may)

    def _state(self, found: DatabaseState, *, declared: tuple[str, ...], stores: Stores) -> State:
        deviations: list[Plain] = [f"not wanted: the extension {one}" for one in _not_allowed(found, stores=stores)]
        deviations += mark_deviations(found.mark, own=stores.mark)
        # An extension that is allowed and no longer declared stays: dropping it could drop columns.
        return {
            "name": found.name,
            "owner": found.owner,
            "connectionLimit": found.connection_limit,
            "extensions": [one for one in declared if one in found.extensions],
            DEVIATIONS: deviations,
        }


class GrantsResource:
    """All privileges in a tenant's database; its state says in words how they deviate."""

    shape = Shape(
        fields=(
            "database",
            "owner",
            "application",
            "reader",
            "migration",
            "storageBytes",
            "memberColumn",
            "writesStopped",
        ),
        replaced_by=frozenset({"database"}),
    )

    def identifier(self, inputs: Properties) -> str:
        """The database's name."""
        return text(inputs.get("database"))

    def problems(self, inputs: Properties, *, stores: Stores) -> Sequence[tuple[str, str]]:  # noqa: ARG002 - the protocol's
        """Database and all four roles must be named."""
        return [problem for name in self.shape.fields[:NAMES] for problem in required(name, inputs.get(name))]

    def create(self, inputs: Properties, *, stores: Stores) -> State:
        """Bring privileges to exactly the wanted ones."""
        wanted = _grants(inputs)
        stores.postgres.ensure_grants(wanted)
        return self._state(inputs, wanted=wanted, stores=stores)

    def read(self, state: Properties, *, stores: Stores) -> State | None:
        """The deviations now; gone with the database."""
        wanted = _grants(state)
        if stores.postgres.read_database(wanted.database) is None:
            return None
        return self._state(state, wanted=wanted, stores=stores)

    def update(self, state: Properties, inputs: Properties, *, stores: Stores) -> State:  # noqa: ARG002 - the protocol's
        """Bring privileges to exactly the wanted ones."""
        return self.create(inputs, stores=stores)

    def delete(self, state: Properties, *, stores: Stores) -> None:
        """Take the privileges away."""
        stores.postgres.revoke_grants(_grants(state))

    def _state(self, before: Properties, *, wanted: PostgresGrants, stores: Stores) -> State:
        deviations: list[Plain] = list(stores.postgres.read_deviations(wanted))
        declared = {name: before[name] for name in self.shape.fields if name in before}
        return declared | {DEVIATIONS: deviations}


def _role(inputs: Properties) -> PostgresRole:
    name = text(inputs.get("name"))
    return PostgresRole(
        key=name,
        name=name,
        kind=RoleKind(text(inputs.get("kind"))),
        login=inputs.get("login") is True,
        connection_limit=number(inputs.get("connectionLimit"), default=NO_LIMIT),
        member_of=texts(inputs.get("memberOf")),
        settings=text_map(inputs.get("settings")),
        fenced=inputs.get("fenced") is True,
        rotation=number(inputs.get(ROTATION), default=0),
        erased=inputs.get("erased") is True,
    )


def _password(state: Properties) -> Secret | None:
    value = state.get("password")
    return Secret(value) if isinstance(value, str) and value else None


def _erased(inputs: Properties, *, password: Secret | None, deviations: list[Plain]) -> State:
    """The state of a role that is nowhere but where its data store lives."""
    own = {name: inputs.get(name) for name in RoleResource.shape.fields if inputs.get(name) is not None}
    return {**own, "password": password, DEVIATIONS: deviations}


def _database(inputs: Properties) -> PostgresDatabase:
    name = text(inputs.get("name"))
    return PostgresDatabase(
        key=name,
        name=name,
        owner=text(inputs.get("owner")),
        connection_limit=number(inputs.get("connectionLimit"), default=NO_LIMIT),
        extensions=texts(inputs.get("extensions")),
    )


def _not_allowed(found: DatabaseState, *, stores: Stores) -> tuple[str, ...]:
    return tuple(one for one in found.extensions if one not in stores.allowed_extensions)


def _grants(inputs: Properties) -> PostgresGrants:
    database = text(inputs.get("database"))
    return PostgresGrants(
        key=database,
        database=database,
        owner=text(inputs.get("owner")),
        application=text(inputs.get("application")),
        reader=text(inputs.get("reader")),
        migration=text(inputs.get("migration")),
        storage_bytes=number(inputs.get("storageBytes"), default=0),
        member_column=text(inputs.get("memberColumn")),
        writes_stopped=inputs.get("writesStopped") is True,
    )
