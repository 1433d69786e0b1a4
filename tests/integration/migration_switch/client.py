"""An application that writes all the time, one row a transaction, wherever it is let in."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import psycopg

from examples import writing_client
from examples.writing_client import Connection, WritingClient
from provisioner.migration.postgres_sides import Side, conninfo
from tests.postgres_servers import as_user

WRITTEN = "SELECT code FROM lots WHERE code LIKE 'W-%'"


@contextmanager
def writing(*sides: Side, per_second: float = writing_client.PER_SECOND) -> Iterator[WritingClient]:
    """The application of the first of ``sides`` that lets it in writes while the block runs."""
    applications = (as_user(side, f"{side.database}_app", "app-secret") for side in sides)
    ways = tuple(partial(psycopg.connect, conninfo(one), autocommit=True) for one in applications)
    with writing_client.writing(WritingClient(ways=ways, write=_write, per_second=per_second)) as client:
        yield client


def _write(connection: Connection, number: int) -> None:
    connection.execute("INSERT INTO lots (code) VALUES (%s)", (f"W-{number}",))


def assert_each_once(client: WritingClient, rows: Iterable[tuple[str]]) -> None:
    """Every acknowledged commit is among ``rows``, the codes of a side, and nothing is there twice."""
    found = [int(code.removeprefix("W-")) for (code,) in rows]
    assert len(found) == len(set(found))
    assert set(client.acknowledged) <= set(found)
