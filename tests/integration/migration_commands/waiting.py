"""Holds a migration in the middle of its copy, so that it can be looked at, interrupted and killed there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from provisioner.migration.postgres_sides import conninfo
from tests.integration.migration_commands.conftest import World

if TYPE_CHECKING:
    import subprocess


@contextmanager
def slot_waits(moving: World) -> Iterator[None]:
    """A transaction with an id is open in the source's server: the creation of a slot waits for it."""
    with psycopg.connect(conninfo(moving.source)) as other:
        other.execute("SELECT pg_current_xact_id()")
        yield


def until_it_copies(process: "subprocess.Popen[str]") -> threading.Thread:
    """Read what it says until its copy begins; what comes later is read by a thread, so that it never waits."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "copy: tables ..." in line:
            reader = threading.Thread(target=process.stderr.read, daemon=True)
            reader.start()
            return reader
    raise AssertionError("".join(said))
