"""How the doctor's findings look: a table, and what is to be done."""

from collections.abc import Sequence
from dataclasses import asdict

from cli.views import human, json
from provisioner.toolchain.findings import Finding, Level


def show(findings: Sequence[Finding], *, output: str) -> None:
    """Show every finding, then the remedies of those that are not fine."""
    if output == "json":
        json.write("Diagnosis", {"findings": [asdict(finding) for finding in findings]})
        return
    out = human.stdout()
    rows: list[tuple[str, ...]] = [(_mark(finding), finding.subject, finding.found) for finding in findings]
    out.print(human.table("", "what", "found", rows=rows))
    out.print()
    for level in (Level.PROBLEM, Level.SIMULATED):
        _show_remedies([finding for finding in findings if finding.level is level], title=_TITLES[level])
    if all(finding.is_fine for finding in findings):
        out.print("All is fine.")


_TITLES = {
    Level.PROBLEM: "To be done:",
    Level.SIMULATED: "Only for a real node (without it, nodes will be simulated):",
}


def _show_remedies(findings: Sequence[Finding], *, title: str) -> None:
    if not findings:
        return
    out = human.stdout()
    out.print(title)
    for finding in findings:
        out.print(f"  {finding.subject}: {finding.remedy}", markup=False)
    packages = sorted({package for finding in findings for package in finding.packages})
    if len(packages) > 1:
        out.print(f"  all packages at once: apt-get install {' '.join(packages)}", markup=False)


def _mark(finding: Finding) -> str:
    return {Level.FINE: "ok", Level.PROBLEM: "PROBLEM", Level.SIMULATED: "real node"}[finding.level]
