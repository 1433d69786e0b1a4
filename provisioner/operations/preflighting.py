"""Looks at both sides of a migration, or at the target alone, and says every problem at once; and the plan.

The data store is not changed. To know whether the target's server reaches the source, the login that a migration would
give it is made on the source for a moment; to know what its access key may do, trial objects are put into the target's
bucket and removed again. Cut off in between, the next preflight or migration takes either away.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from provisioner.datastore.credentials import generate_password
from provisioner.datastore.dump_programs import find_tools
from provisioner.descriptor.migration import MigrationMode
from provisioner.errors import NotFound, NotPermitted, PlanRefused, Severity, Unreachable
from provisioner.migration.journal import Journal
from provisioner.migration.journal_entries import RunEnding, RunKind
from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.objects_survey import BucketFacts, survey_bucket, target_findings
from provisioner.migration.planning import MigrationPlan, plan_migration
from provisioner.migration.postgres_facts import SourceFacts, TargetFacts
from provisioner.migration.postgres_following import make_login, why_unreachable
from provisioner.migration.postgres_preflight import Mode
from provisioner.migration.postgres_preflight_checks import Problem
from provisioner.migration.postgres_role_moves import drop_made_roles
from provisioner.migration.postgres_sides import Side, session
from provisioner.migration.postgres_survey import survey_source, survey_target
from provisioner.migration.postgres_target_checks import alone_problems
from provisioner.migration.surveyed import Judged, Survey, as_problem, errors_first, judge
from provisioner.operations.cluster_checks import cluster_problems
from provisioner.operations.migration_journals import writing_journal
from provisioner.operations.migration_site import MigrationSite, TargetSite

Say = Callable[[str], None]
SEARCH_PATH = "PATH"


@dataclass(frozen=True, kw_only=True)
class PreflightReport:
    """What was found at ``at``; without a ``plan`` the target alone was looked at."""

    migration: str
    at: datetime
    target_version: int
    problems: tuple[Problem, ...]
    plan: MigrationPlan | None = None

    @property
    def errors(self) -> int:
        """How many problems refuse the migration."""
        return sum(one.severity is Severity.ERROR for one in self.problems)


def preflight_both(site: MigrationSite, *, now: Callable[[], datetime], say: Say) -> PreflightReport:
    """Look, judge and plan; recorded in the journal, so that `coopctl due` knows.

    Raises MigrationLocked while another process works on it, PlanRefused while it is under way, what servers raise.
    """
    name = site.migration.name
    with writing_journal(site, now=now) as written:
        _require_idle(written)
        written.begin(RunKind.PREFLIGHT, fingerprint="")
        try:
            survey, judged = look(site, say=say)
        except BaseException as error:
            written.end(RunEnding.FAILED, {"why": str(error) or type(error).__name__})
            raise
        report = PreflightReport(
            migration=name,
            at=now(),
            target_version=survey.target.server.version,
            problems=judged.problems,
            plan=plan_migration(site.migration, survey=survey, judged=judged, names=site.names),
        )
        ending = RunEnding.PROBLEMS if report.errors else RunEnding.PASSED
        written.end(ending, {"problems": report.errors, "warnings": len(report.problems) - report.errors})
        return report


def preflight_target(site: TargetSite, *, now: Callable[[], datetime], say: Say) -> PreflightReport:
    """Look at the target alone, at the cooperative itself; no journal is kept."""
    say("looking at the target's database")
    with reaching_target(), session(site.target) as connection:
        facts = survey_target(connection)
    say("trying the target's bucket")
    with reaching_target():
        found = list(map(as_problem, target_findings(site.target_bucket, versions=True)))
        found += _empty(_survey_target(site.target_bucket, tried=found))
    problems = errors_first((*alone_problems(facts), *found, *cluster_problems(site)))
    return PreflightReport(
        migration=site.migration.name, at=now(), target_version=facts.server.version, problems=problems
    )


def look(site: MigrationSite, *, say: Say) -> tuple[Survey, Judged]:
    """Survey both sides, try what only trying shows, and judge it. Raises Unreachable, NotPermitted or CoopctlError."""
    say(f"looking at {site.source} and {site.target}")
    with session(site.source) as connection:
        source = survey_source(connection)
    with reaching_target(), session(site.target) as connection:
        target = survey_target(connection, source=source)
    wanted = Mode.ONLINE if site.migration.mode is MigrationMode.ONLINE else Mode.OFFLINE
    unreachable = _unreachable(site, source, target) if wanted is Mode.ONLINE else None
    say(f"looking at {site.source_bucket} and {site.target_bucket}")
    source_bucket = survey_bucket(site.source_bucket)
    with reaching_target():
        found = target_findings(site.target_bucket, versions=bool(source_bucket.versioning))
        tried = tuple(map(as_problem, found))
        target_bucket = _survey_target(site.target_bucket, tried=tried)
    survey = Survey(
        source_at=_at(site.source),
        target_at=_at(site.target),
        source=source,
        target=target,
        source_bucket=source_bucket,
        target_bucket=target_bucket,
        unreachable=unreachable,
    )
    further = (*tried, *_tools(site, source, target), *cluster_problems(site), *_of_names(site))
    return survey, judge(survey, wanted=wanted, further=further)


@contextmanager
def reaching_target() -> Iterator[None]:
    """A target that does not answer, with what to do about it."""
    try:
        yield
    except Unreachable as error:
        hint = "see that the target's server runs and lets this machine in; its address stands in the DSN or document"
        raise Unreachable(error.message, why=error.why, hint=error.hint or hint) from error


def _require_idle(written: Journal) -> None:
    """End a preflight that was cut off; refuse where anything else is under way."""
    current = written.current
    if current is None:
        return
    if current.kind is not RunKind.PREFLIGHT:
        raise PlanRefused(
            f"a {current.kind} is under way since {current.begun:%Y-%m-%d %H:%M} UTC",
            hint="`coopctl migrate status` shows how far it is; a preflight comes before it, or after its end",
        )
    written.end(RunEnding.FAILED, {"why": "cut off"})


def _unreachable(site: MigrationSite, source: SourceFacts, target: TargetFacts) -> str | None:
    """Why the target's server cannot log in to the source, tried with a login that is gone afterwards."""
    replicates = source.server.superuser or source.server.replication
    if not (replicates and target.server.creates_subscriptions) or source.server.settings["wal_level"] != "logical":
        return None
    password = generate_password()
    with session(site.source) as ours, session(site.target) as theirs:
        make_login(ours, site.names.login, password=password)
        try:
            return why_unreachable(theirs, site.publisher(password))
        finally:
            drop_made_roles(ours, [site.names.login])


