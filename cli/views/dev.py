"""How the embedded platform looks: its processes, where to reach its servers, its logs."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cli.views import human, json
from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles
from provisioner.embedded.platform import EmbeddedStatus
from provisioner.embedded.supervisor import ProcessState
from provisioner.errors import UsageError
from provisioner.operations.target_readying import ReadyTarget


def show_status(status: EmbeddedStatus, *, output: str) -> None:
    """Show the processes, the node and where the servers are."""
    if output == "json":
        json.write("EmbeddedPlatform", status_document(status))
        return
    out = human.stdout()
    if status.node is None:
        out.print("The embedded platform of this estate was never started: run `coopctl dev up`.")
        return
    rows: list[tuple[str, ...]] = [
        (process.name, _state(process), str(process.pid or ""), str(process.log)) for process in status.processes
    ]
    out.print(human.table("process", "state", "pid", "log", rows=rows))
    out.print()
    out.print(human.table("what", "where", rows=list(_places(status).items())))
    out.print()
    out.print(f"The node is {status.node.kind}: {status.node.reason}.", markup=False)
    out.print(f"NetworkPolicies: {status.node.policies}.", markup=False)


def status_document(status: EmbeddedStatus) -> dict[str, Any]:
    """The JSON form of the status."""
    return {
        "estate": str(status.estate),
        "running": status.runs,
        "node": asdict(status.node) if status.node else None,
        "started": list(status.started),
        "processes": [
            {"name": process.name, "state": _state(process), "pid": process.pid, "log": str(process.log)}
            for process in status.processes
        ],
        "places": _places(status),
    }


def show_target(ready: ReadyTarget, *, output: str) -> None:
    """Show what is there for a data store to move to, and how to go on."""
    if output == "json":
        json.write("EmbeddedTarget", {**asdict(ready), "document": str(ready.document)})
        return
    rows = [("database", ready.database), ("bucket", ready.bucket), ("identity", ready.identity)]
    out = human.stdout()
    out.print(human.table("on the target", "name", rows=rows))
    out.print()
    verb = "wrote" if ready.written else "kept"
    out.print(f"{verb} {ready.document}; next: coopctl migrate preflight {ready.migration}", markup=False)


def show_log_names(names: Sequence[str], *, output: str) -> None:
    """Show which processes have a log."""
    if output == "json":
        json.write("EmbeddedLogList", {"processes": list(names)})
    elif names:
        sys.stdout.write("\n".join(names) + "\n")
    else:
        human.stderr().print("no process has a log yet: run `coopctl dev up`", markup=False)


def show_log(lines: Iterable[str], *, name: str, output: str) -> None:
    """Show the lines of a log as they come; JSON is one document, so it cannot be followed."""
    if output == "json":
        if not isinstance(lines, Sequence):
            raise UsageError("a log that is followed has no end", hint="leave out --follow, or --output json")
        json.write("EmbeddedLog", {"process": name, "lines": list(lines)})
        return
    for line in lines:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def show_stopped(stopped: Sequence[str], *, deleted: bool, output: str) -> None:
    """Show what was stopped."""
    if output == "json":
        json.write("EmbeddedPlatformStopped", {"stopped": list(stopped), "deleted": deleted})
        return
    what = f"stopped {len(stopped)} processes" if stopped else "nothing was running"
    sys.stdout.write(f"{what}; {'all data is deleted' if deleted else 'its data is kept'}\n")


def question(estate: Path, doomed: Sequence[str]) -> str:
    """What is asked before the data is destroyed."""
    listed = "\n".join(f"  {folder}" for folder in doomed) or "  (there is no data)"
    return (
        f"This destroys the embedded platform of {estate}: every database, object, image and Kubernetes object in\n"
        f"{listed}\nGo on?"
    )


def empty_question(cooperative: str) -> str:
    """What is asked before the target is emptied."""
    return (
        f"This destroys what the target holds of {cooperative}: its database, and its bucket with every version. Go on?"
    )


def _state(process: ProcessState) -> str:
    if process.ready:
        return "running"
    return "down" if process.pid is None else "not ready"


def _places(status: EmbeddedStatus) -> dict[str, str]:
    ports, files = status.endpoints, status.files
    target = status.target
    return {
        "kubeconfig": str(files.kubeconfig),
        **_stores(ports, files),
        "registry": f"127.0.0.1:{ports.registry}",
        "ingress": f"http://127.0.0.1:{ports.ingress_http}",
        **({f"target {name}": at for name, at in _stores(target.endpoints, target.files).items()} if target else {}),
    }


def _stores(ports: EmbeddedEndpoints, files: EmbeddedFiles) -> dict[str, str]:
    return {
        "postgres": f"127.0.0.1:{ports.postgres} (user postgres, password in {files.postgres_password})",
        "objects": f"http://127.0.0.1:{ports.objects} (keys in {files.objects_credentials})",
    }
