"""The roles of the moved database on the target, and what belongs to the database itself rather than to its schema.

A role keeps its name and its password's verifier, so that applications need no new credentials on the day of the
switch. On the target it may not log in until then: that is the target's own fence. Attributes that only a superuser
gives are never carried, and a role that is a superuser on the target, or the migration's own login, is not touched. Who
administers the source, as a superuser or as the database's owner, is made at most as a name.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.datastore.postgres_roles import is_superuser
from provisioner.naming import is_replication_name

# A membership says what it gives (PostgreSQL manual, "GRANT").
OPTIONS_SINCE = 160000
# Settings whose value is a list of names: as one literal it would be one name with commas in it (pg_dump knows them
# by the flag GUC_LIST_QUOTE).
_LISTS = frozenset({"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"})
_ROLES = """
    SELECT rolname::text, rolcanlogin, rolinherit, rolconnlimit, rolvaliduntil::text
    FROM pg_roles WHERE rolname = ANY (%(names)s) AND rolname !~ '^pg_' AND NOT rolsuper
      AND oid <> (SELECT datdba FROM pg_database WHERE datname = current_database()) ORDER BY 1
"""
_MEMBERSHIPS = """
    SELECT g.rolname::text, m.rolname::text, a.admin_option FROM pg_auth_members a
    JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
    WHERE g.rolname = ANY (%(names)s) AND m.rolname = ANY (%(names)s) ORDER BY 1, 2
"""
_SETTINGS = """
    SELECT coalesce(r.rolname::text, ''), s.setdatabase <> 0, unnest(s.setconfig) FROM pg_db_role_setting s
    LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
    WHERE (s.setdatabase = 0 OR d.datname = current_database())
      AND (s.setrole = 0 OR r.rolname = ANY (%(names)s)) AND NOT (s.setrole = 0 AND s.setdatabase = 0)
    ORDER BY 1, 2, 3
"""
_RIGHTS = """
    SELECT CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable
    FROM pg_database d CROSS JOIN aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
    WHERE d.datname = current_database() AND a.grantee <> d.datdba ORDER BY 1, 2
"""
_DATABASE = """
    SELECT shobj_description(oid, 'pg_database'), datconnlimit FROM pg_database WHERE datname = current_database()
"""
_UNTOUCHED = "SELECT rolname::text FROM pg_roles WHERE rolsuper OR rolname = current_user"


@dataclass(frozen=True, kw_only=True)
class MovedRole:
    """A role as the source has it; ``verifier`` is what the server stores of its password."""

    name: str
    login: bool
    inherit: bool
    connection_limit: int
    valid_until: str | None
    verifier: str | None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting of a role ("" for all), in the moved database or everywhere."""

    role: str
    in_database: bool
    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class DatabaseRight:
    """A right on the database; the grantee "" is PUBLIC."""

    grantee: str
    right: str
    grantable: bool


@dataclass(frozen=True, kw_only=True)
class RolesToMove:
    """All that has to be made outside the schema."""

    roles: tuple[MovedRole, ...]
    memberships: tuple[tuple[str, str, bool], ...]
    settings: tuple[Setting, ...]
    rights: tuple[DatabaseRight, ...]
    comment: str | None
    connection_limit: int

    @property
    def logins(self) -> tuple[str, ...]:
        """The roles that may log in on the source."""
        return tuple(role.name for role in self.roles if role.login)


def read_roles(connection: Connection, names: Iterable[str]) -> RolesToMove:
    """What the source has. Verifiers are seen by a superuser and by who may read all data; a role without one has no
    password on the target."""
    wanted = {"names": sorted(name for name in names if not is_replication_name(name))}
    visible = scalar(connection, "SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')")
    verifiers: dict[str, str | None] = (
        dict(rows(connection, "SELECT rolname::text, rolpassword FROM pg_authid")) if visible else {}
    )
    comment, limit = rows(connection, _DATABASE)[0]
    return RolesToMove(
        roles=tuple(
            MovedRole(
                name=name,
                login=login,
                inherit=inherit,
                connection_limit=most,
                valid_until=until,
                verifier=verifiers.get(name),
            )
            for name, login, inherit, most, until in rows(connection, _ROLES, wanted)
        ),
        memberships=tuple((group, member, admin) for group, member, admin in rows(connection, _MEMBERSHIPS, wanted)),
        settings=tuple(_setting(*row) for row in rows(connection, _SETTINGS, wanted)),
        rights=tuple(
            DatabaseRight(grantee=grantee, right=right, grantable=grantable)
            for grantee, right, grantable in rows(connection, _RIGHTS)
            if not is_replication_name(grantee)
        ),
        comment=comment,
        connection_limit=limit,
    )


