"""What became of an attempt, and what all of them together say."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from provisioner.proof.attempts import About, Guard


class Ending(StrEnum):
    """How an attempt ended.

    UNPROVEN: it was refused, but not by the guard that must refuse it, or something that it rests on does not work.
    NO_ROOM: the cluster has no room for the pods that were to make it.
    """

    BLOCKED = "blocked"
    WORKS = "works"
    GOT_THROUGH = "got through"
    FAILED_CONTROL = "failed control"
    UNPROVEN = "proves nothing"
    NO_ROOM = "no room"
    NOT_ATTEMPTED = "not attempted"


# What a proof must not hold. An attack that proves nothing is no better than one that was left out unsaid; and whoever
# fills a cluster must not keep himself from being proved.
PROBLEMS = frozenset({Ending.GOT_THROUGH, Ending.FAILED_CONTROL, Ending.UNPROVEN, Ending.NO_ROOM})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How an attempt ended, ``by`` whom it was blocked, and what was answered or why it was not made."""

    ending: Ending
    by: Guard | None = None
    said: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """An attempt with its verdict."""

    about: About
    verdict: Verdict

    @property
    def is_problem(self) -> bool:
        """Whether isolation is not shown here."""
        return self.verdict.ending in PROBLEMS


def allowed(about: About, said: str = "") -> Verdict:
    """What was asked for is allowed: right for a control, a hole for an attack."""
    return Verdict(ending=Ending.WORKS if about.guard is None else Ending.GOT_THROUGH, said=said)


def refused(about: About, *, by: Guard | None, said: str) -> Verdict:
    """It was refused ``by`` a guard, or None for anything else: a validation, a conflict, something that is absent."""
    if about.guard is None:
        return Verdict(ending=Ending.FAILED_CONTROL, by=by, said=said)
    if by in {about.guard, *about.also}:
        return Verdict(ending=Ending.BLOCKED, by=by, said=said)
    return Verdict(ending=Ending.UNPROVEN, by=by, said=said)


def no_room(reason: str) -> Verdict:
    """Its pods found no room; ``reason`` is the scheduler's."""
    return Verdict(ending=Ending.NO_ROOM, said=reason)


def not_attempted(reason: str) -> Verdict:
    """It was not made, for this reason."""
    return Verdict(ending=Ending.NOT_ATTEMPTED, said=reason)


def settled(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings, where what was blocked counts only if all that it rests on works."""
    controls = {finding.about.id: finding.verdict for finding in findings if finding.about.guard is None}
    return tuple(_settled(finding, controls=controls) for finding in findings)


def problems(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that do not show isolation."""
    return tuple(finding for finding in findings if finding.is_problem)


def _settled(finding: Finding, *, controls: Mapping[str, Verdict]) -> Finding:
    if finding.verdict.ending is not Ending.BLOCKED:
        return finding
    for control in finding.about.rests_on:
        if control not in controls or controls[control].ending is not Ending.WORKS:
            return replace(finding, verdict=_without(control, controls.get(control), blocked=finding.verdict))
    return finding


def _without(name: str, control: Verdict | None, *, blocked: Verdict) -> Verdict:
    if control is None or control.ending is Ending.NOT_ATTEMPTED:
        return not_attempted(f"{name} was not attempted" + (f": {control.said}" if control else ""))
    return replace(blocked, ending=Ending.UNPROVEN, said=f"{name} does not work")
