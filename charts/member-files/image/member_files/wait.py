"""Waits until the migration COOPCTL_RELEASE has left its mark in the database; says each reason for waiting once."""

import os
import time

import psycopg
from psycopg import errors

MARK = "SELECT FROM coopctl_migrations WHERE release = %s"
CONNECT_SECONDS = 5


def reason_to_wait(release: str) -> str | None:
    """Why the server may not begin yet; None if it may."""
    try:
        with psycopg.connect("", connect_timeout=CONNECT_SECONDS) as connection:
            return None if connection.execute(MARK, [release]).fetchone() is not None else f"{release} has not ended"
    except errors.UndefinedTable:
        return "the database has no tables yet"
    except psycopg.OperationalError as error:
        return str(error).strip()


def main() -> None:
    """Wait once."""
    said = None
    while reason := reason_to_wait(os.environ["COOPCTL_RELEASE"]):
        if reason != said:
            print(f"waiting: {reason}", flush=True)
            said = reason
        time.sleep(1)


if __name__ == "__main__":
    main()
