"""Killing coopctl in the middle: where a walk over an operation on a stack stops, and what a kill takes down."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from provisioner.engine.lease import mark_of
from provisioner.engine.leftovers import marked_processes
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.platform import platform_plan
from provisioner.plan.resources import (
    CredentialsSecret,
    KubernetesObject,
    ObjectsBucket,
    ObjectsIdentity,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
    Resource,
    SolutionChart,
    StackPlan,
)
from tests.integration.engine.conftest import CliEstate
from tests.unit.plan import builders

T = TypeVar("T")
_KINDS = {
    PostgresRole: "Role",
    PostgresDatabase: "Database",
    PostgresGrants: "Grants",
    PostgresMembers: "Members",
    ObjectsBucket: "Bucket",
    ObjectsIdentity: "Identity",
}
# What the chart of the portal holds; a whole apply's events are compared with the walk, so that none is forgotten.
PORTAL_KINDS = ("ConfigMap", "Deployment", "Ingress", "PodDisruptionBudget", "Service")
_MOMENTS = ("Started", "Done")
_POLL_SECONDS = 0.01
_TIMEOUT_SECONDS = 120.0


class Kill(StrEnum):
    """What is killed: coopctl alone, or all that it started too, as a power cut would."""

    COOPCTL = "coopctl"
    EVERYTHING = "everything"


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """A moment in the work on a stack: an operation on a resource is begun (``Started``) or is ``Done``."""

    resource: str
    kind: str
    moment: str

    def __str__(self) -> str:
        return f"{self.resource}-{self.kind}-{self.moment}".replace(":", "-").replace("/", "-")

    def is_met_by(self, event: dict[str, Any], *, stack: str) -> bool:
        """Whether ``event`` is this moment of ``stack``."""
        return boundary_of(event, stack=stack) == self


def boundary_of(event: dict[str, Any], *, stack: str) -> Boundary | None:
    """The moment of ``stack`` that an event tells of, if it tells of one. The stack's own name is left open."""
    moment = event["event"].removeprefix("Resource")
    if event.get("stack") != stack or moment not in _MOMENTS:
        return None
    resource = event["resource"].replace(f":{stack}-", ":NAME-")
    return Boundary(resource=resource, kind=event["type"].rpartition(":")[2], moment=moment)


def cooperative_boundaries() -> tuple[Boundary, ...]:
    """Every resource boundary of a cooperative with the portal."""
    plan = cooperative_plan(
        builders.cooperative(egress=()),
        platform=builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )
    return _boundaries(plan)


def platform_boundaries() -> tuple[Boundary, ...]:
    """Every resource boundary of the platform's own stack."""
    return _boundaries(platform_plan(builders.platform()))


def _boundaries(plan: StackPlan) -> tuple[Boundary, ...]:
    things = [thing for resource in plan.resources for thing in _things(resource)]
    return tuple(Boundary(resource=key, kind=kind, moment=moment) for key, kind in things for moment in _MOMENTS)


def _things(resource: Resource) -> list[tuple[str, str]]:
    """The key and kind of each thing that Pulumi makes for a resource of a plan."""
    if isinstance(resource, SolutionChart):
        return [(f"{resource.key}:NAME-apps/{resource.release}", kind) for kind in PORTAL_KINDS]
    if isinstance(resource, KubernetesObject | CredentialsSecret):
        return [(resource.key, resource.manifest["kind"])]
    return [(resource.key, _KINDS[type(resource)])]


def walk(
    boundaries: Sequence[Boundary], *, sample: Collection[str], seconds: float, kills: Sequence[Kill] = tuple(Kill)
) -> list[Any]:
    """Parameters (boundary, kill): all of them, those whose name is not in the ``sample`` long, for ``seconds`` each.

    They are ordered so that what a time budget lets through is spread over the whole walk. A sample that is none of
    the boundaries is refused.
    """
    cases = {f"{boundary}-{kill}": (boundary, kill) for boundary in boundaries for kill in kills}
    assert set(sample) <= set(cases), f"no such boundary: {set(sample) - set(cases)}"
    long = pytest.mark.long(seconds=seconds)
    return [pytest.param(*cases[name], id=name, marks=() if name in sample else long) for name in _spread([*cases])]


def places(listed: Sequence[str], *, sample: Collection[str], seconds: float) -> list[Any]:
    """Parameters (when, place): right before and right after each function; see `dying`."""
    cases = {f"{when} {place.rpartition(':')[2]}": (when, place) for place in listed for when in ("before", "after")}
    assert set(sample) <= set(cases), f"no such place: {set(sample) - set(cases)}"
    long = pytest.mark.long(seconds=seconds)
    return [pytest.param(*cases[name], id=name, marks=() if name in sample else long) for name in cases]


