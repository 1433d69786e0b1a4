"""Ports: chosen free once, kept for life, and who holds one that is taken.

They are kept because image names, rules and kubeconfigs hold them.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles, read_endpoints, write_endpoints
from provisioner.embedded.liveness import mark_of
from provisioner.errors import CoopctlError

LOOPBACK = "127.0.0.1"
# SeaweedFS opens a gRPC port this far above each HTTP port.
GRPC_OFFSET = 10000
_WITH_GRPC = frozenset({"objects", "objects_master", "objects_volume", "objects_filer"})
_STEP = 100
Usable = Callable[[EmbeddedEndpoints], bool]
_TRIES = 25


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who listens on a port; ``pid`` is unknown where another user's processes cannot be seen."""

    port: int
    pid: int | None
    name: str
    estate: str | None


def settled_endpoints(files: EmbeddedFiles, *, usable: Usable | None = None) -> EmbeddedEndpoints:
    """The ports of this estate: read, or chosen now and written; ``usable`` may refuse a choice.

    The default comes first, then every hundredth port above it, so that a second estate's are easy to recognise.
    """
    if files.endpoints.exists():
        return read_endpoints(files)
    chosen = choose(EmbeddedEndpoints(), usable=usable)
    write_endpoints(chosen, files=files)
    return chosen


def choose(default: EmbeddedEndpoints, *, usable: Usable | None = None) -> EmbeddedEndpoints:
    """The nearest free ports to ``default``, all moved by the same number of hundreds; raises CoopctlError."""
    names = [field.name for field in fields(default) if isinstance(getattr(default, field.name), int)]
    for shift in range(0, _TRIES * _STEP, _STEP):
        ports = {name: getattr(default, name) + shift for name in names}
        endpoints = EmbeddedEndpoints(**ports, bridge=default.bridge)
        if all(is_free(port) for port in _with_grpc(ports)) and (usable is None or usable(endpoints)):
            return endpoints
    raise CoopctlError("no free ports for the embedded platform", hint="end what listens on ports from 15000 to 18999")


def _with_grpc(ports: dict[str, int]) -> list[int]:
    return [*ports.values(), *(ports[name] + GRPC_OFFSET for name in _WITH_GRPC)]


def is_free(port: int, *, address: str = LOOPBACK) -> bool:
    """Whether nothing listens on ``port`` at ``address``."""
    with socket.socket() as probe:
        # As servers do: connections that just ended (TIME_WAIT) do not count, listeners do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def answers(port: int, *, address: str = LOOPBACK) -> bool:
    """Whether a connection to ``port`` at ``address`` is accepted."""
    try:
        with socket.create_connection((address, port), timeout=0.5):
            return True
    except OSError:
        return False


def require_free(ports: Iterable[int], *, process: str) -> None:
    """Raise CoopctlError that names who holds the first of ``ports`` that is not free for ``process``."""
    for port in ports:
        if not is_free(port):
            raise _taken(holder(port), process=process)


def taken_by_others(endpoints: EmbeddedEndpoints, *, estate_root: Path, own: frozenset[int]) -> Iterator[CoopctlError]:
    """What stands in the way of an embedded platform with ``endpoints``: a failure, with its remedy, for each port that
    is held, but neither by a process of the estate at ``estate_root`` nor by one of the pids ``own`` or their children.
    """
    names = [field.name for field in fields(endpoints) if isinstance(getattr(endpoints, field.name), int)]
    ports = {name: getattr(endpoints, name) for name in names}
    ports |= {f"{name}_grpc": ports[name] + GRPC_OFFSET for name in sorted(_WITH_GRPC)}
    for name, port in ports.items():
        if is_free(port):
            continue
        held = holder(port)
        if held.estate != str(estate_root) and not own.intersection(_with_ancestors(held.pid)):
            yield _taken(held, process=name.replace("_", " "))


def _with_ancestors(pid: int | None) -> list[int]:
    try:
        return [pid, *(parent.pid for parent in psutil.Process(pid).parents())] if pid else []
    except psutil.Error:
        return []


def holder(port: int) -> Holder:
    """Who listens on ``port`` at loopback or at every address."""
    pid = next((pid for pid in _listeners(port) if pid), None)
    mark = mark_of(pid) if pid else None
    return Holder(port=port, pid=pid, name=_name(pid), estate=str(mark[0].parent.parent) if mark else None)


def _listeners(port: int) -> list[int | None]:
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return []
    return [one.pid for one in connections if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port]


def _name(pid: int | None) -> str:
    try:
        return psutil.Process(pid).name() if pid else "a process that this user cannot see"
    except psutil.Error:
        return "a process that has just ended"


def _taken(held: Holder, *, process: str) -> CoopctlError:
    who = f"{held.name} (pid {held.pid})" if held.pid else held.name
    if held.estate:
        who += f" of the estate {held.estate}"
        remedy = f"run `coopctl dev down --estate '{held.estate}'`"
    elif held.pid:
        remedy = f"end it (kill {held.pid}) or give it another port"
    else:
        remedy = f"find it with `sudo ss -ltnp 'sport = :{held.port}'` and end it"
    why = "the embedded platform keeps its ports for life: image names, rules and kubeconfigs hold them"
    return CoopctlError(
        f"port {held.port} of {process} is taken by {who}", why=why, hint=f"{remedy}, then run `coopctl dev up` again"
    )
