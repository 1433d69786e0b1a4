"""How a migration stands: what its journal says, and how far the target is behind, asked of the source alone.

It takes no lock and changes nothing, so that it may be asked from anywhere while another process works.
"""

from dataclasses import dataclass
from datetime import datetime

from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_migration_alone, load_platform
from provisioner.errors import CoopctlError, NotFound
from provisioner.migration.journal_entries import MOVES, Run, RunEnding
from provisioner.migration.postgres_following import Lag, read_lag
from provisioner.migration.postgres_job_login import JobLogin, read_job_login
from provisioner.migration.postgres_rollback import Leftover, read_leftovers
from provisioner.migration.postgres_sides import session
from provisioner.operations.migration_journals import Held, read_holder, read_journal, read_site_journal
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.own_estate.way import SolutionsWay, solutions_way


@dataclass(frozen=True, kw_only=True)
class MigrationStatus:
    """At ``at``: the ``run`` that is open, else the last one; ``lag`` is None where nothing follows.

    ``leftovers`` are what this migration has on the source's server now; ``silent`` says why the source did not answer.
    ``held`` says who works on it, on whichever machine, where the state is a bucket. ``job_login`` is what the Job in
    the platform is let in with, while the source has it. ``solutions`` is how far they are on their way to a cluster of
    their own, if the document names one.
    """

    migration: str
    at: datetime
    run: Run | None
    lag: Lag | None
    leftovers: tuple[Leftover, ...]
    silent: str | None
    held: Held | None = None
    job_login: JobLogin | None = None
    solutions: SolutionsWay | None = None

    @property
    def orphaned(self) -> bool:
        """Whether the source keeps something for a migration that is not under way: its WAL may fill the disk."""
        return bool(self.leftovers) and (self.run is None or not self.run.open)


@dataclass(frozen=True, kw_only=True)
class Reported:
    """The run that a report tells of, and the ``erasure`` of what the platform held, if it was done after it."""

    migration: str
    cooperative: str
    run: Run
    erasure: Run | None


def read_reported(estate: Estate, name: str) -> Reported:
    """The last migration or rehearsal of ``name``. Raises NotFound if nothing was done yet, InvalidDescriptor."""
    migration = load_migration_alone(estate, name)
    record = read_journal(estate, load_platform(estate).state, name)
    run = _shown(record.runs if record else ())
    if run is None:
        raise NotFound(f"nothing was done with {name} yet", hint=f"`coopctl migrate preflight {name}` begins")
    erased = [one for one in record.runs if one.ending is RunEnding.ERASED] if record else []
    erasure = erased[-1] if erased and erased[-1].number > run.number else None
    return Reported(migration=name, cooperative=migration.cooperative, run=run, erasure=erasure)


def read_status(site: MigrationSite, *, now: datetime) -> MigrationStatus:
    """Read it. Raises CoopctlError if the journal cannot be read; a source that is silent is part of the answer."""
    record = read_site_journal(site)
    lag, leftovers, silent, login = None, tuple[Leftover, ...](), None, None
    try:
        with session(site.source) as source:
            # What else is there belongs to a migration of the whole data store.
            own = site.names.slot if site.migration.member is None else site.names.eraser_login
            lag = read_lag(source, site.names.slot) if site.migration.member is None else None
            leftovers = tuple(one for one in read_leftovers(source) if one.name.startswith(own))
            login = read_job_login(source, site.job_login)
    except CoopctlError as error:
        silent = f"{error.message}{f': {error.why}' if error.why else ''}"
    return MigrationStatus(
        migration=site.migration.name,
        at=now,
        run=_shown(record.runs if record else ()),
        lag=lag,
        leftovers=leftovers,
        silent=silent,
        held=read_holder(site),
        job_login=login,
        solutions=solutions_way(site.migration, record.runs if record else ()),
    )


def _shown(runs: tuple[Run, ...]) -> Run | None:
    """A migration or rehearsal rather than a preflight; the last of them."""
    moves = [run for run in runs if run.kind in MOVES]
    return next(reversed(moves or runs), None)
