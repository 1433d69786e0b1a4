"""Brings the whole embedded platform up and down. `coopctl dev` calls nothing else here.

up: 1. look (room, owner, which node is possible); 2. choose ports, once; 3. find the programs; 4. keep the decision,
so that down knows what there is to take away; 5. every part prepares; 6. the supervisor starts what does not run;
7. every part completes. Each step looks first and is repeated by the next `dev up`, so cut off anywhere (SIGINT,
SIGKILL, power) the same command goes on.

down: processes, then what the parts left on the machine, then (only with ``delete``) the files.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles, embedded_files, read_endpoints
from provisioner.descriptor.estate import Estate
from provisioner.embedded import folders, logs, node, ports
from provisioner.embedded.control_plane import ControlPlanePart
from provisioner.embedded.node import NodeChoice, NodeKind
from provisioner.embedded.objects import ObjectsPart, foreign_sockets
from provisioner.embedded.postgres import PostgresPart
from provisioner.embedded.private_files import write_private
from provisioner.embedded.process import Part, ProcessSpec, Report, Surroundings
from provisioner.embedded.registry import RegistryPart
from provisioner.embedded.supervisor import ProcessState, Supervisor
from provisioner.embedded.target import TargetPart, TargetServers, recorded_target, target_files, target_servers
from provisioner.errors import CoopctlError, Interrupted

AUTO = "auto"
NODE_CHOICES = (AUTO, *(str(kind) for kind in NodeKind))


class Tools(Protocol):
    """Finds or builds programs by name (provisioner.toolchain)."""

    def ensure(self, names: Iterable[str], *, report: Report) -> Mapping[str, Path]:
        """The executables of ``names``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was decided at the last up: the node, where the programs are, and whether there is a target."""

    node: NodeChoice
    tools: Mapping[str, Path]
    target: TargetPart | None


@dataclass(frozen=True, kw_only=True)
class EmbeddedStatus:
    """The embedded platform as it is now; ``node`` is None if it was never started (or deleted).

    ``target`` is where the servers are that data stores can be moved to, if they were asked for.
    """

    estate: Path
    node: node.NodeDescription | None
    processes: tuple[ProcessState, ...]
    endpoints: EmbeddedEndpoints
    files: EmbeddedFiles
    target: TargetServers | None = None
    started: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether every process is ready."""
        return bool(self.processes) and all(process.ready for process in self.processes)


def up(
    estate: Estate,
    *,
    toolchain: Tools,
    node: str = AUTO,
    target: bool | None = None,
    target_programs: Path | None = None,
    report: Report,
) -> EmbeddedStatus:
    """Bring the embedded platform of ``estate`` up; harmless when it is; ``node`` is one of NODE_CHOICES.

    With ``target`` there are servers to move a data store to as well, PostgreSQL from the folder ``target_programs``;
    without they are stopped, and their data stays; None leaves it as it was.

    Raises CoopctlError that names what is in the way and its remedy; Interrupted at SIGINT: the same command goes on.
    """
    files = embedded_files(estate.root)
    folders.require_room(estate.root)
    folders.make_root(files)
    supervisor = Supervisor(files.root, report=report)
    try:
        with supervisor.exclusive():
            choice = _settled_node(estate, files=files, supervisor=supervisor, wanted=node, report=report)
            there = _settled_target(files, wanted=target, programs=target_programs)
            return _up(
                estate,
                files=files,
                supervisor=supervisor,
                toolchain=toolchain,
                settings=Settings(node=choice, tools={}, target=there),
                report=report,
            )
    except KeyboardInterrupt as interrupt:
        raise Interrupted(
            "interrupted; what was started keeps running", hint="run `coopctl dev up` to go on, or `coopctl dev down`"
        ) from interrupt


def status(estate: Estate) -> EmbeddedStatus:
    """How the embedded platform of ``estate`` is now; changes nothing."""
    files = embedded_files(estate.root)
    folders.require_own(files.root)
    settings = _read_settings(files)
    if settings is None:
        return EmbeddedStatus(estate=estate.root, node=None, processes=(), endpoints=read_endpoints(files), files=files)
    surroundings = _surroundings(estate, files=files, settings=settings)
    return _status(surroundings, settings=settings, supervisor=Supervisor(files.root, report=_silent))


def down(estate: Estate, *, delete: bool = False, report: Report) -> tuple[str, ...]:
    """Stop what runs and take interfaces, rules, mounts and groups away; with ``delete`` the data too.

    Returns the names of the processes that were stopped. Data stays without ``delete``.
    """
    files = embedded_files(estate.root)
    folders.require_own(files.root)
    if not files.root.exists():
        return ()
    supervisor = Supervisor(files.root, report=report)
    with supervisor.exclusive():
        stopped = supervisor.stop()
        _remove(estate, files=files)
        if delete:
            report(f"deleting {files.root}")
            folders.delete(files.root)
    return stopped


def doomed(estate: Estate) -> tuple[str, ...]:
    """What ``down --delete`` would destroy, for the question."""
    files = embedded_files(estate.root)
    places = [place.root / "data" for place in (files, target_files(files))]
    found = [folder for data in places if data.exists() for folder in sorted(data.iterdir())]
    return tuple(f"{folder} ({folders.in_words(folders.size(folder))})" for folder in found)


def read_log(estate: Estate, *, name: str, lines: int) -> tuple[str, ...]:
    """The last ``lines`` lines of one process's log; raises NotFound with the names there are."""
    return logs.read(embedded_files(estate.root).root / "logs", name=name, lines=lines)


def follow_log(estate: Estate, *, name: str, lines: int) -> Iterator[str]:
    """As read_log, then every line as it is written, without end."""
    return logs.follow(embedded_files(estate.root).root / "logs", name=name, lines=lines)


