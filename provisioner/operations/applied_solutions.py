"""The solutions that a cooperative had, kept beside the state: what `apply --rollback` goes back to.

Of each of the last two states that were applied whole, its solutions are kept with their final values, and the files of
their charts, by digest: a catalogue has one version of a chart, and takes another in its place. Two states differ in
versions, charts, images or the descriptor's values; that a member came makes no other state.

1. Before Pulumi runs, the charts are kept, and what is begun is noted.
2. When everything is applied and ready, what was begun becomes the newest state.

Cut off or failed between the two, going back leads to the newest state that was whole; else to the one before it. No
record holds a secret: values are the descriptor's and facts of the tenant.
"""

import base64
import binascii
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from provisioner.errors import CoopctlError, NotFound
from provisioner.operations.site import Site, Target
from provisioner.plan.cooperative import with_charts
from provisioner.plan.resources import CooperativePlan, SolutionChart
from provisioner.plan.solution_choice import FACTS
from provisioner.plan.tenant import tenant_of

FOLDER = "solutions"
CHARTS = "charts"
UNPACKED = "rollback"
KEPT_STATES = 2
_FIELDS = ("key", "release", "solution", "version", "namespace", "values", "depends_on")


@dataclass(frozen=True, kw_only=True)
class AppliedState:
    """The solutions of one applied state: when it was noted (UTC, ISO 8601), and each solution as JSON holds it."""

    at: str
    solutions: tuple[Mapping[str, Any], ...]

    @property
    def choice(self) -> tuple[Mapping[str, Any], ...]:
        """What was chosen: the solutions without facts of the tenant, such as how many members it has."""
        return tuple(
            {**one, "values": {name: value for name, value in one["values"].items() if name != FACTS}}
            for one in self.solutions
        )

    @property
    def digest(self) -> str:
        """A digest of the choice: two states with the same one are the same state."""
        return hashlib.sha256(json.dumps(self.choice, sort_keys=True).encode()).hexdigest()

    @property
    def versions(self) -> str:
        """The solutions with their versions, for people."""
        return ", ".join(f"{one['solution']} {one['version']}" for one in self.solutions) or "no solution"


@dataclass(frozen=True, kw_only=True)
class _Record:
    """What is kept of one cooperative: states, the newest first, and one that was begun and is not whole yet."""

    states: tuple[AppliedState, ...] = ()
    begun: AppliedState | None = None

    @property
    def known(self) -> tuple[AppliedState, ...]:
        """All states."""
        return (*self.states, self.begun) if self.begun is not None else self.states


def note_begun(site: Site, target: Target) -> None:
    """Keep the charts of ``target`` and note that it is begun. Raises CoopctlError if that cannot be written."""
    if not isinstance(target.plan, CooperativePlan):
        return
    found, state = _read(site, target.name), _kept(site, target.plan)
    if not found.states or found.states[0].choice != state.choice:
        _write(site, target.name, replace(found, begun=state))


def note_whole(site: Site, target: Target) -> None:
    """Note that all of ``target`` is applied and ready."""
    if not isinstance(target.plan, CooperativePlan):
        return
    found, state = _read(site, target.name), _kept(site, target.plan)
    others = tuple(one for one in found.states if one.choice != state.choice)
    is_known = bool(found.states) and found.states[0].solutions == state.solutions and found.begun is None
    if not is_known:
        _write(site, target.name, _Record(states=(state, *others)[:KEPT_STATES]))


def note_begun_is_whole(site: Site, name: str) -> None:
    """Note that what was begun is applied and ready; nothing if nothing was begun."""
    found = _read(site, name)
    if found.begun is not None:
        others = tuple(one for one in found.states if one.choice != found.begun.choice)
        _write(site, name, _Record(states=(found.begun, *others)[:KEPT_STATES]))


def newest_whole(site: Site, name: str) -> AppliedState | None:
    """The newest state that was applied whole, or None. Raises CoopctlError if the record is damaged."""
    return next(iter(_read(site, name).states), None)


def forget(site: Site, name: str) -> None:
    """Note that the cooperative is gone, and nothing to go back to."""
    if _read(site, name) != _Record():
        _write(site, name, _Record())


def state_before(site: Site, name: str) -> AppliedState:
    """The state that going back leads to. Raises NotFound if there is none."""
    found = _read(site, name)
    candidates = found.states if found.begun is not None else found.states[1:]
    if not candidates:
        why = "it was applied with one choice of solutions alone, or not to its end"
        raise NotFound(f"there is no applied state that {name} could go back to", why=why)
    return candidates[0]


