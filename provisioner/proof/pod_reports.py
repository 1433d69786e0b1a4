"""Pure: what a probe pod's report means for each of its probes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provisioner.proof.attempts import Probe
from provisioner.proof.planning_flows import NETWORK_POLICY
from provisioner.proof.verdicts import Finding, Verdict, allowed, refused

# The letters of tools/probe.
_REACHED, _ANOTHER, _FAILED, _UNTOLD = "o", "a", "e", "?"
_SAID = {
    "a": "another answers",
    "r": "refused",
    "t": "no answer",
    "u": "no way there",
    "n": "no such name",
    "e": "failed",
    "?": "not told",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a pod told: a letter for each probe, and notes by the number of the probe."""

    early: str
    controls: str
    attacks: str
    notes: Mapping[int, str]


def parse_report(text: str) -> Report | None:
    """The report in a pod's last words; None where it is none."""
    try:
        content = json.loads(text)
        return Report(
            early=content["early"],
            controls=content["controls"],
            attacks=content["attacks"],
            notes={int(number): str(note) for number, note in (content.get("notes") or {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def findings(probes: Sequence[Probe], *, report: Report) -> tuple[Finding, ...]:
    """The findings on ``probes``, in their order."""
    controls = [probe for probe in probes if probe.about.guard is None]
    attacks = [probe for probe in probes if probe.about.guard is not None]
    verdicts = {
        probe.about.id: _control(probe, _letter(report.controls, number), note=report.notes.get(number, ""))
        for number, probe in enumerate(controls)
    }
    for number, probe in enumerate(attacks):
        verdicts[probe.about.id] = _attack(
            probe,
            early=_letter(report.early, number),
            late=_letter(report.attacks, number),
            note=report.notes.get(len(controls) + number, ""),
        )
    return tuple(Finding(about=probe.about, verdict=verdicts[probe.about.id]) for probe in probes)


def _letter(letters: str, number: int) -> str:
    return letters[number] if number < len(letters) else "?"


def _control(probe: Probe, letter: str, *, note: str) -> Verdict:
    if letter == _REACHED:
        return allowed(probe.about)
    return refused(probe.about, by=None, said=f"{_SAID.get(letter, letter)} {note}".strip())


def _attack(probe: Probe, *, early: str, late: str, note: str) -> Verdict:
    about = probe.about
    if late in {_REACHED, _ANOTHER}:
        return allowed(about, note or "reached")
    if early in {_REACHED, _ANOTHER}:
        return allowed(about, "reached in the pod's first moments, before its policies were in force")
    if {_FAILED, _UNTOLD} & {early, late}:
        return refused(about, by=None, said=f"{_SAID.get(late, late)} {note}".strip())
    return refused(about, by=None if probe.permitted else NETWORK_POLICY, said=_SAID.get(late, late))