def log_names(estate: Estate) -> tuple[str, ...]:
    """The processes that have a log."""
    return logs.names(embedded_files(estate.root).root / "logs")


def _up(
    estate: Estate,
    *,
    files: EmbeddedFiles,
    supervisor: Supervisor,
    toolchain: Tools,
    settings: Settings,
    report: Report,
) -> EmbeddedStatus:
    ports.settled_endpoints(files, usable=lambda endpoints: not foreign_sockets(endpoints))
    parts = _parts(settings)
    tools = toolchain.ensure(sorted({tool for part in parts for tool in part.tools}), report=report)
    settings = replace(settings, tools=tools)
    _write_settings(settings, files=files)
    surroundings = _surroundings(estate, files=files, settings=settings)
    folders.make_run_folder(surroundings.run)
    for part in parts:
        part.prepare(surroundings)
    started = supervisor.start(_specs(parts, surroundings))
    if settings.target is None:
        TargetPart().remove(surroundings)
    for part in parts:
        part.complete(surroundings)
    return _status(surroundings, settings=settings, supervisor=supervisor, started=started)


def _settled_target(files: EmbeddedFiles, *, wanted: bool | None, programs: Path | None) -> TargetPart | None:
    """The target to have: as it was, unless something else is asked for that can be had."""
    held = _read_settings(files)
    was = held.target if held else None
    if wanted is None:
        wanted = was is not None or programs is not None
    if not wanted:
        return None
    target = TargetPart(programs=programs.resolve()) if programs else was or TargetPart()
    target.require_programs(files)
    return target


def _settled_node(
    estate: Estate, *, files: EmbeddedFiles, supervisor: Supervisor, wanted: str, report: Report
) -> NodeChoice:
    """The node to have: the one that runs, unless another is asked for; then the running one is taken away first."""
    held = _read_settings(files)
    running = bool(held and supervisor.running())
    if held and running and wanted in {AUTO, str(held.node.kind)}:
        return held.node
    choice = node.choose(wanted, estate=estate.root)
    if held and held.node.kind is not choice.kind:
        report(f"the node changes from {held.node.kind} to {choice.kind}")
        supervisor.stop()
        _remove(estate, files=files)
    report(f"node: {choice.kind}, because {choice.reason}")
    return choice


def _parts(settings: Settings) -> tuple[Part, ...]:
    # The node first: it makes the bridge on which servers listen.
    own = (node.part(settings.node), PostgresPart(), ObjectsPart(), RegistryPart(), ControlPlanePart())
    return (*own, settings.target) if settings.target else own


def _specs(parts: Iterable[Part], surroundings: Surroundings) -> tuple[ProcessSpec, ...]:
    return tuple(spec for part in parts for spec in part.specs(surroundings))


def _status(
    surroundings: Surroundings, *, settings: Settings, supervisor: Supervisor, started: tuple[str, ...] = ()
) -> EmbeddedStatus:
    return EmbeddedStatus(
        estate=surroundings.estate_root,
        node=node.describe(settings.node),
        processes=supervisor.states(_specs(_parts(settings), surroundings)),
        endpoints=surroundings.endpoints,
        files=surroundings.files,
        target=target_servers(surroundings.files) if settings.target else None,
        started=started,
    )


def _remove(estate: Estate, *, files: EmbeddedFiles) -> None:
    """Let every part take away what it left; also when the decisions of the last up cannot be read any longer."""
    try:
        settings = _read_settings(files) or _unknown_settings()
    except CoopctlError:
        settings = _unknown_settings()
    try:
        endpoints = read_endpoints(files)
    except CoopctlError:
        endpoints = EmbeddedEndpoints()
    surroundings = _surroundings(estate, files=files, settings=settings, endpoints=endpoints)
    for part in _parts(replace(settings, target=settings.target or TargetPart())):
        part.remove(surroundings)
    folders.delete(surroundings.run)


def _unknown_settings() -> Settings:
    # A real node's part takes away only what this estate claimed, so that assuming one is harmless.
    kind = NodeKind.REAL if os.geteuid() == 0 else NodeKind.SIMULATED
    return Settings(node=NodeChoice(kind=kind, reason="unknown"), tools={}, target=None)


def _surroundings(
    estate: Estate, *, files: EmbeddedFiles, settings: Settings, endpoints: EmbeddedEndpoints | None = None
) -> Surroundings:
    return Surroundings(
        estate_root=estate.root,
        files=files,
        endpoints=endpoints or read_endpoints(files),
        run=folders.run_folder(files.root),
        tools=settings.tools,
        real_node=settings.node.kind is NodeKind.REAL,
    )


def _settings_file(files: EmbeddedFiles) -> Path:
    return files.root / "settings.json"


def _write_settings(settings: Settings, *, files: EmbeddedFiles) -> None:
    tools = {name: str(path) for name, path in settings.tools.items()}
    target = settings.target.recorded() if settings.target else None
    content = {"node": asdict(settings.node), "tools": tools, "target": target}
    write_private(_settings_file(files), json.dumps(content, indent=2))


def _read_settings(files: EmbeddedFiles) -> Settings | None:
    try:
        content = json.loads(_settings_file(files).read_text())
        chosen = NodeChoice(kind=NodeKind(content["node"]["kind"]), reason=content["node"]["reason"])
        tools = {name: Path(path) for name, path in content["tools"].items()}
        # Settings of the time before there were targets tell of none.
        return Settings(node=chosen, tools=tools, target=recorded_target(content.get("target")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CoopctlError(
            f"{_settings_file(files)} is damaged", why=str(error), hint="remove it and run `coopctl dev up`"
        ) from error


def _silent(line: str) -> None:
    """Take a line of progress and show it to nobody."""
