"""Writes what is done to a stack into its audit trail: once when it begins, so that a killed run leaves a trace, and
once when it ends."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from provisioner.datastore.records import open_records
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.platform import Platform
from provisioner.engine.changes import Changes
from provisioner.engine.settings import engine_folder
from provisioner.errors import CoopctlError, Interrupted
from provisioner.operations.authorship import author
from provisioner.operations.history import Action, Ending, Event, History
from provisioner.operations.site import Site


@dataclass(kw_only=True)
class Recorded:
    """What the work in the block came to; it fills this in."""

    changes: Changes | None = None
    details: dict[str, str] = field(default_factory=dict)


def open_history(estate: Estate, *, platform: Platform) -> History:
    """The audit trails of the stacks of ``estate``; no tool is needed to read them."""
    state = platform.state
    return History(
        records=open_records(state.url, credentials_file=state.credentials_file),
        passphrase_file=state.passphrase_file,
        work=engine_folder(estate.local),
    )


@contextlib.contextmanager
def recorded(site: Site, stack: str, *, action: Action, plan: str = "") -> Iterator[Recorded]:
    """Record that ``action`` on ``stack`` begins, and how the block ends. Raises CoopctlError if it cannot be written.

    ``plan`` is the plan's fingerprint. What cannot be recorded is not begun.
    """
    site.engine.ensure_passphrase()
    with recorded_in(
        open_history(site.estate, platform=site.platform), stack, estate=site.estate.root, action=action, plan=plan
    ) as outcome:
        yield outcome


@contextlib.contextmanager
def recorded_in(history: History, stack: str, *, estate: Path, action: Action, plan: str = "") -> Iterator[Recorded]:
    """As `recorded`, in a trail of the ``estate`` that is open already."""
    who = author(estate)

    def note(ending: Ending, *, outcome: Recorded, why: str = "") -> None:
        event = Event(
            action=action,
            ending=ending,
            at=datetime.now(UTC),
            author=who,
            coopctl=version("coopctl"),
            plan=plan,
            changes=_counts(outcome.changes),
            why=why,
            details=outcome.details,
        )
        history.append(stack, event)

    outcome = Recorded()
    note(Ending.BEGUN, outcome=outcome)
    try:
        yield outcome
    except CoopctlError as error:
        ending = Ending.INTERRUPTED if isinstance(error, Interrupted) else Ending.FAILED
        note(ending, outcome=outcome, why=error.message)
        raise
    note(Ending.DONE, outcome=outcome)


def _counts(changes: Changes | None) -> Mapping[str, int]:
    return {str(operation): count for operation, count in sorted(changes.counts.items())} if changes else {}
