"""How changes look: what apply would do, or has done, per cooperative and field."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from cli.views import events as events_view
from cli.views import human, json
from cli.views import orphans as orphans_view
from cli.views import proof as proof_view
from provisioner.engine.changes import Changes, FieldChange, ResourceChange
from provisioner.engine.events import Operation
from provisioner.engine.fleet import Outcome
from provisioner.operations.orphans import Orphan
from provisioner.proof.evidence import Proof

Notes = Mapping[str, tuple[str, ...]]
NO_NOTES: Notes = MappingProxyType({})
_SIGNS = {
    Operation.CREATE: ("+", "green", "to create", "created"),
    Operation.UPDATE: ("~", "yellow", "to update", "updated"),
    Operation.REPLACE: ("±", "magenta", "to replace", "replaced"),
    Operation.DELETE: ("-", "red", "to delete", "deleted"),
}


def show(
    kind: str,
    outcomes: Sequence[Outcome[Changes]],
    *,
    output: str,
    done: bool,
    orphans: Sequence[Orphan] = (),
    proofs: Sequence[Outcome[Proof]] = (),
    notes: Notes = NO_NOTES,
) -> None:
    """Show what became of each stack, of ``orphans``, and what ``proofs`` found, with ``notes`` on stacks: as one JSON
    document of ``kind``, or for people."""
    if output == "json":
        proved = {"proofs": proof_view.summaries(proofs)} if done else {}
        json.write(kind, document(outcomes, notes=notes) | {"orphans": orphans_view.documents(orphans), **proved})
    else:
        _print(human.stdout(), outcomes, notes=notes, done=done)
        orphans_view.show(orphans)
        proof_view.show(proofs, output=output, verbose=False)


def tell(outcomes: Sequence[Outcome[Changes]], *, notes: Notes = NO_NOTES, events: bool) -> None:
    """Tell on stderr what would be done, before it is asked about: for people, or as one event `Plan`."""
    if events:
        events_view.write("Plan", document(outcomes, notes=notes))
    else:
        _print(human.stderr(), outcomes, notes=notes, done=False)


def _print(console: Any, outcomes: Sequence[Outcome[Changes]], *, notes: Notes, done: bool) -> None:
    for outcome in outcomes:
        if outcome.value is not None:
            _print_changes(console, outcome.value, notes=notes.get(outcome.stack, ()), done=done)
        if outcome.failure is not None:
            console.print(f"{outcome.stack}: failed: {outcome.failure.message}", style="red", markup=False)
    if len(outcomes) > 1:
        console.print(_summary(outcomes), markup=False)


def document(outcomes: Sequence[Outcome[Changes]], *, notes: Notes = NO_NOTES) -> dict[str, Any]:
    """The JSON form of outcomes; a stack has ``notes`` where there are some."""
    return {
        "stacks": [_stack_document(outcome, notes=notes.get(outcome.stack, ())) for outcome in outcomes],
        "changes": any(outcome.value.any for outcome in outcomes if outcome.value is not None),
        "failed": sum(outcome.failure is not None for outcome in outcomes),
    }


def changes_document(changes: Changes) -> dict[str, Any]:
    """The JSON form of one stack's changes."""
    return {
        "comparedWithWorld": changes.compared_with_world,
        "same": changes.same,
        "resources": [_resource_document(change) for change in changes.resources],
    }


def _stack_document(outcome: Outcome[Changes], *, notes: Sequence[str]) -> dict[str, Any]:
    from cli import failures

    found: dict[str, Any] = {"stack": outcome.stack, **({"notes": list(notes)} if notes else {})}
    if outcome.value is not None:
        found |= changes_document(outcome.value)
    if outcome.failure is not None:
        found["error"] = failures.as_document(outcome.failure)
    return found


def _resource_document(change: ResourceChange) -> dict[str, Any]:
    return {
        "resource": change.resource,
        "type": change.type,
        "operation": str(change.operation),
        "fields": [field_document(field) for field in change.fields],
    }


def field_document(field: FieldChange) -> dict[str, Any]:
    """The JSON form of a field's change."""
    return {"path": field.path, "before": field.before, "after": field.after, "by": field.by}


def headline(changes: Changes, *, done: bool) -> str:
    """One line: how many resources are created, updated, replaced and deleted."""
    if not changes.any:
        note = "" if changes.compared_with_world else "; not compared with the world, --refresh does"
        return f"{changes.stack}: no changes ({changes.same} resources the same{note})"
    parts = [
        f"{changes.counts[operation]} {_wording(operation, done=done)}"
        for operation in _SIGNS
        if changes.counts.get(operation)
    ]
    return f"{changes.stack}: {', '.join(parts)}, {changes.same} the same"


def _wording(operation: Operation, *, done: bool) -> str:
    return _SIGNS[operation][3 if done else 2]


def _print_changes(console: Any, changes: Changes, *, notes: Sequence[str], done: bool) -> None:
    console.print(headline(changes, done=done), style="bold", markup=False)
    for note in notes:
        console.print(f"  {note}", markup=False)
    for change in changes.resources:
        sign, colour, _, _ = _SIGNS[change.operation]
        console.print(f"  {sign} {change.resource}  ({kind_of(change.type)})", style=colour, markup=False)
        for field in change.fields:
            console.print(f"      {field_line(field)}", markup=False)


def field_line(field: FieldChange) -> str:
    """One field for people: path, before and after, and who owns it if another manager does."""
    by = f"  (by {field.by})" if field.by else ""
    return f"{field.path}: {_value(field.before)} -> {_value(field.after)}{by}"


def kind_of(resource_type: str) -> str:
    """The last part of a type token: what people call the thing."""
    return resource_type.rpartition(":")[2]


def _value(text: str | None) -> str:
    return "(none)" if text is None else text


def _summary(outcomes: Sequence[Outcome[Changes]]) -> str:
    counts: Mapping[str, int] = {
        "with changes": sum(outcome.value.any for outcome in outcomes if outcome.value is not None),
        "without": sum(not outcome.value.any for outcome in outcomes if outcome.value is not None),
        "failed": sum(outcome.failure is not None for outcome in outcomes),
    }
    return f"{len(outcomes)} stacks: " + ", ".join(f"{count} {what}" for what, count in counts.items())
