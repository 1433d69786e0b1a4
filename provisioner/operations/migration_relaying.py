"""Keeps the way back short: what is written at the target is brought back again and again, until the migration ends.

Nothing is held between two rounds, neither a lock nor a connection, so that a rollback, a verification or the end of
the migration finds its turn; a round that meets one of them waits for the next. A server that does not answer is tried
again: what was written stays on the target's disk meanwhile. Killed, it is started again and goes on.
"""

from collections.abc import Callable
from datetime import datetime

from provisioner.errors import MigrationLocked, NotFound, StackLocked, Unreachable, WayBackEnded
from provisioner.operations.migration_returning import BroughtBack, relay
from provisioner.operations.migration_run import Report, Told
from provisioner.operations.migration_site import MigrationSite

PASSING = (MigrationLocked, StackLocked, Unreachable)


def keep_relaying(
    site: MigrationSite,
    *,
    now: Callable[[], datetime],
    report: Report,
    brought: Callable[[BroughtBack], None],
    pause: Callable[[], None],
) -> None:
    """Bring back, tell ``brought`` of it and ``pause``, until the migration has ended or its way back was given up.

    Raises what `relay` raises at the first round, and later all that does not pass by itself.
    """
    begun = False
    while True:
        try:
            brought(relay(site, now=now, report=report))
        except PASSING as error:
            report(Told(text=f"{error.message}: it is tried again"))
        except (NotFound, WayBackEnded) as error:
            if not begun:
                raise
            report(Told(text=f"{error.message}: nothing is brought back any more"))
            return
        begun = True
        pause()
