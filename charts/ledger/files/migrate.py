"""Brings the tables to the wanted modules, as the role that owns them.

1. Take a lock in the database, so that two Jobs never migrate at once; the lock goes with the session. The first
   connection is tried for a while: a new pod's network policies let nothing out until they are in force.
2. A database without tables gets those that the image holds for these modules, or for most of them, in one transaction:
   all of it is there afterwards, or nothing.
3. Else, and for modules that are still missing, let Tryton make or change the tables. Cut off in the middle, the next
   run does it again: an update is idempotent.
4. The first time, give the first user a password. It is derived from the migration role's, so that nobody has to
   store it: coopctl derives the same (RFC 2104, RFC 4648). A later run never changes it.
5. Leave the mark that the server's pods wait for.
"""

import base64
import hashlib
import hmac
import os
import subprocess
import sys
import tempfile
import time

import prepared
import psycopg2
import psycopg2.extensions

RELEASE = os.environ["COOPCTL_RELEASE"]
MODULES = os.environ["COOPCTL_MODULES"].split()
# Modules that come with charts, each with the digest of its files.
OWN = dict(one.split("=", 1) for one in os.environ["COOPCTL_OWN_MODULES"].split())
FIRST_USER = os.environ["COOPCTL_FIRST_USER"]
DATABASE = os.environ["PGDATABASE"]

CONNECT_SECONDS = 60
LOCK = "SELECT pg_advisory_lock(hashtext('coopctl migration'))"
MARKS = """
    CREATE TABLE IF NOT EXISTS coopctl_migrations (
        release text PRIMARY KEY,
        ended_at timestamptz NOT NULL DEFAULT now()
    )
"""
HAS_TABLES = "SELECT to_regclass('ir_module') IS NOT NULL"
NEW_HASH = "UPDATE res_user SET password_hash = %s WHERE login = %s"
LOGIN = f"first login of {FIRST_USER}"


def first_password() -> str:
    """The first user's password: 120 bits in letters and digits that are not mistaken for each other."""
    key = os.environ["PGPASSWORD"].encode()
    digest = hmac.new(key, LOGIN.encode(), hashlib.sha256).digest()
    return base64.b32encode(digest[:15]).decode().lower()


def connected() -> psycopg2.extensions.connection:
    """The first connection, as soon as there is one; each reason for waiting is said once."""
    deadline, said = time.monotonic() + CONNECT_SECONDS, ""
    while True:
        try:
            return psycopg2.connect("")
        except psycopg2.OperationalError as error:
            if time.monotonic() > deadline:
                raise
            if (reason := str(error).strip()) != said:
                print(f"waiting: {reason}", flush=True)
                said = reason
            time.sleep(0.5)


def admin(*arguments: str, password: str) -> None:
    """Run trytond-admin to its end; its failure is ours."""
    command = [sys.executable, "/usr/bin/trytond-admin", "-c", "/srv/coopctl/trytond.conf", "-d", DATABASE, "-v"]
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(password)
        file.flush()
        environment = {**os.environ, "TRYTONPASSFILE": file.name}
        done = subprocess.run([*command, *arguments], env=environment, check=False)
    if done.returncode:
        sys.exit(f"trytond-admin ended with {done.returncode}")


def marked(cursor: psycopg2.extensions.cursor, name: str) -> bool:
    """Whether the mark called ``name`` is there."""
    cursor.execute("SELECT 1 FROM coopctl_migrations WHERE release = %s", [name])
    return cursor.fetchone() is not None


def mark(cursor: psycopg2.extensions.cursor, name: str) -> None:
    """Leave the mark called ``name``."""
    cursor.execute("INSERT INTO coopctl_migrations (release) VALUES (%s) ON CONFLICT DO NOTHING", [name])


def loaded() -> frozenset[str]:
    """Load what the image holds into a database without tables; the modules that this made tables for."""
    one = prepared.largest(prepared.listed(), modules=MODULES, own=OWN)
    if one is None:
        print("the image holds no tables for these modules: Tryton makes them", flush=True)
        return frozenset()
    print(f"the database has no tables: loading those of {one.name} from the image", flush=True)
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        prepared.load(one, cursor=cursor)
        set_first_password(cursor)
        mark(cursor, LOGIN)
    connection.close()
    return one.modules


def set_first_password(cursor: psycopg2.extensions.cursor) -> None:
    """Give the first user the password as Tryton would keep it, without starting Tryton."""
    from trytond.res.user import CRYPT_CONTEXT

    cursor.execute(NEW_HASH, [CRYPT_CONTEXT.hash(first_password()), FIRST_USER])
    if cursor.rowcount != 1:
        raise LookupError(f"there is no user {FIRST_USER}")


def migrate(cursor: psycopg2.extensions.cursor) -> None:
    """Bring the tables to the modules."""
    cursor.execute(HAS_TABLES)
    (has_tables,) = cursor.fetchone() or (True,)
    made = frozenset() if has_tables else loaded()
    missing = [module for module in MODULES if module not in made]
    if missing:
        print(f"Tryton updates {', '.join(missing)}", flush=True)
        admin("--activate-dependencies", "--email", "", "-u", *missing, password=first_password())


def main() -> None:
    """Migrate once."""
    connection = connected()
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(LOCK)
        cursor.execute(MARKS)
        if not marked(cursor, RELEASE):
            print(f"migrating to {RELEASE}: {', '.join(MODULES)}", flush=True)
            migrate(cursor)
        if not marked(cursor, LOGIN):
            admin("--password", "--email", "", password=first_password())
            mark(cursor, LOGIN)
        mark(cursor, RELEASE)
    print("done", flush=True)


if __name__ == "__main__":
    main()
