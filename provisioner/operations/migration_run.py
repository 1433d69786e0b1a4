"""An open run of a migration: its plan, what was surveyed when it began, and how its steps are recorded.

A run that was cut off is gone on with by what its own survey found: the source looks otherwise by now, since tables
were given other replica identities. If the document asks for something else by now, it is refused.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import TypeAlias

from provisioner.datastore.credentials import generate_password
from provisioner.datastore.dump_programs import find_tools
from provisioner.descriptor.migration import MigrationMode
from provisioner.errors import CoopctlError, NotFound, ProblemsFound
from provisioner.migration.journal import Journal
from provisioner.migration.journal_entries import MOVES, Phase, Run, RunEnding, RunKind
from provisioner.migration.objects_copying import Progress as ObjectsProgress
from provisioner.migration.planning import MigrationPlan, plan_migration
from provisioner.migration.postgres_catalogue import Catalogue
from provisioner.migration.postgres_copy_progress import CopyProgress
from provisioner.migration.postgres_copying import CopyWork
from provisioner.migration.postgres_cutover import Cutover
from provisioner.migration.postgres_preflight import Mode
from provisioner.migration.postgres_sides import Clients, service_file
from provisioner.migration.postgres_streams import SOURCE, TARGET
from provisioner.migration.redaction import Json
from provisioner.migration.surveyed import Judged, Survey, judge, read_survey, write_survey
from provisioner.operations.migration_journals import read_site_journal, writing_journal
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.preflighting import SEARCH_PATH, look

SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class StepBegan:
    """A step begins, or begins again."""

    phase: Phase
    step: str


@dataclass(frozen=True, kw_only=True)
class StepEnded:
    """A step is done, after so many seconds."""

    phase: Phase
    step: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Told:
    """Something to know."""

    text: str


Event: TypeAlias = StepBegan | StepEnded | Told | CopyProgress | ObjectsProgress
Report: TypeAlias = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class OpenRun:
    """The run that this process works on; ``written`` is its journal."""

    site: MigrationSite
    written: Journal
    survey: Survey
    judged: Judged
    plan: MigrationPlan
    report: Report = field(repr=False)

    @property
    def online(self) -> bool:
        """Whether applications write on while their database is copied."""
        return self.plan.mode is Mode.ONLINE

    def is_done(self, phase: Phase, step: str) -> bool:
        """Whether a step is done already."""
        current = self.written.current
        return current is not None and current.is_done(phase, step)

    @contextmanager
    def step(self, phase: Phase, step: str) -> Iterator[dict[str, Json]]:
        """Record a step of the run."""
        with recorded_step(self.written, phase, step, report=self.report) as result:
            yield result

    @contextmanager
    def copy_work(self) -> Iterator[CopyWork]:
        """What the copy needs; passwords lie in a private file while the block runs."""
        site, newest = self.site, max(self.survey.source.server.major, self.survey.target.server.major)
        tools = find_tools(server_version=newest, search_path=site.environment.get(SEARCH_PATH, ""))
        with service_file({SOURCE: site.source, TARGET: site.target}, folder=site.files.work) as services:
            yield CopyWork(
                uid=site.tenant.uid,
                source=site.source,
                target=site.target,
                source_facts=self.survey.source,
                target_facts=self.survey.target,
                routes=self.judged.postgres.routes,
                clients=Clients(tools=tools, service_file=services, environment=site.environment),
                folder=services.parent,
                stopping=self.written.stopping,
                report=self.report,
            )

    def cutover(self, work: CopyWork, *, catalogue: Catalogue) -> Cutover:
        """The same as a cutover needs it; verification and abort are parts of one."""
        return Cutover(
            copy=work,
            names=self.site.names,
            catalogue=catalogue,
            record=lambda _: None,
            reverse_password=generate_password(),
            online=self.online,
        )


@contextmanager
def recorded_step(written: Journal, phase: Phase, step: str, *, report: Report) -> Iterator[dict[str, Json]]:
    """Record a step: the block fills its result. A failure is recorded; what is killed stays begun."""
    written.step_begun(phase, step)
    report(StepBegan(phase=phase, step=step))
    started, result = monotonic(), dict[str, Json]()
    try:
        yield result
    except CoopctlError as error:
        written.step_failed(phase, step, why=f"{error.message}{f': {error.why}' if error.why else ''}")
        raise
    seconds = monotonic() - started
    written.step_done(phase, step, {**result, "seconds": round(seconds, 3)})
    report(StepEnded(phase=phase, step=step, seconds=seconds))


@contextmanager
def opened(site: MigrationSite, *, kind: RunKind, now: Callable[[], datetime], report: Report) -> Iterator[OpenRun]:
    """Begin a run of ``kind``, or go on with the one that is open.

    Raises ProblemsFound if a preflight refuses it, PlanRefused if another run is open or the request has changed,
    MigrationLocked while another process works on it.
    """
    with writing_journal(site, now=now) as written:
        if (current := written.current) is not None and current.kind is RunKind.PREFLIGHT:
            written.end(RunEnding.FAILED, {"why": "cut off"})
        yield (
            _begun(site, written, kind=kind, report=report)
            if written.current is None
            else _again(site, written, kind=kind, report=report)
        )


@contextmanager
def reopened(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Iterator[OpenRun]:
    """Go on with the migration or rehearsal that is open. Raises NotFound if there is none, and what `opened` does."""
    name = site.migration.name
    require_open(site)
    with writing_journal(site, now=now) as written:
        current = written.current
        if current is None or current.kind not in MOVES:
            raise _nothing_open(name)
        yield _again(site, written, kind=current.kind, report=report)


def require_open(site: MigrationSite) -> Run:
    """The run that is open, seen without its lock. Raises NotFound."""
    record = read_site_journal(site)
    for run in reversed(record.runs if record else ()):
        if run.open and run.kind in MOVES:
            return run
    raise _nothing_open(site.migration.name)


def require_begun_for_pod(site: MigrationSite) -> None:
    """Raise NotFound in a pod where nothing is open: its login can but go on with what was begun for it, and meanwhile
    that was given up."""
    if site.inside:
        raise _nothing_open(site.migration.name)


def _nothing_open(name: str) -> NotFound:
    return NotFound(f"the migration {name} is not under way", hint=f"`coopctl migrate start {name}` begins it")


def _begun(site: MigrationSite, written: Journal, *, kind: RunKind, report: Report) -> OpenRun:
    require_begun_for_pod(site)
    survey, judged = look(site, say=lambda text: report(Told(text=text)))
    _require_ready(judged, name=site.migration.name)
    # A ledger of an earlier run: the bucket was found empty, and what it says was copied is there no more.
    for file in site.files.ledger.parent.glob(f"{site.files.ledger.name}*"):
        file.unlink()
    site.files.catalogue.unlink(missing_ok=True)
    write_survey(site.files.survey, survey)
    return _run(site, written, survey=survey, judged=judged, kind=kind, report=report)


def _again(site: MigrationSite, written: Journal, *, kind: RunKind, report: Report) -> OpenRun:
    survey = read_survey(site.files.survey)
    wanted = Mode.ONLINE if site.migration.mode is MigrationMode.ONLINE else Mode.OFFLINE
    return _run(site, written, survey=survey, judged=judge(survey, wanted=wanted), kind=kind, report=report)


def _run(
    site: MigrationSite,
    written: Journal,
    *,
    survey: Survey,
    judged: Judged,
    kind: RunKind,
    report: Report,
) -> OpenRun:
    plan = plan_migration(site.migration, survey=survey, judged=judged, names=site.names)
    written.begin(kind, fingerprint=plan.fingerprint, content={"mode": str(plan.mode)})
    return OpenRun(site=site, written=written, survey=survey, judged=judged, plan=plan, report=report)


def _require_ready(judged: Judged, *, name: str) -> None:
    if not judged.errors:
        return
    named = "; ".join(one.what for one in judged.errors[:SHOWN])
    more = len(judged.errors) - SHOWN
    raise ProblemsFound(
        f"{len(judged.errors)} problem{'' if len(judged.errors) == 1 else 's'} must be mended before {name} can begin",
        why=named + (f"; and {more} more" if more > 0 else ""),
        hint=f"`coopctl migrate preflight {name}` says how",
    )