def make_roles(connection: Connection, wanted: RolesToMove, *, names: Iterable[str]) -> None:
    """Make on the target what is missing, without login; ``names`` are all roles that the schema mentions.

    Those of them that are superusers on the source are made without any right. Idempotent.
    """
    untouched = {name for (name,) in rows(connection, _UNTOUCHED)}
    present = {name for (name,) in rows(connection, "SELECT rolname::text FROM pg_roles")}
    with connection.transaction():
        for name in sorted(set(names) - present):
            if not name.startswith("pg_") and not is_replication_name(name):
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
        for role in wanted.roles:
            if role.name not in untouched:
                connection.execute(_attributes(role))
        for group, member, admin in wanted.memberships:
            if member not in untouched:
                connection.execute(_membership(group, member, admin=admin))


def join_roles(connection: Connection, names: Iterable[str]) -> None:
    """Make the login a member of these roles, with their rights: who is no superuser gives to nobody else, and the
    subscription changes rows as whoever owns their table. Idempotent.

    Raises psycopg's InsufficientPrivilege, which `session` translates, for a role that the login does not administer.
    """
    known = {name for (name,) in rows(connection, "SELECT rolname::text FROM pg_roles WHERE rolname <> current_user")}
    options = sql.SQL(" WITH INHERIT TRUE, SET TRUE" if connection.info.server_version >= OPTIONS_SINCE else "")
    with connection.transaction():
        for name in sorted(known.intersection(names)):
            if not name.startswith("pg_"):
                connection.execute(sql.SQL("GRANT {} TO CURRENT_USER{}").format(sql.Identifier(name), options))


def set_database_properties(connection: Connection, wanted: RolesToMove) -> None:
    """Settings, rights, comment and connection limit of the database, and settings of the roles. Idempotent."""
    untouched = {name for (name,) in rows(connection, _UNTOUCHED)}
    database = sql.Identifier(str(scalar(connection, "SELECT current_database()")))
    with connection.transaction():
        for setting in wanted.settings:
            if setting.role not in untouched:
                connection.execute(_set(setting, database=database))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        for one in wanted.rights:
            whom = sql.Identifier(one.grantee) if one.grantee else sql.SQL("PUBLIC")
            option = sql.SQL(" WITH GRANT OPTION" if one.grantable else "")
            right = sql.SQL(one.right)
            connection.execute(sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(right, database, whom, option))
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(wanted.comment)))
        limit = sql.Literal(wanted.connection_limit)
        connection.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, limit))


def drop_made_roles(connection: Connection, names: Iterable[str]) -> None:
    """Take the short-lived roles of a migration, with their rights in the connection's database."""
    superuser = is_superuser(connection)
    for name in sorted(names):
        if scalar(connection, "SELECT true FROM pg_roles WHERE rolname = %(name)s", {"name": name}):
            if not superuser:
                # Who made a role has not its rights by that, and may not drop what it has been given.
                connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _attributes(role: MovedRole) -> sql.Composed:
    return sql.SQL("ALTER ROLE {} NOLOGIN {} CONNECTION LIMIT {} PASSWORD {} VALID UNTIL {}").format(
        sql.Identifier(role.name),
        sql.SQL("INHERIT" if role.inherit else "NOINHERIT"),
        sql.Literal(role.connection_limit),
        sql.Literal(role.verifier),
        sql.Literal(role.valid_until or "infinity"),
    )


def _membership(group: str, member: str, *, admin: bool) -> sql.Composed:
    option = sql.SQL(" WITH ADMIN OPTION" if admin else "")
    return sql.SQL("GRANT {} TO {}{}").format(sql.Identifier(group), sql.Identifier(member), option)


def _setting(role: str, in_database: bool, entry: str) -> Setting:  # noqa: FBT001 - a row of the catalogue
    name, _, value = entry.partition("=")
    return Setting(role=role, in_database=in_database, name=name, value=value)


def _set(setting: Setting, *, database: sql.Identifier) -> sql.Composed:
    whom = (
        sql.SQL("ROLE {}").format(sql.Identifier(setting.role))
        if setting.role
        else sql.SQL("DATABASE {}").format(database)
    )
    where = sql.SQL(" IN DATABASE {}").format(database) if setting.role and setting.in_database else sql.SQL("")
    name = sql.Identifier(*setting.name.split("."))
    return sql.SQL("ALTER {}{} SET {} TO {}").format(whom, where, name, _value(setting))


def _value(setting: Setting) -> sql.Composable:
    if setting.name not in _LISTS:
        return sql.Literal(setting.value)
    return sql.SQL(", ").join(sql.Literal(part.strip().strip('"')) for part in setting.value.split(","))
