"""An estate on disk whose commands run whole, but for what needs a server: Pulumi and the Kubernetes API are played.

The engine's ``up`` writes a state file as Pulumi would, so that all that reads the state reads a real one. What is
asked whether it answers at all (reaching.py) is a socket that listens.
"""

import io
import json
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli import main, site
from provisioner.catalogue import images_lock
from provisioner.descriptor.endpoints import EmbeddedEndpoints, embedded_files, write_endpoints
from provisioner.engine.changes import Changes, ResourceChange
from provisioner.engine.engine import Applied, Engine
from provisioner.engine.events import Operation, Report, ResourceDone, StackStarted, Verb
from provisioner.engine.interruption import Interruption
from provisioner.engine.settings import EngineSettings
from provisioner.engine.state import stacks_folder
from provisioner.errors import CoopctlError, ExitCode
from provisioner.operations import making, planning, upgrading
from provisioner.plan.resources import CooperativePlan
from provisioner.toolchain import Toolchain
from tests.unit.descriptor.worlds import COOPERATIVE, World, world
from tests.unit.plan import builders

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:{port}"}}}}]
users: [{{name: u, user: {{}}}}]
"""
# Set on a Job's pods by the Job controller.
LABEL_JOB = "batch.kubernetes.io/job-name"
Behaviour = Callable[["PlayedEngine"], None]


def created(stack: str, *, operation: Operation = Operation.CREATE) -> Changes:
    """One change of ``stack``."""
    change = ResourceChange(resource="apps-namespace", type="kubernetes:core/v1:Namespace", operation=operation)
    return Changes(stack=stack, resources=(change,), same=0)


def _nothing(engine: "PlayedEngine") -> None:
    del engine


def raising(failure: Exception) -> Behaviour:
    """What an engine does that fails."""

    def fail(engine: "PlayedEngine") -> None:
        del engine
        raise failure

    return fail


@dataclass(frozen=True, kw_only=True)
class PlayedEngine(Engine):
    """An engine without Pulumi: what it would change is given by stack, and so is what goes wrong at ``up``.

    ``called`` lists what it was asked to do, ``plans`` holds the last plan of each cooperative that it made.
    """

    changes: dict[str, Changes] = field(default_factory=dict)
    at_up: dict[str, Behaviour] = field(default_factory=dict)
    called: list[tuple[str, str]] = field(default_factory=list)
    plans: dict[str, CooperativePlan] = field(default_factory=dict)

    def preview(self, stack: str, program: Callable[[], None], *, report: Report) -> Changes:
        """What is given, or one resource to create."""
        del program
        self.called.append(("preview", stack))
        report(StackStarted(stack=stack, verb=Verb.PLAN))
        return self.changes.get(stack, created(stack))

    def up(self, stack: str, program: Callable[[], None], *, report: Report) -> Applied:
        """Do what is given for ``stack``, then write its state."""
        if isinstance(program, partial) and isinstance(program.args[0], CooperativePlan):
            self.plans[stack] = program.args[0]
        self.called.append(("up", stack))
        report(StackStarted(stack=stack, verb=Verb.APPLY))
        self.at_up.get(stack, _nothing)(self)
        changes = self.changes.get(stack, created(stack))
        for change in changes.resources:
            done = ResourceDone(stack=stack, resource=change.resource, type=change.type, operation=change.operation)
            report(done)
        self._write_state(stack)
        return Applied(changes=changes, foreign=())

    def _write_state(self, stack: str) -> None:
        assert self.settings.state_folder is not None
        file = stacks_folder(self.settings.state_folder) / f"{stack}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"checkpoint": {"latest": {"resources": []}}}))
        self.settings.folder(stack).mkdir(parents=True, exist_ok=True)


@dataclass(kw_only=True)
class PlayedCluster:
    """A cluster whose objects are given by kind; it stands for ClusterClient."""

    objects: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)

    def get(self, *, api_version: str, kind: str, name: str, namespace: str = "") -> Mapping[str, Any] | None:
        """The object of this name."""
        del api_version, namespace
        return next((item for item in self.objects.get(kind, []) if item["metadata"]["name"] == name), None)

    def list(self, *, api_version: str, kind: str, namespace: str) -> list[Mapping[str, Any]]:
        """The objects of a kind in a namespace."""
        del api_version
        return [item for item in self.objects.get(kind, []) if item["metadata"].get("namespace") == namespace]

    def log(self, *, namespace: str, pod: str, lines: int) -> str:
        """What the pod is told to have printed, in the annotation ``log``."""
        del lines
        found = self.get(api_version="v1", kind="Pod", name=pod, namespace=namespace)
        return str(found["metadata"]["annotations"]["log"]) if found else ""

    def delete(self, *, api_version: str, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object, and with a Job its pods."""
        del api_version

        def stays(item: Mapping[str, Any]) -> bool:
            return bool(item["metadata"]["name"] != name or item["metadata"].get("namespace") != namespace)

        self.objects[kind] = [item for item in self.objects.get(kind, []) if stays(item)]
        if kind == "Job":
            pods = self.objects.get("Pod", [])
            self.objects["Pod"] = [one for one in pods if one["metadata"]["labels"].get(LABEL_JOB) != name]


