"""How an audit trail looks."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cli.views import human, json
from provisioner.operations.history import Ending, Entry, Event, Trail

# As much of a commit or digest as people compare; JSON has the whole.
_SHORT = 10
_DIGEST_LENGTH = 64
# A run that failed may name every resource that did; a table of such lines cannot be read.
_WHY_MAX = 160


def show(trail: Trail, *, limit: int | None, output: str) -> None:
    """Show the last ``limit`` entries, or all, and every sign that somebody changed them."""
    if output == "json":
        entries = trail.entries[-limit:] if limit else trail.entries
        json.write("History", {"stack": trail.stack, "entries": _documents(entries), "problems": list(trail.problems)})
        return
    runs = _runs(trail.entries)
    rows = [_row(entry, is_cut_off=is_cut_off) for entry, is_cut_off in (runs[-limit:] if limit else runs)]
    columns = ("when (UTC)", "what", "how it ended", "who", "commit", "plan", "changes")
    human.stdout().print(human.table(*columns, rows=rows))
    for problem in trail.problems:
        sys.stderr.write(f"error: {problem}\n")
    if trail.problems:
        sys.stderr.write("hint: somebody changed the history; compare it with a copy of the state backend\n")


def _runs(entries: Sequence[Entry]) -> list[tuple[Entry, bool]]:
    """The entries without the beginnings of what ended, and whether each was cut off."""
    runs: list[tuple[Entry, bool]] = []
    for place, entry in enumerate(entries):
        if entry.event.ending is not Ending.BEGUN:
            runs.append((entry, False))
        elif not any(_ends(later.event, entry.event) for later in entries[place + 1 :]):
            runs.append((entry, True))
    return runs


def _ends(later: Event, event: Event) -> bool:
    same = (later.action, later.author.user, later.author.host) == (event.action, event.author.user, event.author.host)
    return later.ending is not Ending.BEGUN and same


def _row(entry: Entry, *, is_cut_off: bool) -> tuple[str, ...]:
    event = entry.event
    commit = event.author.commit[:_SHORT] + ("+changes" if event.author.dirty else "")
    ending = "cut off, or still running" if is_cut_off else str(event.ending)
    return (
        f"{event.at:%Y-%m-%d %H:%M:%S}",
        str(event.action),
        "; ".join((f"{ending}: {_cut(event.why)}" if event.why else ending, *_details(event))),
        f"{event.author.user}@{event.author.host}",
        commit,
        event.plan[:_SHORT],
        ", ".join(f"{count} {operation}" for operation, count in event.changes.items()) or "none",
    )


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WHY_MAX else f"{line[: _WHY_MAX - 1]}…"


def _details(event: Event) -> list[str]:
    return [f"{name}: {text[:_SHORT] if _is_digest(text) else text}" for name, text in event.details.items()]


def _is_digest(text: str) -> bool:
    return len(text) == _DIGEST_LENGTH and set(text) <= set("0123456789abcdef")


def _documents(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [
        {
            "number": entry.number,
            "digest": entry.digest,
            "previous": entry.previous,
            **asdict(entry.event),
            "at": entry.event.at.isoformat(),
        }
        for entry in entries
    ]
