"""The ingress's processes: nginx under an account without rights, and its controller."""

import contextlib
import shutil
import sys

import psutil

from provisioner.embedded import ports
from provisioner.embedded.node.commands import program
from provisioner.embedded.node.enforcement import PACKAGE_FOLDER
from provisioner.embedded.node.ingress.rendering import render
from provisioner.embedded.node.layout import NodeFiles
from provisioner.embedded.process import ProcessSpec, ReadyProbe, Surroundings

SERVER = "ingress"
CONTROLLER = "ingress-controller"
ACCOUNT = "www-data"
CONFIGURATION = "nginx.conf"
_READY = "controller.ready"


def prepare(surroundings: Surroundings, files: NodeFiles) -> None:
    """Make nginx's folder, and a configuration without sites where there is none yet."""
    for folder in (files.ingress, files.ingress / "body", files.ingress / "proxy"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.chown(folder, ACCOUNT, ACCOUNT)
    configuration = files.ingress / CONFIGURATION
    if not configuration.exists():
        configuration.write_text(render((), port=surroundings.endpoints.ingress_http, folder=files.ingress))
        configuration.chmod(0o644)


def processes(surroundings: Surroundings, files: NodeFiles, *, fingerprint: str) -> tuple[ProcessSpec, ...]:
    """nginx and its controller."""
    port = surroundings.endpoints.ingress_http

    def before_start() -> None:
        end_leftover_workers(files)
        ports.require_free((port,), process=SERVER)

    server = ProcessSpec(
        name=SERVER,
        argv=(
            str(program("nginx")),
            # Before the configuration is read, nginx would open Debian's log.
            *("-e", "stderr", "-p", str(files.ingress), "-c", str(files.ingress / CONFIGURATION)),
        ),
        log=surroundings.logs / f"{SERVER}.log",
        ready=ReadyProbe(description=f"port {port}", check=lambda: ports.answers(port)),
        user=ACCOUNT,
        # nginx closes its listeners at once, but lets answers that are under way end.
        stop_timeout_seconds=3.0,
        before_start=before_start,
    )
    return server, _controller(surroundings, files, fingerprint=fingerprint, needs=(SERVER, "coredns"))


def end_leftover_workers(files: NodeFiles) -> None:
    """End the workers of an nginx that was killed: they would go on serving and hold the port."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "nginx" and process.cwd() == str(files.ingress):
                process.kill()
                process.wait(timeout=5)


def status_process(
    surroundings: Surroundings, files: NodeFiles, *, fingerprint: str, needs: tuple[str, ...]
) -> ProcessSpec:
    """The controller alone, in front of simulated nodes; ``needs`` gives its rights before it starts."""
    return _controller(surroundings, files, fingerprint=fingerprint, needs=needs, serve=False)


def _controller(
    surroundings: Surroundings, files: NodeFiles, *, fingerprint: str, needs: tuple[str, ...], serve: bool = True
) -> ProcessSpec:
    ready = files.ingress / _READY

    def before_start() -> None:
        ready.parent.mkdir(parents=True, exist_ok=True)
        ready.unlink(missing_ok=True)

    return ProcessSpec(
        name=CONTROLLER,
        argv=(
            *(sys.executable, "-m", "provisioner.embedded.node.ingress"),
            f"--kubeconfig={files.kubeconfig('ingress')}",
            f"--folder={files.ingress}",
            f"--port={surroundings.endpoints.ingress_http}",
            *(() if serve else ("--status-only",)),
        ),
        environment={"PYTHONPATH": PACKAGE_FOLDER},
        log=surroundings.logs / f"{CONTROLLER}.log",
        ready=ReadyProbe(description="its first look at the Ingresses", check=ready.exists),
        depends_on=needs,
        fingerprint=fingerprint,
        before_start=before_start,
    )
