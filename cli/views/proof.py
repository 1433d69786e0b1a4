"""How proofs look: a table of what was blocked by area, and every problem; JSON and JUnit have every attempt."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree as Xml

from cli.views import human, json
from provisioner.engine.fleet import Outcome
from provisioner.errors import ExitCode
from provisioner.proof.attempts import Area
from provisioner.proof.evidence import Proof, as_document
from provisioner.proof.verdicts import PROBLEMS, Ending, Finding

_COLUMNS = (Ending.BLOCKED, Ending.WORKS, Ending.NOT_ATTEMPTED)
_LOUD = {
    Ending.GOT_THROUGH: "GOT THROUGH",
    Ending.FAILED_CONTROL: "FAILED CONTROL",
    Ending.UNPROVEN: "PROVES NOTHING",
    Ending.NO_ROOM: "NO ROOM",
}


def show(outcomes: Sequence[Outcome[Proof]], *, output: str, verbose: bool) -> None:
    """Show every proof: as one document, or for people."""
    match output:
        case "json":
            json.write("Proofs", {"proofs": documents(outcomes)})
        case "junit":
            sys.stdout.write(_junit(outcomes))
        case _:
            for outcome in outcomes:
                if outcome.value is not None:
                    print_proof(outcome.value, verbose=verbose)


def documents(outcomes: Sequence[Outcome[Proof]]) -> list[dict[str, Any]]:
    """The JSON form of proofs, and of failures to make one."""
    from cli import failures

    found: list[dict[str, Any]] = []
    for outcome in outcomes:
        if outcome.failure is not None:
            found.append({"cooperative": outcome.stack, "error": failures.as_document(outcome.failure)})
        elif outcome.value is not None:
            found.append(as_document(outcome.value))
    return found


def summaries(outcomes: Sequence[Outcome[Proof]]) -> list[dict[str, Any]]:
    """The JSON form of proofs beside other answers: of their attempts, only those that are problems."""
    harmless = {str(ending) for ending in Ending if ending not in PROBLEMS}
    return [
        {
            name: [item for item in value if item["verdict"] not in harmless] if name == "attempts" else value
            for name, value in document.items()
        }
        for document in documents(outcomes)
    ]


def exit_code(code: ExitCode, *, outcomes: Sequence[Outcome[Proof]]) -> ExitCode:
    """The exit code ``code``, or that of problems where nothing failed but a proof has some."""
    found = any(outcome.value.problems for outcome in outcomes if outcome.value is not None)
    return ExitCode.PROBLEMS if found and code is ExitCode.DONE else code


def headline(proof: Proof) -> str:
    """One line: whether the cooperative is isolated, and after how many attempts."""
    attacks = sum(finding.about.guard is not None for finding in proof.findings)
    blocked, count = proof.counts.get(Ending.BLOCKED, 0), len(proof.problems)
    verdict = f"{count} problem{'s' if count > 1 else ''}" if count else "isolated"
    return f"{verdict}: {blocked} of {attacks} attacks were blocked ({proof.seconds:.0f} s)"


def print_proof(proof: Proof, *, verbose: bool, stderr: bool = False) -> None:
    """Show one proof for people."""
    console = human.stderr() if stderr else human.stdout()
    style = "bold red" if proof.problems else "bold"
    console.print(f"{proof.cooperative}: {headline(proof)}", style=style, markup=False)
    if verbose:
        rows = [_row(finding) for finding in proof.findings]
        console.print(human.table("verdict", "who", "what", "by", "said", rows=rows))
        return
    if not stderr:
        console.print(human.table("area", *map(str, _COLUMNS), "problems", rows=list(_counts(proof))))
    for reason, count in Counter(_reasons(proof)).items():
        console.print(f"  not attempted: {count} x {reason}", markup=False)
    for finding in proof.problems:
        console.print(f"  {_problem(finding)}", style="red", markup=False)


def _counts(proof: Proof) -> Iterator[tuple[str, ...]]:
    for area in Area:
        found = [finding for finding in proof.findings if finding.about.area is area]
        counts = Counter(finding.verdict.ending for finding in found)
        if found:
            problems = sum(finding.is_problem for finding in found)
            yield (str(area), *(str(counts.get(ending, 0)) for ending in _COLUMNS), str(problems))


def _reasons(proof: Proof) -> Iterator[str]:
    for finding in proof.findings:
        if finding.verdict.ending is Ending.NOT_ATTEMPTED:
            # What comes behind a colon is about the one attempt.
            yield finding.verdict.said.partition(":")[0]


def _problem(finding: Finding) -> str:
    about, verdict = finding.about, finding.verdict
    wanted = f"; {about.guard} must refuse it" if about.guard and verdict.ending is not Ending.GOT_THROUGH else ""
    by = f" by {verdict.by}" if verdict.by else ""
    said = f": {verdict.said}" if verdict.said else ""
    return f"{_LOUD[verdict.ending]}  {about.who} {about.what}{by}{wanted}{said}"


def _row(finding: Finding) -> tuple[str, ...]:
    about, verdict = finding.about, finding.verdict
    ending = _LOUD.get(verdict.ending, str(verdict.ending))
    return (ending, about.who, about.what, str(verdict.by or ""), verdict.said)


def _junit(outcomes: Sequence[Outcome[Proof]]) -> str:
    """JUnit's XML (Jenkins' schema, as GitLab and GitHub read it): a suite each, a case for every attempt."""
    suites = Xml.Element("testsuites", name="coopctl prove")
    for outcome in outcomes:
        if outcome.failure is not None:
            suite = Xml.SubElement(suites, "testsuite", name=outcome.stack, tests="1", errors="1")
            case = Xml.SubElement(suite, "testcase", classname=outcome.stack, name="proof")
            Xml.SubElement(case, "error", message=outcome.failure.message)
        if outcome.value is not None:
            suites.append(_suite(outcome.value))
    Xml.indent(suites)
    return Xml.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _suite(proof: Proof) -> Xml.Element:
    suite = Xml.Element(
        "testsuite",
        name=proof.cooperative,
        timestamp=proof.at.isoformat(timespec="seconds"),
        time=f"{proof.seconds:.3f}",
        tests=str(len(proof.findings)),
        failures=str(len(proof.problems)),
        skipped=str(proof.counts.get(Ending.NOT_ATTEMPTED, 0)),
    )
    for finding in proof.findings:
        about, verdict = finding.about, finding.verdict
        name = f"{proof.cooperative}.{about.area}"
        case = Xml.SubElement(suite, "testcase", classname=name, name=f"{about.who} {about.what}")
        if finding.is_problem:
            Xml.SubElement(case, "failure", type=str(verdict.ending), message=_problem(finding))
        elif verdict.ending is Ending.NOT_ATTEMPTED:
            Xml.SubElement(case, "skipped", message=verdict.said)
    return suite