def going_back(site: Site, target: Target, *, state: AppliedState) -> Target:
    """``target`` with the solutions of ``state`` in place of those that its descriptor chooses.

    Raises CoopctlError if a chart's record is damaged or lost.
    """
    if not isinstance(target.plan, CooperativePlan):
        raise TypeError("only cooperatives have solutions")
    home = site.folder(target.name) / UNPACKED
    _tidy(home, states=(state, *_read(site, target.name).known))
    charts = charts_of(site, state, into=home)
    tenant = tenant_of(
        site.cooperatives[target.name], cluster=target.plan.cluster, buckets=site.platform.objects.bucket_prefix
    )
    return site.target_of(target.name, plan=with_charts(target.plan, charts, tenant=tenant))


def charts_of(site: Site, state: AppliedState, *, into: Path) -> tuple[SolutionChart, ...]:
    """The charts of ``state``, their files unpacked below ``into``. Raises CoopctlError if a record is damaged."""
    return tuple(_chart(one, folder=_unpacked(site, one, into=into)) for one in state.solutions)


def state_of(plan: CooperativePlan) -> AppliedState:
    """The solutions of ``plan`` as a state; nothing is kept."""
    charts = [one for one in plan.resources if isinstance(one, SolutionChart)]
    return AppliedState(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        solutions=tuple(json.loads(json.dumps(_entry(one, archive=_digest(_packed(one.chart))))) for one in charts),
    )


def _tidy(home: Path, *, states: Iterable[AppliedState]) -> None:
    """Remove what was unpacked of other states: those that are known may be what is being applied."""
    kept = {_place(str(one["archive"])) for state in states for one in state.solutions}
    for folder in home.iterdir() if home.is_dir() else ():
        if folder.name not in kept:
            shutil.rmtree(folder)


def _kept(site: Site, plan: CooperativePlan) -> AppliedState:
    """The solutions of ``plan``, the files of their charts kept; the same files are kept once."""
    for one in plan.resources:
        if isinstance(one, SolutionChart):
            content = _packed(one.chart)
            site.records().create(_archive(_digest(content)), content)
    return state_of(plan)


def _entry(chart: SolutionChart, *, archive: str) -> dict[str, Any]:
    return {**{name: getattr(chart, name) for name in _FIELDS}, "archive": archive}


def _chart(entry: Mapping[str, Any], *, folder: Path) -> SolutionChart:
    fields = {name: entry[name] for name in _FIELDS}
    return SolutionChart(**{**fields, "depends_on": tuple(fields["depends_on"])}, chart=folder)


def _packed(chart: Path) -> bytes:
    """The files of ``chart`` as one record, but for what an interpreter keeps beside the programs of an image."""
    every = (path for path in sorted(chart.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    files = {path.relative_to(chart).as_posix(): path for path in every}
    packed = {name: base64.b64encode(path.read_bytes()).decode() for name, path in files.items()}
    return json.dumps(packed, indent=1, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    """What the record of a chart's files is found by."""
    return hashlib.sha256(content).hexdigest()


def _unpacked(site: Site, entry: Mapping[str, Any], *, into: Path) -> Path:
    digest, name = str(entry["archive"]), str(entry["solution"])
    content = site.records().read(_archive(digest))
    if content is None or _digest(content) != digest:
        raise CoopctlError(f"the chart of {name} that was kept beside the state is lost or damaged: {digest[:12]}")
    chart = into / _place(digest) / name
    for path, packed in _files(json.loads(content), name=name):
        file = chart / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(packed)
    return chart


def _place(digest: str) -> str:
    """The folder of a chart's files, by their digest: the same place has the same files."""
    return digest[:12]


def _files(packed: Mapping[str, str], *, name: str) -> Iterator[tuple[PurePosixPath, bytes]]:
    for text, content in packed.items():
        path = PurePosixPath(text)
        if path.is_absolute() or ".." in path.parts:
            raise CoopctlError(f"the chart of {name} that was kept beside the state holds the path {text!r}")
        yield path, base64.b64decode(content)


def _read(site: Site, name: str) -> _Record:
    content = site.records().read(_path(name))
    if content is None:
        return _Record()
    try:
        document = json.loads(content)
        states = tuple(_read_state(one) for one in document["states"])
        return _Record(states=states, begun=_read_state(document["begun"]) if document["begun"] else None)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise CoopctlError(f"the record {_path(name)} of applied solutions beside the state is damaged") from error


def _read_state(document: Mapping[str, Any]) -> AppliedState:
    return AppliedState(at=str(document["at"]), solutions=tuple(document["solutions"]))


def _write(site: Site, name: str, record: _Record) -> None:
    document = {
        "states": [_written(one) for one in record.states],
        "begun": _written(record.begun) if record.begun else None,
    }
    site.records().write(_path(name), (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode())


def _written(state: AppliedState) -> dict[str, Any]:
    return {"at": state.at, "solutions": [dict(one) for one in state.solutions]}


def _path(name: str) -> str:
    return f"{FOLDER}/{name}.json"


def _archive(digest: str) -> str:
    return f"{FOLDER}/{CHARTS}/{digest}.json"
