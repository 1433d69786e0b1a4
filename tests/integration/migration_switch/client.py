"""An application that writes all the time, one row a transaction, wherever it is let in."""

import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg

from provisioner.migration.postgres_sides import Side, conninfo
from tests.postgres_servers import as_user

PAUSE_SECONDS = 0.0025
WRITTEN = "SELECT code FROM lots WHERE code LIKE 'W-%'"


@dataclass
class Client:
    """Writes to the first of ``sides`` that lets it in; ``acknowledged`` are the numbers whose commits it was told of,
    with the moment of each."""

    sides: tuple[Side, ...]
    pause_seconds: float = PAUSE_SECONDS
    acknowledged: dict[int, float] = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        numbers = itertools.count(1)
        while not self.stopping.is_set():
            for side in self.sides:
                # What was in doubt when the connection broke is not written again: it may be there.
                with suppress(psycopg.Error), psycopg.connect(conninfo(side), autocommit=True) as connection:
                    while not self.stopping.is_set():
                        number = next(numbers)
                        connection.execute("INSERT INTO lots (code) VALUES (%s)", (f"W-{number}",))
                        self.acknowledged[number] = time.monotonic()
                        self.stopping.wait(self.pause_seconds)

    def until(self, more: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted, deadline = len(self.acknowledged) + more, time.monotonic() + 60
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, "the application is kept out"
            time.sleep(0.01)

    @property
    def longest_gap(self) -> float:
        """Seconds between two acknowledged commits."""
        moments = sorted(self.acknowledged.values())
        return max(later - earlier for earlier, later in itertools.pairwise(moments))


@contextmanager
def writing(*sides: Side, pause_seconds: float = PAUSE_SECONDS) -> Iterator[Client]:
    """The application writes while the block runs."""
    applications = tuple(as_user(side, f"{side.database}_app", "app-secret") for side in sides)
    client = Client(sides=applications, pause_seconds=pause_seconds)
    thread = threading.Thread(target=client.work, daemon=True)
    thread.start()
    try:
        yield client
    finally:
        client.stopping.set()
        thread.join()


def assert_each_once(client: Client, rows: Iterable[tuple[str]]) -> None:
    """Every acknowledged commit is among ``rows``, the codes of a side, and nothing is there twice."""
    found = [int(code.removeprefix("W-")) for (code,) in rows]
    assert len(found) == len(set(found))
    assert set(client.acknowledged) <= set(found)
