"""Waits until the migration COOPCTL_RELEASE has left its mark in the database; says each reason for waiting once."""

import os
import time

import psycopg2
import psycopg2.errors

RELEASE = os.environ["COOPCTL_RELEASE"]
MARK = "SELECT 1 FROM coopctl_migrations WHERE release = %s"


def reason_to_wait() -> str | None:
    """Why the server may not begin yet; None if it may."""
    try:
        connection = psycopg2.connect("")
    except psycopg2.OperationalError as error:
        return str(error).strip()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(MARK, [RELEASE])
            return None if cursor.fetchone() else f"{RELEASE} has not ended"
    except psycopg2.errors.UndefinedTable:
        return "the database has no tables yet"
    finally:
        connection.close()


said = None
while reason := reason_to_wait():
    if reason != said:
        print(f"waiting: {reason}", flush=True)
        said = reason
    time.sleep(1)
