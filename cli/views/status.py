"""How the status of cooperatives looks."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from cli.views import human, json
from cli.views import orphans as orphans_view
from cli.views.changes import changes_document, field_line, kind_of
from provisioner.datastore.store_places import StoreRecord
from provisioner.engine.events import Operation
from provisioner.engine.fleet import Outcome
from provisioner.operations.health import BucketHealth, DatabaseHealth, Health, NamespaceHealth
from provisioner.operations.looking import Status
from provisioner.operations.orphans import Orphan
from provisioner.operations.proof_state import ProofState

# Quota lines of which less is used are left out for people; JSON has them all.
_SHOWN_FROM = 0.0
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def show(outcomes: Sequence[Outcome[Status]], *, output: str, orphans: Sequence[Orphan] = ()) -> None:
    """Show every status, and stacks without descriptor: as one JSON document, or for people."""
    if output == "json":
        json.write("Status", document(outcomes) | {"orphans": orphans_view.documents(orphans)})
        return
    for outcome in outcomes:
        if outcome.value is not None:
            _print_status(outcome.value)
        elif outcome.failure is not None:
            human.stdout().print(f"{outcome.stack}: {outcome.failure.message}", style="red", markup=False)
    orphans_view.show(orphans)


def document(outcomes: Sequence[Outcome[Status]]) -> dict[str, Any]:
    """The JSON form of statuses."""
    return {"stacks": [_stack_document(outcome) for outcome in outcomes]}


def _stack_document(outcome: Outcome[Status]) -> dict[str, Any]:
    from cli import failures

    found: dict[str, Any] = {"stack": outcome.stack}
    if outcome.failure is not None:
        return found | {"error": failures.as_document(outcome.failure)}
    status = outcome.value
    if status is None:
        return found
    return found | {
        "applied": status.applied,
        "healthy": not status.problems,
        "problems": list(status.problems),
        "drift": changes_document(status.drift),
        **(_health_document(status.health) if status.health else {}),
        **({"proof": _proof_document(status.proof)} if status.health else {}),
        **({"dataStore": _place_document(status.place)} if status.place else {}),
    }


def _place_document(place: StoreRecord) -> dict[str, Any]:
    servers = {"postgres": place.place.postgres, "objects": place.place.objects}
    return {
        "migration": place.migration,
        "moved": place.moved,
        "moving": place.moving,
        "final": place.final,
        "handedOver": place.place.handed_over or None,
        "since": place.since.isoformat(timespec="seconds"),
        **{name: {"host": server.host, "port": server.port} for name, server in servers.items()},
    }


def _proof_document(proof: ProofState | None) -> dict[str, Any] | None:
    if proof is None:
        return None
    at = proof.at.isoformat(timespec="seconds")
    return {"at": at, "isolated": not proof.problems, "problems": proof.problems, "doubts": list(proof.doubts)}


def _health_document(health: Health) -> dict[str, Any]:
    return {
        "namespaces": [_namespace_document(namespace) for namespace in health.namespaces],
        "database": _database_document(health.database) if health.database else None,
        "bucket": _bucket_document(health.bucket) if health.bucket else None,
        "workloads": [
            {
                "namespace": item.namespace,
                "kind": item.kind,
                "name": item.name,
                "solution": item.solution,
                "wanted": item.wanted,
                "ready": item.ready,
            }
            for item in health.workloads
        ],
    }


def _namespace_document(namespace: NamespaceHealth) -> dict[str, Any]:
    quota = [{"resource": use.resource, "used": use.used, "hard": use.hard} for use in namespace.quota]
    return {"name": namespace.name, "phase": namespace.phase, "quota": quota}


def _database_document(database: DatabaseHealth) -> dict[str, Any]:
    usage = database.usage
    return {
        "name": database.name,
        "sizeBytes": usage.size_bytes if usage else None,
        "storageBytes": database.storage_bytes,
        "writable": database.writable,
        "connections": usage.sessions if usage else None,
        "connectionLimit": usage.connection_limit if usage else None,
    }


def _bucket_document(bucket: BucketHealth) -> dict[str, Any]:
    usage = bucket.usage
    return {
        "name": bucket.name,
        "sizeBytes": usage.size_bytes if usage else None,
        "objects": usage.objects if usage else None,
        "quotaBytes": bucket.quota_bytes,
        "writable": bucket.writable,
    }


def _print_status(status: Status) -> None:
    console = human.stdout()
    console.print(f"{status.stack}: {_verdict(status)}", style="bold" if status.is_well else "bold red", markup=False)
    if status.health and status.applied:
        place = [("data store", "", str(status.place))] if status.place else []
        rows = [*_rows(status.health), *place, ("proof", "", _proof(status.proof))]
        console.print(human.table("part", "name", "state", rows=rows))
    for problem in status.problems:
        console.print(f"  problem: {problem}", style="red", markup=False)
    _print_drift(console, status)


def _verdict(status: Status) -> str:
    if not status.applied:
        return "not applied"
    parts = [f"{len(status.problems)} problem(s)"] if status.problems else ["healthy"]
    if status.drift.any:
        parts.append(f"{len(status.drift.resources)} resource(s) differ from what was applied")
    return ", ".join(parts)


def _rows(health: Health) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for namespace in health.namespaces:
        rows.append(("namespace", namespace.name, namespace.phase))
        rows += [
            ("quota", use.resource, f"{use.used} of {use.hard}")
            for use in namespace.quota
            if use.fraction is None or use.fraction > _SHOWN_FROM
        ]
    if health.database:
        rows.append(("database", health.database.name, _database_state(health.database)))
    if health.bucket:
        rows.append(("bucket", health.bucket.name, _bucket_state(health.bucket)))
    rows += [
        ("solution", f"{item.kind} {item.name}", f"{item.ready} of {item.wanted} ready") for item in health.workloads
    ]
    return rows


def _proof(proof: ProofState | None) -> str:
    if proof is None:
        return "never proved"
    verdict = f"{proof.problems} problem(s)" if proof.problems else "isolated"
    doubts = f"; in doubt: {', '.join(proof.doubts)}" if proof.doubts else ""
    return f"{verdict}, {human_age(proof.age)} ago{doubts}"


def human_age(age: timedelta) -> str:
    """An age in words: minutes up to two hours, hours up to three days, then days."""
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} minute" + ("" if minutes == 1 else "s")
    hours = minutes // 60
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"


def _database_state(database: DatabaseHealth) -> str:
    if database.usage is None:
        return "missing"
    limit = "" if database.usage.connection_limit < 0 else f" of {database.usage.connection_limit}"
    size = _size(database.usage.size_bytes, limit=database.storage_bytes)
    return f"{size}, {database.usage.sessions}{limit} connections"


def _bucket_state(bucket: BucketHealth) -> str:
    if bucket.usage is None:
        return "missing"
    return f"{_size(bucket.usage.size_bytes, limit=bucket.quota_bytes)}, {bucket.usage.objects} objects"


def _size(size: int, *, limit: int) -> str:
    return f"{human_bytes(size)} of {human_bytes(limit)}" if limit else human_bytes(size)


def human_bytes(size: int) -> str:
    """A size in the largest unit that leaves at least one: 1536 is `1.5 KiB`."""
    amount, unit = float(size), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def _print_drift(console: Any, status: Status) -> None:
    for change in status.drift.resources:
        what = "is gone" if change.operation is Operation.DELETE else "was changed"
        console.print(f"  drift: {change.resource} ({kind_of(change.type)}) {what}", style="yellow", markup=False)
        for field in change.fields:
            console.print(f"      {field_line(field)}", markup=False)
    if status.drift.any:
        console.print(f"  hint: `coopctl apply {status.stack}` mends it", markup=False)
