"""Who somebody is: passwords and sessions, each in the schema of whom they belong to.

A member has one account, and so has the cooperative's office. The office gives a member a password that holds once, and
sees nothing of what the member keeps. Of a session only the digest of its secret is stored; what the visitor holds
begins with the user, so that it is known whose session to look for.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from psycopg import errors

from member_files import passwords
from member_files.database import MEMBER_PREFIX, OFFICE, Connection, Database, Realm
from member_files.refusals import Reason, Refused
from member_files.settings import Settings

TRIES = 10
BLOCKED_FOR = timedelta(minutes=5)
ONE_TIME_FOR = timedelta(days=14)
# Of somebody who is not there the password is hashed all the same: the time of the answer tells nothing.
_NOBODY = passwords.hashed(secrets.token_hex())

_ACCOUNT = """
    SELECT password, coalesce(blocked_until > now(), false), coalesce(expires_at < now(), false)
    FROM member_files_account FOR UPDATE
"""
_FAILED = """
    UPDATE member_files_account SET failures = (failures + 1) %% %(tries)s,
        blocked_until = CASE WHEN failures + 1 >= %(tries)s THEN now() + %(pause)s END
"""
_BEGUN = "INSERT INTO member_files_session (digest, expires_at) VALUES (%(digest)s, now() + %(pause)s)"
_VISITOR = """
    SELECT a.one_time FROM member_files_session s, member_files_account a
    WHERE s.digest = %(digest)s AND s.expires_at > now()
"""
_CHANGED = "UPDATE member_files_account SET password = %(password)s, one_time = false, expires_at = NULL, failures = 0"
_GIVEN = """
    INSERT INTO member_files_account (password, one_time, expires_at) VALUES (%(password)s, true, now() + %(pause)s)
    ON CONFLICT (only_one) DO UPDATE SET password = excluded.password, one_time = true,
        expires_at = excluded.expires_at, failures = 0, blocked_until = NULL
"""


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody who has logged in: where, with which session, and whether the password holds ``once``."""

    realm: Realm
    token: str
    once: bool

    @property
    def is_office(self) -> bool:
        """Whether it is the cooperative's office."""
        return self.realm == OFFICE


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """Everybody's accounts."""

    database: Database
    settings: Settings

    def log_in(self, user: str, password: str) -> Visitor:
        """Begin a session. Raises Refused for a wrong password, or one that has expired, and after too many of them."""
        realm = self._realm(user)
        if realm is None:
            passwords.matches(_NOBODY, password)
            raise Refused(Reason.LOGIN)
        token = f"{user}.{secrets.token_urlsafe()}"
        try:
            with self.database.within(realm) as connection:
                refusal = self._begin(connection, password=password, token=token)
        except errors.UndefinedTable as error:
            # The office has given this member no password yet.
            raise Refused(Reason.LOGIN) from error
        if refusal is not None:
            raise Refused(refusal)
        return self.visitor(token)

    def visitor(self, token: str) -> Visitor:
        """Whose session it is. Raises Refused if it is nobody's, or has ended."""
        realm = self._realm(token.partition(".")[0])
        found = None
        if realm is not None:
            try:
                with self.database.within(realm) as connection:
                    found = connection.execute(_VISITOR, {"digest": _digest(token)}).fetchone()
            except errors.UndefinedTable:
                found = None
        if realm is None or found is None:
            raise Refused(Reason.SESSION)
        return Visitor(realm=realm, token=token, once=found[0])

    def log_out(self, visitor: Visitor) -> None:
        """End the visitor's session."""
        with self.database.within(visitor.realm) as connection:
            connection.execute("DELETE FROM member_files_session WHERE digest = %s", [_digest(visitor.token)])

    def change_password(self, visitor: Visitor, password: str) -> None:
        """Give the visitor a password of its own choice, and end its other sessions. Raises Refused for a bad one."""
        if not passwords.is_good(password):
            raise Refused(Reason.PASSWORD)
        with self.database.within(visitor.realm) as connection:
            kept = connection.execute("SELECT password FROM member_files_account FOR UPDATE").fetchone()
            if kept is None or passwords.matches(kept[0], password):
                raise Refused(Reason.PASSWORD)
            connection.execute(_CHANGED, {"password": passwords.hashed(password)})
            connection.execute("DELETE FROM member_files_session WHERE digest <> %s", [_digest(visitor.token)])

    def give_password(self, member: str) -> str:
        """Make a password for the member that holds once, and end its sessions; it is never shown again.

        Raises Refused if there is no such member.
        """
        realm = self.database.member(member)
        if realm is None:
            raise Refused(Reason.NOT_FOUND)
        with self.database.within(OFFICE) as connection:
            connection.execute("SELECT member_files_place(%s)", [realm.schema])
        password = passwords.one_time()
        with self.database.within(realm) as connection:
            connection.execute(_GIVEN, {"password": passwords.hashed(password), "pause": ONE_TIME_FOR})
            connection.execute("DELETE FROM member_files_session")
        return password

    def _realm(self, user: str) -> Realm | None:
        return OFFICE if user == self.settings.office else self.database.member(user.removeprefix(MEMBER_PREFIX))

    def _begin(self, connection: Connection, *, password: str, token: str) -> Reason | None:
        """Begin the session, or note another failure; gives why it was not begun."""
        found = connection.execute(_ACCOUNT).fetchone()
        kept, is_blocked, has_expired = found or (_NOBODY, False, True)
        if is_blocked:
            return Reason.BLOCKED
        if not passwords.matches(kept, password) or has_expired:
            connection.execute(_FAILED, {"tries": TRIES, "pause": BLOCKED_FOR})
            return Reason.LOGIN
        connection.execute("UPDATE member_files_account SET failures = 0, blocked_until = NULL")
        connection.execute("DELETE FROM member_files_session WHERE expires_at < now()")
        pause = timedelta(seconds=self.settings.session_seconds)
        connection.execute(_BEGUN, {"digest": _digest(token), "pause": pause})
        return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
