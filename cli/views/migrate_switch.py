"""How it looks when a migration switches, goes back or ends."""

from collections.abc import Sequence
from typing import Any

import click

from cli.views import human, json
from provisioner.migration.journal_entries import Run
from provisioner.migration.run_report import Language, as_page, as_text, report_of
from provisioner.operations.migration_cutting import Switched
from provisioner.operations.migration_fences import is_switched
from provisioner.operations.migration_finalising import Finalised
from provisioner.operations.migration_orphans import Orphans
from provisioner.operations.migration_returning import BroughtBack, RolledBack
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.migration_status import Reported


def cutover_question(site: MigrationSite) -> str:
    """What the switch does."""
    return (
        f"Keep the applications of {site.tenant.cooperative} out for a moment and let them go on at {site.target}"
        f" and {site.target_bucket}?"
    )


def rollback_question(site: MigrationSite, run: Run) -> str:
    """What going back does."""
    if is_switched(run):
        return (
            f"Keep the applications of {site.tenant.cooperative} out for a moment, bring back what they wrote at"
            f" {site.target}, and let them go on at the platform?"
        )
    return (
        f"Give the migration {site.migration.name} up, and delete what it has copied to {site.target} and"
        f" {site.target_bucket}?"
    )


def finalise_question(site: MigrationSite) -> str:
    """What cannot be undone."""
    return (
        f"Give up the way back of {site.migration.name}, so that {site.tenant.cooperative} stays at {site.target},"
        " and dump the platform's copy for the last time?"
    )


def show_switched(found: Switched, *, output: str) -> None:
    """How long it took, and until when there is a way back."""
    if output == "json":
        content = {"migration": found.migration, "backUntil": found.back_until.isoformat()}
        json.write("MigrationCutover", {**content, "outageSeconds": found.outage_seconds, "steps": _steps(found.run)})
        return
    took = _outage(found.outage_seconds)
    human.stdout().print(
        f"{found.migration}: the applications work at the target{took}; `coopctl migrate rollback {found.migration}`"
        f" goes back until {found.back_until:%Y-%m-%d %H:%M} UTC",
        markup=False,
    )


def show_brought_back(found: BroughtBack, *, output: str) -> None:
    """How much it was."""
    if output == "json":
        rows = {"transactions": found.rows.transactions, "changes": found.rows.changes}
        content = {"migration": found.migration, "behindBytes": found.behind_bytes, "rows": rows}
        json.write("MigrationRelayed", content)
        return
    behind = "" if found.behind_bytes is None else f", {found.behind_bytes:,} bytes of WAL were kept for it"
    text = f"{found.rows.transactions} transactions with {found.rows.changes} changes of rows are brought back{behind}"
    human.stdout().print(f"{found.migration}: {text}; objects are the same on both sides", markup=False)


def show_rolled_back(found: RolledBack, *, output: str) -> None:
    """Where the applications are, and what is left at the target."""
    if output == "json":
        content: dict[str, Any] = {"migration": found.migration, "returned": found.returned, "cleaned": found.cleaned}
        json.write("MigrationRolledBack", {**content, "outageSeconds": found.outage_seconds})
        return
    if found.returned:
        left = "the target keeps its copy, closed"
        text = f"the applications work at the platform again{_outage(found.outage_seconds)}; {left}"
    else:
        text = "nothing was switched, the source is as it was"
        text += "" if found.cleaned else "; the target did not answer, and still holds what was copied there"
    human.stdout().print(f"{found.migration}: {text}", markup=False)


def show_finalised(found: Finalised, *, output: str) -> None:
    """Where the dump is, and what the cooperative does now."""
    if output == "json":
        content = {"migration": found.migration, "dump": found.dump, "keepDumpUntil": found.keep_until.isoformat()}
        credentials = {"renewed": list(found.renewed), "rotate": list(found.rotate)}
        json.write("MigrationFinalised", {**content, **credentials})
        return
    console = human.stdout()
    until = f"{found.keep_until:%Y-%m-%d}"
    console.print(f"{found.migration}: done; the final dump is {found.dump}, kept until {until}", markup=False)
    console.print(f"run `coopctl apply {found.cooperative}`: it changes, and restarts what uses them", markup=False)
    for one in found.renewed:
        console.print(f"    {one}", markup=False)
    console.print("whoever moved the data store has known these, too; the cooperative changes them then:", markup=False)
    for one in found.rotate:
        console.print(f"    {one}", markup=False)
    if found.solutions is not None:
        console.print(f"{found.solutions.text}\n    next, after that apply: {found.solutions.hint}", markup=False)


def orphans_question(found: Sequence[Orphans]) -> str:
    """What would be removed."""
    return f"Remove {'; '.join(map(_orphans, found))}? No machine may be working on these migrations."


def show_orphans(found: Sequence[Orphans], *, removed: bool, output: str) -> None:
    """What was left, and whether it is there still."""
    if output == "json":
        documents = [
            {
                "mark": str(one.uid),
                "cooperative": one.cooperative,
                "left": [{"kind": left.kind, "name": left.name, "database": left.database} for left in one.left],
            }
            for one in found
        ]
        json.write("MigrationOrphans", {"removed": removed, "orphans": documents})
        return
    console = human.stdout()
    for one in found:
        console.print(f"{'removed: ' if removed else ''}{_orphans(one)}", markup=False)
    if not found:
        console.print("no migration has left anything", markup=False)


def show_report(found: Reported, *, language: Language, html: bool, output: str) -> None:
    """The report of the last migration or rehearsal."""
    if output == "json":
        ending = str(found.run.ending) if found.run.ending else None
        content = {"migration": found.migration, "cooperative": found.cooperative, "run": str(found.run.kind)}
        erasure = dict(found.erasure.result) if found.erasure else None
        json.write("MigrationReport", {**content, "ending": ending, "steps": _steps(found.run), "erasure": erasure})
        return
    made = report_of(
        found.run,
        migration=found.migration,
        cooperative=found.cooperative,
        language=language,
        erasure=found.erasure,
    )
    click.echo(as_page(made) if html else as_text(made), nl=False)


def _orphans(one: Orphans) -> str:
    named = ", ".join(f"{left.kind} {left.name}" for left in one.left)
    return f"{one.cooperative or 'a cooperative that nobody knows here'}: {named}"


def _outage(seconds: float | None) -> str:
    return f" after {seconds:.2f} s in which they waited" if seconds is not None else ""


def _steps(run: Run) -> list[dict[str, Any]]:
    return [
        {"phase": str(one.phase), "step": one.step, "state": str(one.state), "result": dict(one.result)}
        for one in run.steps
    ]
