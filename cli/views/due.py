"""How it looks what is due: a table by date, and below it what to do about what is missing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cli.views import human, json
from provisioner.descriptor.migration import Window
from provisioner.migration.journal_entries import Run
from provisioner.operations.due import DueCooperative, Progress, Stage

_COLUMNS = ("ends", "days", "cooperative", "afterwards", "migration", "preflight", "rehearsal", "missing")
_NEVER = "never"


def show(found: Sequence[DueCooperative], *, now: datetime, output: str) -> None:
    """Show what is due at ``now``: as one JSON document, or for people."""
    if output == "json":
        json.write("Due", {"at": now.isoformat(), "cooperatives": [_document(one) for one in found]})
        return
    console = human.stdout()
    if not found:
        console.print("no support period ends by then")
        return
    console.print(human.table(*_COLUMNS, rows=[row for one in found for row in _rows(one)]))
    for one in found:
        for missing in one.missing:
            console.print(f"{one.cooperative.name}: {missing.text}\n    hint: {missing.hint}", markup=False)


def _rows(one: DueCooperative) -> list[tuple[str, ...]]:
    """A row for each migration; only the first bears the date."""
    head = (str(one.ends), str(one.days), str(one.cooperative.name), str(one.cooperative.support.afterwards))
    missing = str(len(one.missing)) if one.missing else ""
    if not one.migrations:
        return [(*head, "", "", "", missing)]
    first, *others = one.migrations
    return [(*head, *_cells(first), missing), *(("", "", "", "", *_cells(other), "") for other in others)]


def _cells(migration: Progress) -> tuple[str, str, str]:
    return _name(migration), _when(migration.preflight), _when(migration.rehearsal)


def _name(migration: Progress) -> str:
    scope = "" if migration.scope == "all" else f" ({migration.scope})"
    state = {
        Stage.WAITING: "",
        Stage.RUNNING: f", running: {migration.phase}" if migration.phase else ", running",
        Stage.MOVED: f", moved {migration.moved:%Y-%m-%d}" if migration.moved else ", moved",
    }
    return f"{migration.name}{scope}{state[migration.stage]}"


def _when(run: Run | None) -> str:
    return f"{run.ended:%Y-%m-%d} {run.ending}" if run is not None else _NEVER


def _document(one: DueCooperative) -> dict[str, Any]:
    return {
        "name": str(one.cooperative.name),
        "displayName": one.cooperative.display_name,
        "ends": one.ends.isoformat(),
        "days": one.days,
        "afterwards": str(one.cooperative.support.afterwards),
        "migrations": [_migration(migration) for migration in one.migrations],
        "missing": [{"lack": str(lack.lack), "text": lack.text, "hint": lack.hint} for lack in one.missing],
    }


def _migration(migration: Progress) -> dict[str, Any]:
    return {
        "name": migration.name,
        "scope": migration.scope,
        "stage": str(migration.stage),
        "phase": str(migration.phase) if migration.phase else None,
        "window": _window(migration.window),
        "preflight": _run(migration.preflight),
        "rehearsal": _run(migration.rehearsal),
        "moved": migration.moved.isoformat() if migration.moved else None,
    }


def _window(window: Window | None) -> dict[str, str] | None:
    return {"from": window.begins.isoformat(), "to": window.ends.isoformat()} if window else None


def _run(run: Run | None) -> dict[str, Any] | None:
    if run is None or run.ended is None:
        return None
    return {"ended": run.ended.isoformat(), "ending": str(run.ending), "problems": run.result.get("problems")}