def dying(place: str, when: str) -> tuple[str, ...]:
    """The program that is coopctl until right before or after it calls the function at ``place``: there it dies."""
    return (sys.executable, "-m", "tests.integration.engine.dying", place, when)


def require_killed(process: subprocess.Popen[str]) -> None:
    """A program that dies somewhere has come there, and did not end in another way before."""
    assert close(process) == -signal.SIGKILL


def _spread(items: Sequence[T]) -> list[T]:
    """All items in an order whose every beginning is spread evenly over them (by bits read backwards)."""
    width = len(items).bit_length()
    return [items[index] for index in sorted(range(len(items)), key=lambda index: f"{index:0{width}b}"[::-1])]


def events_of(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """The events of a coopctl that runs with --events, as they come; what else it says is put into the failure."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("{"):
            yield json.loads(line)


def reach(process: subprocess.Popen[str], boundary: Boundary, *, stack: str) -> None:
    """Wait until ``process`` is at ``boundary``; it is an error if it ends without having been there."""
    seen = []
    for event in events_of(process):
        if boundary.is_met_by(event, stack=stack):
            return
        seen.append(event)
    raise AssertionError(f"never at {boundary}: {process.wait()}, {seen[-3:]}")


def reach_message(process: subprocess.Popen[str], text: str) -> None:
    """Wait until ``process`` tells something with ``text`` in it."""
    if not any(text in event.get("text", "") for event in events_of(process)):
        raise AssertionError(f"never told of {text!r}: {process.wait()}")


def reach_cli(process: subprocess.Popen[str], *words: str) -> None:
    """Wait until the pulumi CLI runs with ``words`` among its arguments, as a child of ``process``."""
    until = time.monotonic() + _TIMEOUT_SECONDS
    while not _runs_cli(process, words):
        assert process.poll() is None, f"never ran pulumi {' '.join(words)}"
        assert time.monotonic() < until
        time.sleep(_POLL_SECONDS)


def _runs_cli(process: subprocess.Popen[str], words: Sequence[str]) -> bool:
    try:
        lines = [child.cmdline() for child in psutil.Process(process.pid).children()]
    except psutil.Error:
        return False
    return any("--non-interactive" in line and set(words) <= set(line) for line in lines)


def kill(process: subprocess.Popen[str], what: Kill, *, folder: Path) -> None:
    """Kill with SIGKILL, and wait for the end of coopctl itself; ``folder`` is the stack's working directory."""
    marked = marked_processes(mark_of(folder)) if what is Kill.EVERYTHING else []
    process.kill()
    for leftover in marked:
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end by itself before
            leftover.kill()
    close(process)


def close(process: subprocess.Popen[str]) -> int:
    """Wait for the end and close the pipes."""
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.read()
            stream.close()
    return process.wait(timeout=_TIMEOUT_SECONDS)


def working_folder(estate: CliEstate, stack: str) -> Path:
    """The working directory of ``stack``."""
    return estate.root / ".coopctl" / "engine" / stack


def locks(estate: CliEstate, stack: str) -> list[Path]:
    """Pulumi's lock files of ``stack``."""
    return sorted((estate.root / ".coopctl/state/.pulumi/locks/organization/coopctl" / stack).glob("*.json"))


def pending(estate: CliEstate, stack: str) -> list[Any]:
    """The operations in the state of ``stack`` that were begun and not ended."""
    file = estate.root / f".coopctl/state/.pulumi/stacks/coopctl/{stack}.json"
    found: list[Any] = json.loads(file.read_text())["checkpoint"]["latest"].get("pending_operations") or []
    return found


def session_leader(folder: Path) -> psutil.Process:
    """The pulumi CLI that works on the stack with this working directory."""
    return next(item for item in marked_processes(mark_of(folder)) if os.getsid(item.pid) == item.pid)


def finish(estate: CliEstate, *arguments: str, stack: str) -> str:
    """Run the command again: it must succeed, release the lock that a kill left, and say so. Gives what it says.

    A CLI that outlives its coopctl gives its lock back itself.
    """
    outlives = marked_processes(mark_of(working_folder(estate, stack)))
    left = [] if outlives else locks(estate, stack)
    run = estate.run(*arguments)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    assert marked_processes(mark_of(working_folder(estate, stack))) == []
    assert locks(estate, stack) == []
    assert not left or f"released the lock of {stack}" in run.stderr, run.stderr
    return run.stderr
