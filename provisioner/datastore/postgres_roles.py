"""Roles: reading, ensuring and dropping them over an administrator's connection.

A tenant's role never has a right of its own beyond logging in: what it may do comes from grants alone. The role and
its mark are made in one transaction, so no kill leaves a role without an owner.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from functools import partial

from psycopg import errors, sql

from provisioner.datastore.credentials import Secret
from provisioner.datastore.marks import Fate, Mark, from_comment, require_own, to_comment
from provisioner.datastore.postgres import RoleState
from provisioner.datastore.postgres_connection import Connection, lock_server_wide, retrying, rows, scalar
from provisioner.naming import becomes_member, is_member_role
from provisioner.plan.resources import PostgresRole, RoleKind

SAFE_ATTRIBUTES = sql.SQL("NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS")
# Without superuser, PostgreSQL refuses to mention attributes that only a superuser may change, even to deny them.
SAFE_ATTRIBUTES_BY_ADMIN = sql.SQL("NOCREATEDB NOCREATEROLE")

_ROLE = """
    SELECT r.rolcanlogin, r.rolconnlimit, r.rolsuper, r.rolcreatedb, r.rolcreaterole, r.rolreplication,
           r.rolbypassrls, r.rolinherit, shobj_description(r.oid, 'pg_authid'),
           (SELECT setconfig FROM pg_db_role_setting WHERE setrole = r.oid AND setdatabase = 0)
    FROM pg_roles r WHERE r.rolname = %(name)s
"""
_ATTRIBUTES = ("SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS", "INHERIT")
_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):[A-Za-z0-9+/=]+")
# Each group once, however many granted it: admin option, inherits, may SET ROLE. Since PostgreSQL 16 the last two are
# options of a membership; before, a member inherits if its role does, and may always SET ROLE.
_MEMBERSHIPS = """
    SELECT g.rolname, bool_or(m.admin_option), false, true FROM pg_auth_members m
    JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
    WHERE r.rolname = %(name)s GROUP BY 1 ORDER BY 1
"""
_MEMBERSHIPS_16 = """
    SELECT g.rolname, bool_or(m.admin_option), bool_or(m.inherit_option), bool_or(m.set_option) FROM pg_auth_members m
    JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
    WHERE r.rolname = %(name)s GROUP BY 1 ORDER BY 1
"""
MEMBERSHIP_OPTIONS_SINCE = 160000
# So many roles in one statement: each is locked until its end.
DROPPED_AT_ONCE = 200
_ADMIN_OF, _INHERITS = "ADMIN OF ", "INHERITS "
_OWN_DATABASES = """
    SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE NOT datistemplate
"""
_MARKED_ROLES = """
    SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles
    WHERE shobj_description(oid, 'pg_authid') IS NOT NULL ORDER BY 1
"""


def read_role(connection: Connection, name: str) -> RoleState | None:
    """The role as it is, or None."""
    found = rows(connection, _ROLE, {"name": name})
    if not found:
        return None
    login, limit, *flags, comment, settings = found[0]
    options = has_membership_options(connection)
    listed = rows(connection, _MEMBERSHIPS_16 if options else _MEMBERSHIPS, {"name": name})
    # That the application becomes members' roles is the matter of the members, which are one resource of their own.
    memberships = [one for one in listed if not becomes_member(name, role=one[0])]
    attributes = [label for label, on in zip(_ATTRIBUTES, flags, strict=True) if on and (login or label != "INHERIT")]
    attributes += [f"{_ADMIN_OF}{group}" for group, admin, _, _ in memberships if admin]
    attributes += [f"{_INHERITS}{group}" for group, _, inherits, _ in memberships if inherits]
    return RoleState(
        name=name,
        login=login,
        connection_limit=limit,
        member_of=tuple(sorted(group for group, *_, may_set in memberships if may_set)),
        settings=dict(sorted(entry.split("=", 1) for entry in settings or ())),
        attributes=tuple(attributes),
        mark=from_comment(comment),
    )


def ensure_role(connection: Connection, wanted: PostgresRole, *, mark: Mark, password: Secret | None) -> None:
    """Make the role as wanted, whether or not it exists; all in one transaction."""
    retrying(lambda: _ensure_role(connection, wanted, mark=mark, password=password))


def has_password(connection: Connection, name: str, password: Secret) -> bool:
    """Whether ``password`` opens the role. Only a superuser may see verifiers; for others it counts as right."""
    if not is_superuser(connection):
        return True
    verifier = scalar(connection, "SELECT rolpassword FROM pg_authid WHERE rolname = %(name)s", {"name": name})
    return _matches(verifier or "", password)


def drop_role(connection: Connection, name: str, *, mark: Mark) -> Fate:
    """Drop the role, or disable it while a database of the cooperative, or anything that it owns, exists."""
    return retrying(lambda: _drop_role(connection, name, mark=mark))


def drop_retained_roles(connection: Connection, *, mark: Mark) -> None:
    """Drop the cooperative's roles that were disabled for the sake of a database which is now gone."""
    if _has_database(connection, mark):
        return
    marks = {name: from_comment(comment) for name, comment in rows(connection, _MARKED_ROLES)}
    names = [name for name, found in marks.items() if found is not None and found.retained and mark.owns(found)]
    _drop_roles(connection, names, mark=mark)


