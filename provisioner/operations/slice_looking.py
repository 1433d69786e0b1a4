"""Looks at both sides of a member's slice, and plans it: what becomes of every table, and every problem at once.

Nothing is changed. Rows are picked to be counted: how many there are, and which references would be cut, only the rows
tell. To see what the target's access key may do, trial objects are put into its bucket and removed again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from provisioner.datastore.dump_programs import find_tools
from provisioner.errors import NotFound, PlanRefused, Severity
from provisioner.migration.journal_entries import RunEnding, RunKind
from provisioner.migration.objects_listing import chains
from provisioner.migration.objects_survey import target_findings
from provisioner.migration.postgres_preflight_checks import Problem
from provisioner.migration.postgres_sides import session
from provisioner.migration.postgres_survey import survey_source, survey_target
from provisioner.migration.postgres_target import claimed_by
from provisioner.migration.slice_judging import SliceSurvey, slice_problems
from provisioner.migration.slice_objects import survey_shares
from provisioner.migration.slice_picking import SliceCounts, count, picked
from provisioner.migration.slice_planning import SlicePlan, plan_slice
from provisioner.migration.slice_survey import survey_slice
from provisioner.migration.surveyed import as_problem, errors_first
from provisioner.operations.migration_journals import writing_journal
from provisioner.operations.preflighting import SEARCH_PATH, Say, reaching_target
from provisioner.operations.slice_site import SliceSite


@dataclass(frozen=True, kw_only=True)
class SliceLook:
    """What was found: the plan, how many rows it means (None where it is refused), and every problem, errors first."""

    plan: SlicePlan
    survey: SliceSurvey
    problems: tuple[Problem, ...]

    @property
    def counts(self) -> SliceCounts | None:
        """How many rows there are."""
        return self.survey.counts

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What refuses the slice."""
        return tuple(one for one in self.problems if one.severity is Severity.ERROR)


@dataclass(frozen=True, kw_only=True)
class SlicePreflight:
    """A look at ``at``, recorded in the journal."""

    migration: str
    at: datetime
    look: SliceLook


def plan_of(site: SliceSite) -> SlicePlan:
    """The plan as the source's schema has it now. Raises what servers raise."""
    with session(site.moving.source) as source:
        facts = survey_slice(source)
    return plan_slice(site.name, facts=facts, request=site.request, sides=site.sides)


def look_at_slice(site: SliceSite, *, begun: bool, say: Say) -> SliceLook:
    """Look at both sides; ``begun``: the target's bucket may hold what was copied. Raises what servers raise."""
    moving = site.moving
    say(f"looking at {moving.source} and {moving.target}")
    plan = plan_of(site)
    with session(moving.source) as connection:
        source = survey_source(connection)
    with reaching_target(), session(moving.target) as connection:
        target, claimed = survey_target(connection), claimed_by(connection) == site.uid
    counts = None
    if not plan.refused and not plan.distrusted:
        say(f"picking the rows of {site.request.member}")
        with picked(moving.source, plan) as found:
            counts = count(found)
    say(f"looking at {site.bucket} and {moving.target_bucket}")
    survey = SliceSurvey(
        source=source,
        target=target,
        shares=survey_shares(site.bucket, site.request),
        counts=counts,
        claimed=claimed,
    )
    further = (*_objects(site, begun=begun), *_programs(site, newest=max(source.server.major, target.server.major)))
    return SliceLook(plan=plan, survey=survey, problems=errors_first((*slice_problems(plan, survey), *further)))


def preflight_slice(site: SliceSite, *, now: Callable[[], datetime], say: Say) -> SlicePreflight:
    """Look and plan; recorded in the journal, so that `coopctl due` knows.

    Raises MigrationLocked while another process works on it, PlanRefused while it is under way, what servers raise.
    """
    moving = site.moving
    with writing_journal(moving, now=now) as written:
        if (current := written.current) is not None and current.kind is not RunKind.PREFLIGHT:
            raise PlanRefused(
                f"a {current.kind} is under way since {current.begun:%Y-%m-%d %H:%M} UTC",
                hint="`coopctl migrate status` shows how far it is; a preflight comes before it, or after its end",
            )
        if current is not None:
            written.end(RunEnding.FAILED, {"why": "cut off"})
        written.begin(RunKind.PREFLIGHT, fingerprint="")
        try:
            found = look_at_slice(site, begun=False, say=say)
        except BaseException as error:
            written.end(RunEnding.FAILED, {"why": str(error) or type(error).__name__})
            raise
        errors = len(found.errors)
        ending = RunEnding.PROBLEMS if errors else RunEnding.PASSED
        written.end(ending, {"problems": errors, "warnings": len(found.problems) - errors})
        return SlicePreflight(migration=site.name, at=now(), look=found)


def _objects(site: SliceSite, *, begun: bool) -> Iterator[Problem]:
    target = site.moving.target_bucket
    with reaching_target():
        tried = [as_problem(one) for one in target_findings(target, versions=bool(site.bucket.versioning()))]
        yield from tried
        held = None if tried or begun else next(chains(target), None)
    if held is not None:
        yield Problem(
            severity=Severity.ERROR,
            what=f"{target} is not empty: it holds {held[0]!r}, for one",
            consequence="nothing is copied: what is there could not be told from what was copied",
            remedy="name an empty bucket, or empty this one if nobody needs what it holds",
        )


def _programs(site: SliceSite, *, newest: int) -> Iterator[Problem]:
    try:
        find_tools(server_version=newest, search_path=site.moving.environment.get(SEARCH_PATH, ""))
    except NotFound as error:
        yield Problem(
            severity=Severity.ERROR,
            what=error.message,
            consequence="the tables cannot be made at the target",
            remedy=error.hint or "",
        )