@dataclass(frozen=True, kw_only=True)
class PlayedEstate:
    """The estate, and what it is played on."""

    world: World
    engine: PlayedEngine
    cluster: PlayedCluster

    @property
    def root(self) -> Path:
        """The estate's folder."""
        return self.world.estate.root

    def run(self, *arguments: str) -> ExitCode:
        """Call coopctl on the estate; nothing is there to be attacked after it was applied."""
        unproved = ["--no-prove"] if "apply" in arguments and "platform" not in arguments else []
        return main.run([*arguments, *unproved, "--estate", str(self.root)])


@contextmanager
def played_estate(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, cooperatives: Mapping[str, str]
) -> Iterator[PlayedEstate]:
    """An estate in ``folder`` with ``cooperatives`` (name -> text) whose servers answer as long as the block runs."""
    made = world(folder, cooperatives)
    images_lock.write(replace(builders.fake_lock(), source=made.estate.images_lock))
    local = made.estate.local
    settings = EngineSettings(
        pulumi=Path("/no/pulumi"),
        home=local / "home",
        work=local / "engine",
        backend_url=f"file://{local / 'state'}",
        passphrase_file=local / "passphrase",
    )
    engine = PlayedEngine(settings=settings, interruption=Interruption())
    cluster = PlayedCluster()
    with socket.create_server(("127.0.0.1", 0)) as server:
        _point_at(server.getsockname()[1], root=made.estate.root)
        monkeypatch.setattr(site, "_engine", lambda *_, **__: ((), engine))
        tool = _tool_that_says_nothing(local)
        monkeypatch.setattr(Toolchain, "ensure", lambda _, names, **__: dict.fromkeys(names, tool))
        for module in (planning, making, upgrading):
            monkeypatch.setattr(module, "open_cluster", lambda _: cluster)
        yield PlayedEstate(world=made, engine=engine, cluster=cluster)


def _tool_that_says_nothing(folder: Path) -> Path:
    """What stands for every program that would have to be built: a chart is rendered to nothing."""
    tool = folder / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    return tool


def _point_at(port: int, *, root: Path) -> None:
    files = embedded_files(root)
    write_endpoints(EmbeddedEndpoints(postgres=port, objects=port, api_server=port, registry=port), files=files)
    files.kubeconfig.write_text(KUBECONFIG.format(port=port))


def cooperative(name: str, *, domain: str | None = None, solutions: str = "[]") -> str:
    """The text of a valid Cooperative document."""
    text = COOPERATIVE.replace("name: rice,", f"name: {name},").replace("[{name: portal}]", solutions)
    return text.replace("rice.example.kr", domain or f"{name}.example.kr")


def failing(message: str = "no room") -> Behaviour:
    """What an engine does that fails as coopctl explains it."""
    return raising(CoopctlError(message))


def type_at_terminal(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sits at a terminal and types ``text``."""
    typed = io.StringIO(f"{text}\n")
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", typed)
