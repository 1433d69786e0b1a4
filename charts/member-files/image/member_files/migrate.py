"""Brings the tables to this version, as the role that owns them.

1. Take a lock in the database, so that two Jobs never migrate at once; the lock goes with the session. The first
   connection is tried for a while: a new pod's network policies let nothing out until they are in force.
2. Make the office's tables and the function that makes a member's, and by it the tables of every member that has a
   place: each member's in a transaction of its own, since a server has room for some thousands of locks. All of it only
   makes what is missing: cut off anywhere, the next run goes on.
3. Give the office its first password, unless it has one. It is derived from the migration role's, so that nobody has to
   store it: coopctl derives the same (RFC 2104, RFC 4648). It must be changed at the first login.
4. Leave the mark that the server's pods wait for.
"""

import base64
import hashlib
import hmac
import os
import time

import psycopg

from member_files import passwords
from member_files.database import Connection
from member_files.tables import FUNCTION, OFFICE

CONNECT_SECONDS = 60
LOCK = "SELECT pg_advisory_lock(hashtext('coopctl migration'))"
MARKS = """
    CREATE TABLE IF NOT EXISTS coopctl_migrations (
        release text PRIMARY KEY,
        ended_at timestamptz NOT NULL DEFAULT now()
    )
"""
# A member that has left has its schema still, and it is not the owner's.
PLACES = """
    SELECT n.nspname::text FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
    WHERE starts_with(n.nspname::text, 'member_') AND r.rolname = current_user ORDER BY 1
"""
PLACE = "SELECT member_files_place(%s)"
FIRST_LOGIN = "INSERT INTO member_files_account (password, one_time) VALUES (%s, true) ON CONFLICT DO NOTHING"
MARK = "INSERT INTO coopctl_migrations (release) VALUES (%s) ON CONFLICT DO NOTHING"


def first_password(*, key: str, user: str) -> str:
    """The first password of ``user``: 120 bits in letters and digits that are not mistaken for each other."""
    digest = hmac.new(key.encode(), f"first login of {user}".encode(), hashlib.sha256).digest()
    return base64.b32encode(digest[:15]).decode().lower()


def connected() -> Connection:
    """The first connection, as soon as there is one; each reason for waiting is said once."""
    deadline, said = time.monotonic() + CONNECT_SECONDS, ""
    while True:
        try:
            return psycopg.connect("", autocommit=True)
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise
            if (reason := str(error).strip()) != said:
                print(f"waiting: {reason}", flush=True)
                said = reason
            time.sleep(0.5)


def migrate(connection: Connection) -> int:
    """Make what is missing; gives how many members have a place."""
    with connection.transaction():
        connection.execute("SET LOCAL client_min_messages = warning")
        connection.execute(OFFICE)
        connection.execute(FUNCTION)
    found = connection.execute(PLACES).fetchall()
    for (schema,) in found:
        connection.execute(PLACE, [schema])
    return len(found)


def main() -> None:
    """Migrate once."""
    release, office = os.environ["COOPCTL_RELEASE"], os.environ["COOPCTL_FIRST_USER"]
    with connected() as connection:
        connection.execute(LOCK)
        connection.execute(MARKS)
        print(f"migrating to {release}", flush=True)
        print(f"members with a place: {migrate(connection)}", flush=True)
        password = first_password(key=os.environ["PGPASSWORD"], user=office)
        connection.execute(FIRST_LOGIN, [passwords.hashed(password)])
        connection.execute(MARK, [release])
    print("done", flush=True)


if __name__ == "__main__":
    main()