def _tools(site: MigrationSite, source: SourceFacts, target: TargetFacts) -> Iterator[Problem]:
    newest = max(source.server.major, target.server.major)
    try:
        find_tools(server_version=newest, search_path=site.environment.get(SEARCH_PATH, ""))
    except NotFound as error:
        yield Problem(
            severity=Severity.ERROR,
            what=error.message,
            consequence="neither schema nor rows can be copied",
            remedy=error.hint or "",
        )


def _of_names(site: MigrationSite) -> Iterator[Problem]:
    """What the applications would not find again; a copy does without, a switch does not."""
    for what, known, found in (
        ("database", site.tenant.database, site.target.database),
        ("bucket", site.tenant.bucket, site.target_bucket.name),
    ):
        if known != found:
            yield Problem(
                severity=Severity.WARNING,
                what=f"the target's {what} is called {found}, and the applications know {known}",
                consequence="everything can be copied and rehearsed, and `cutover` refuses to switch",
                remedy=f"make a {what} called {known} on the target, and name it in the document",
            )


def _survey_target(bucket: Bucket, *, tried: Sequence[Problem]) -> BucketFacts:
    """The target's bucket; what its key may not list counts as empty, since what was ``tried`` refuses it already."""
    try:
        return survey_bucket(bucket, locks=False)
    except NotPermitted:
        if not tried:
            raise
    return BucketFacts(
        bucket=str(bucket),
        versioning="",
        object_lock=False,
        keys=0,
        versions=0,
        delete_markers=0,
        size_bytes=0,
        largest_bytes=0,
        largest_key="",
        uploads=0,
    )


def _empty(facts: BucketFacts) -> Iterator[Problem]:
    if facts.keys:
        yield Problem(
            severity=Severity.ERROR,
            what=f"{facts.bucket} is not empty: it holds {facts.keys} keys",
            consequence="nothing is copied: what is there could not be told from what was copied",
            remedy="name an empty bucket, or empty this one if nobody needs what it holds",
        )


def _at(side: Side) -> str:
    return f"{side.host}:{side.port}"