def drop_marked_roles(connection: Connection, *, mark: Mark) -> None:
    """Drop every role of the cooperative; while it has a database, or a role owns anything, such roles are disabled."""
    _drop_roles(connection, marked_roles(connection, mark=mark), mark=mark)


def own_roles(connection: Connection, *, mark: Mark) -> tuple[str, ...]:
    """The roles that bear the cooperative's mark, but for those of its members, which own nothing."""
    return tuple(name for name in marked_roles(connection, mark=mark) if not is_member_role(name))


def marked_roles(connection: Connection, *, mark: Mark) -> tuple[str, ...]:
    """All roles that bear the cooperative's mark."""
    return tuple(name for name, comment in rows(connection, _MARKED_ROLES) if mark.owns(from_comment(comment)))


def dropped(connection: Connection, names: Sequence[str]) -> bool:
    """Drop the roles together; False, and none is dropped, if something hangs on one of them."""
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    try:
        with connection.transaction():
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(listed))
    except errors.DependentObjectsStillExist:
        return False
    return True


def is_superuser(connection: Connection) -> bool:
    """Whether the administrator is a superuser."""
    return bool(scalar(connection, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"))


def _drop_roles(connection: Connection, names: Sequence[str], *, mark: Mark) -> None:
    if _has_database(connection, mark):
        for name in names:
            drop_role(connection, name, mark=mark)
        return
    for start in range(0, len(names), DROPPED_AT_ONCE):
        part = names[start : start + DROPPED_AT_ONCE]
        if not retrying(partial(dropped, connection, part)):
            for name in part:
                drop_role(connection, name, mark=mark)


def _ensure_role(connection: Connection, wanted: PostgresRole, *, mark: Mark, password: Secret | None) -> None:
    with connection.transaction():
        lock_server_wide(connection)
        found = read_role(connection, wanted.name)
        if found is None:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(wanted.name)))
        else:
            require_own(found.mark, own=mark, what=f"the PostgreSQL role {wanted.name}")
        _set_attributes(connection, wanted, password=password)
        _set_memberships(connection, wanted, found=found)
        _set_settings(connection, wanted, found=found)
        _set_mark(connection, wanted.name, mark)


def _set_attributes(connection: Connection, wanted: PostgresRole, *, password: Secret | None) -> None:
    superuser = is_superuser(connection)
    enters = "NOLOGIN NOINHERIT" if wanted.fenced else "LOGIN NOINHERIT"
    parts = [
        sql.SQL("ALTER ROLE {}").format(sql.Identifier(wanted.name)),
        SAFE_ATTRIBUTES if superuser else SAFE_ATTRIBUTES_BY_ADMIN,
        # Who logs in takes another role's rights by SET ROLE alone. The owner does not log in. In a database of its own
        # it must inherit: only so has it the rights of pg_database_owner, to whom the schema public belongs.
        sql.SQL(enters if wanted.login else "NOLOGIN INHERIT"),
        sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(wanted.connection_limit)),
    ]
    if password is not None:
        parts.append(sql.SQL("PASSWORD {}").format(sql.Literal(scram_verifier(connection, wanted.name, password))))
    elif not wanted.login:
        parts.append(sql.SQL("PASSWORD NULL"))
    connection.execute(sql.SQL(" ").join(parts))
    if wanted.kind is RoleKind.OWNER and not superuser:
        # Only a member may create a database for an owner, or change default privileges in its name.
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(wanted.name)))


