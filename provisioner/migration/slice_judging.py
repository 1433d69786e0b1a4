"""Pure: every problem of a member's slice at once, each with what follows and the remedy."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from provisioner.errors import Severity
from provisioner.migration.postgres_facts import SourceFacts, TargetFacts
from provisioner.migration.postgres_preflight_checks import Problem, extension_problems, locale_problems
from provisioner.migration.postgres_target_checks import alone_problems
from provisioner.migration.slice_objects import ObjectShares, Share
from provisioner.migration.slice_picking import SliceCounts
from provisioner.migration.slice_planning import Cut, SlicePlan

_CUT = "the column is NULL in the slice"


@dataclass(frozen=True, kw_only=True)
class SliceSurvey:
    """What was found: both databases, the bucket, and, unless the plan is refused, the rows.

    ``claimed``: the target holds nothing but what an unfinished copy of this very slice has left.
    """

    source: SourceFacts
    target: TargetFacts
    shares: ObjectShares
    counts: SliceCounts | None
    claimed: bool


def slice_problems(plan: SlicePlan, survey: SliceSurvey) -> tuple[Problem, ...]:
    """Everything that stands in the way or is good to know."""
    return (
        *_sides(survey),
        *_tables(plan),
        *(_counted(plan, survey.counts) if survey.counts is not None else ()),
        *_left(survey),
    )


def _sides(survey: SliceSurvey) -> Iterator[Problem]:
    source, target = survey.source, survey.target
    seen = replace(target, relations=0) if survey.claimed else target
    yield from (one for one in alone_problems(seen) if one.severity is Severity.ERROR)
    if target.server.major < source.server.major:
        yield _error(
            f"the target is PostgreSQL {target.server.major}, the source {source.server.major}",
            consequence="a newer schema does not restore to an older server",
            remedy=f"install PostgreSQL {source.server.major} or newer on the target",
        )
    yield from locale_problems(source, target)
    yield from extension_problems(source, target)
    forced = [str(table.name) for table in source.tables if table.forced_row_security]
    if forced and not source.server.superuser:
        yield _error(
            f"row security is forced on {', '.join(forced)}",
            consequence="the login sees only the rows that a policy shows",
            remedy="ALTER ROLE the Platform's admin user BYPASSRLS",
        )


def _tables(plan: SlicePlan) -> Iterator[Problem]:
    for table in plan.refused:
        yield _error(
            f"nobody knows whose the rows of {table.name} are: {table.why}",
            consequence="nothing is copied: a row of another member might go along, or one of this member's be left",
            remedy="say it in the data map of the solution that made the table (docs/how-to/solutions.md)",
        )
    for key in plan.distrusted:
        yield _error(
            f"the foreign key {key.name}, {key}, compares by a cast or operator of the tenant's own",
            consequence="it is not followed: that would run the tenant's code with the administrator's rights",
            remedy="give both columns the same type",
        )


def _counted(plan: SlicePlan, counts: SliceCounts) -> Iterator[Problem]:
    if not any(counts.rows[one.name] for one in plan.own):
        key = plan.request.key
        yield _error(
            f"no table has a row of the member {plan.request.member}, which tables should call {key!r}",
            consequence="there is nothing to copy",
            remedy="write what the solutions' tables call the member into scope.key of the document",
        )
    yield from (_severed(cut, rows=rows) for cut, rows in counts.severed.items() if rows)


def _severed(cut: Cut, *, rows: int) -> Problem:
    what = f"{rows} rows of the slice refer to what is not the member's: {cut.key}"
    if cut.column is None:
        return _error(
            what,
            consequence="they cannot be taken along without it, and no column of the reference may be NULL",
            remedy="let them refer to a row of the member's own, or say in the data map that the tables are shared",
        )
    return _warning(what, consequence=_CUT, remedy="nothing, if that is meant")


def _left(survey: SliceSurvey) -> Iterator[Problem]:
    keys = survey.shares.keys
    if keys[Share.UNKNOWN]:
        yield _error(
            f"nobody knows whose {keys[Share.UNKNOWN]} objects are, {survey.shares.unknown!r} for one",
            consequence="nothing is copied: one of them might be the member's",
            remedy="say it in the data map of the solution that keeps them: objects.members or objects.shared",
        )
    if keys[Share.SHARED]:
        yield _warning(
            f"{keys[Share.SHARED]} objects are shared by all members",
            consequence="they are left: nothing says which of them the member's rows mean",
            remedy="nothing, or copy by hand what the member needs",
        )
    if survey.source.large_objects:
        yield _warning(
            f"there are {survey.source.large_objects} large objects",
            consequence="they are left: nothing says whose they are",
            remedy="nothing, or copy by hand what the member needs",
        )


def _error(what: str, *, consequence: str, remedy: str) -> Problem:
    return Problem(severity=Severity.ERROR, what=what, consequence=consequence, remedy=remedy)


def _warning(what: str, *, consequence: str, remedy: str) -> Problem:
    return Problem(severity=Severity.WARNING, what=what, consequence=consequence, remedy=remedy)
