"""How drift looks: what differs from what was applied, what was mended, and what others have in the namespaces."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from cli.views import events as events_view
from cli.views import human, json
from cli.views.changes import changes_document, field_line, kind_of
from provisioner.cluster.solution_labels import REMEDY
from provisioner.engine.changes import ResourceChange
from provisioner.engine.events import Operation
from provisioner.engine.fleet import Outcome
from provisioner.operations.drifting import Drift


def show(outcomes: Sequence[Outcome[Drift]], *, output: str) -> None:
    """Show every stack's drift: as one JSON document, or for people."""
    if output == "json":
        json.write("Drift", _documents(outcomes))
    else:
        _print_all(human.stdout(), outcomes)


def tell(outcomes: Sequence[Outcome[Drift]], *, events: bool) -> None:
    """Tell on stderr what differs, before it is asked whether to mend it: for people, or as one event `Drift`.

    It is no plan: what is gone is made again, so that "to delete" would say the opposite of what happens.
    """
    if events:
        events_view.write("Drift", _documents(outcomes))
    else:
        _print_all(human.stderr(), outcomes)


def _documents(outcomes: Sequence[Outcome[Drift]]) -> dict[str, Any]:
    return {"stacks": [_document(outcome) for outcome in outcomes]}


def _document(outcome: Outcome[Drift]) -> dict[str, Any]:
    from cli import failures

    if outcome.failure is not None:
        return {"stack": outcome.stack, "error": failures.as_document(outcome.failure)}
    drift = outcome.value
    if drift is None:
        return {"stack": outcome.stack}
    return {
        "stack": drift.stack,
        "drift": changes_document(drift.found),
        "repaired": changes_document(drift.repaired) if drift.repaired else None,
        "foreignObjects": [asdict(item) for item in drift.foreign],
        "mislabelledPods": [asdict(item) for item in drift.mislabelled],
    }


def _print_all(console: Console, outcomes: Sequence[Outcome[Drift]]) -> None:
    for outcome in outcomes:
        if outcome.value is not None:
            _print(console, outcome.value)


def _print(console: Console, drift: Drift) -> None:
    console.print(f"{drift.stack}: {_verdict(drift)}", style="bold", markup=False)
    for change in drift.found.resources:
        console.print(f"  {change.resource}  ({kind_of(change.type)}) {_what(change)}", markup=False)
        for field in change.fields:
            console.print(f"      {field_line(field)}", markup=False)
    for one in drift.mislabelled:
        console.print(f"  has the flows of a solution: {one}; {REMEDY}", markup=False)
    for item in drift.foreign:
        console.print(
            f"  not ours: {item.resource} {item.namespace}/{item.name}  (made by {item.manager})", markup=False
        )


def _verdict(drift: Drift) -> str:
    count = len(drift.mislabelled)
    pods = f"; {count} with a solution's label that is not theirs" if count else ""
    return _of_resources(drift) + pods


def _of_resources(drift: Drift) -> str:
    if not drift.found.any:
        return "as it was applied"
    count = len(drift.found.resources)
    noun = "resource" if count == 1 else "resources"
    if drift.repaired:
        return f"{count} {noun} differed, {'it is' if count == 1 else 'all are'} mended"
    return f"{count} {noun} {'differs' if count == 1 else 'differ'}"


def _what(change: ResourceChange) -> str:
    return "is gone" if change.operation is Operation.DELETE else "was changed"