def scram_verifier(connection: Connection, role: str, password: Secret) -> str:
    """What the server stores of ``password``. Its log may hold statements: it sees this, never the password."""
    verifier = connection.pgconn.encrypt_password(password.reveal().encode(), role.encode(), b"scram-sha-256")
    return verifier.decode()


def _matches(verifier: str, password: Secret) -> bool:
    # SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey> (PostgreSQL manual, pg_authid; RFC 5802, section 3)
    found = _VERIFIER.fullmatch(verifier)
    if found is None:
        return False
    iterations, salt, stored = int(found[1]), base64.b64decode(found[2]), base64.b64decode(found[3])
    salted = hashlib.pbkdf2_hmac("sha256", password.reveal().encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), stored)


def _set_memberships(connection: Connection, wanted: PostgresRole, *, found: RoleState | None) -> None:
    present, groups = set(found.member_of) if found else set(), set(wanted.member_of)
    attributes = found.attributes if found else ()
    admin_of = _groups(attributes, prefix=_ADMIN_OF)
    inherits = _groups(attributes, prefix=_INHERITS)
    member = sql.Identifier(wanted.name)
    for group in sorted((present | admin_of | inherits) - groups):
        connection.execute(sql.SQL("REVOKE {} FROM {} CASCADE").format(sql.Identifier(group), member))
    for group in sorted(admin_of & groups):
        connection.execute(sql.SQL("REVOKE ADMIN OPTION FOR {} FROM {} CASCADE").format(sql.Identifier(group), member))
    options = sql.SQL(" WITH INHERIT FALSE, SET TRUE" if has_membership_options(connection) else "")
    for group in sorted((groups - present) | (inherits & groups)):
        connection.execute(sql.SQL("GRANT {} TO {}{}").format(sql.Identifier(group), member, options))


def _groups(attributes: tuple[str, ...], *, prefix: str) -> set[str]:
    return {one.removeprefix(prefix) for one in attributes if one.startswith(prefix)}


def has_membership_options(connection: Connection) -> bool:
    """Whether a membership says itself if it inherits and may SET ROLE (PostgreSQL 16, GRANT)."""
    return connection.info.server_version >= MEMBERSHIP_OPTIONS_SINCE


def _set_settings(connection: Connection, wanted: PostgresRole, *, found: RoleState | None) -> None:
    present = dict(found.settings) if found else {}
    role = sql.Identifier(wanted.name)
    for name in sorted(set(present) - set(wanted.settings)):
        connection.execute(sql.SQL("ALTER ROLE {} RESET {}").format(role, sql.Identifier(*name.split("."))))
    for name, value in sorted(wanted.settings.items()):
        if present.get(name) != value:
            setting = sql.Identifier(*name.split("."))
            connection.execute(sql.SQL("ALTER ROLE {} SET {} TO {}").format(role, setting, _setting_value(name, value)))


def _setting_value(name: str, value: str) -> sql.Composable:
    # search_path is a list: one literal would name one schema with commas in it.
    if name != "search_path":
        return sql.Literal(value)
    return sql.SQL(", ").join(sql.Literal(part.strip().strip('"')) for part in value.split(","))


def _set_mark(connection: Connection, name: str, mark: Mark) -> None:
    connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(name), sql.Literal(to_comment(mark))))


def _drop_role(connection: Connection, name: str, *, mark: Mark) -> Fate:
    with connection.transaction():
        lock_server_wide(connection)
        found = read_role(connection, name)
        if found is None:
            return Fate.ABSENT
        require_own(found.mark, own=mark, what=f"the PostgreSQL role {name}")
        if not _has_database(connection, mark) and dropped(connection, [name]):
            return Fate.DROPPED
        connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(name)))
        retained = Mark(cluster=mark.cluster, cooperative=mark.cooperative, retained=True)
        _set_mark(connection, name, retained)
        return Fate.RETAINED


def _has_database(connection: Connection, mark: Mark) -> bool:
    return any(mark.owns(from_comment(comment)) for (comment,) in rows(connection, _OWN_DATABASES))
