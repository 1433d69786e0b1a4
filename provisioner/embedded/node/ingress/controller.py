"""The ingress controller: watches, renders, tests, reloads, and reports where an Ingress is served.

1. A thread for each of Ingresses, Services and EndpointSlices lists and watches; a broken watch begins again, for as
   long as it takes: nginx goes on with what it has while the API server is away.
2. After a change the configuration is rendered; when it differs, ``nginx -t`` tests it beside the current one.
   A configuration that fails is kept as nginx.conf.refused and logged; the current one stays.
3. It is moved into place and nginx is told (SIGHUP). An nginx that was down reads it at its next start.
4. Each Ingress of our class gets this machine's address in its status.
"""

import logging
import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.cluster.api import ApiServer
from provisioner.embedded.node.commands import program
from provisioner.embedded.node.ingress.rendering import render
from provisioner.embedded.node.ingress.routing import Refusal, Routing, route
from provisioner.embedded.node.ingress.server import ACCOUNT, CONFIGURATION
from provisioner.errors import CoopctlError
from provisioner.plan.manifest import Manifest

COLLECTIONS = {
    "ingresses": "/apis/networking.k8s.io/v1/ingresses",
    "services": "/api/v1/services",
    "slices": "/apis/discovery.k8s.io/v1/endpointslices",
}
_SETTLE_SECONDS = 0.1
_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 30.0
_STATUS = {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}

logger = logging.getLogger("ingress")


@dataclass(kw_only=True)
class View:
    """What the watching threads see; ``changed`` wakes the one that renders."""

    changed: threading.Event = field(default_factory=threading.Event)
    _owners: Mapping[str, str] = field(default_factory=dict)
    _objects: dict[str, dict[str, Manifest]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def see(self, collection: str, objects: dict[str, Manifest]) -> None:
        """Take over a collection's objects."""
        with self._lock:
            self._objects[collection] = objects
        self.changed.set()

    def routing(self) -> Routing | None:
        """The routing of what is seen; None until every collection was listed once."""
        with self._lock:
            if self._objects.keys() != COLLECTIONS.keys():
                return None
            ingresses, services, slices = (list(self._objects[name].values()) for name in COLLECTIONS)
        routing = route(ingresses, services=services, slices=slices, owners=self._owners)
        self._owners = routing.owners
        return routing


@dataclass(frozen=True, kw_only=True)
class Nginx:
    """nginx as the controller handles it: its folder, and the port that it serves."""

    folder: Path
    port: int

    def serve(self, routing: Routing) -> None:
        """Let nginx serve the routing; quick when it does already."""
        current = self.folder / CONFIGURATION
        text = render(routing.sites, port=self.port, folder=self.folder)
        if current.exists() and current.read_text() == text:
            return
        candidate = self.folder / f"{CONFIGURATION}.new"
        candidate.write_text(text)
        candidate.chmod(0o644)
        if not self._accepts(candidate):
            candidate.replace(self.folder / f"{CONFIGURATION}.refused")
            return
        candidate.replace(current)
        self._reload()
        logger.info("serving %s", ", ".join(site.host for site in routing.sites) or "no host")

    def _accepts(self, candidate: Path) -> bool:
        test = subprocess.run(
            [program("nginx"), "-t", "-q", "-e", "stderr", "-p", self.folder, "-c", candidate],
            capture_output=True,
            text=True,
            check=False,
            # As nginx itself runs: what only root could open must not pass the test.
            user=pwd.getpwnam(ACCOUNT).pw_uid if os.geteuid() == 0 else None,
        )
        if test.returncode:
            logger.error("nginx refuses the new configuration: %s", test.stderr.strip())
        return test.returncode == 0

    def _reload(self) -> None:
        try:
            pid = int((self.folder / "nginx.pid").read_text())
            # The number may be another process's after nginx was killed.
            if Path(f"/proc/{pid}/exe").resolve() == program("nginx").resolve():
                os.kill(pid, signal.SIGHUP)
        except (OSError, ValueError):
            logger.info("nginx is not running: it reads its configuration when it starts")


def watch(collection: str, *, kubeconfig: Path, view: View) -> None:
    """Keep ``view`` up to date with one collection, for ever."""
    while True:
        try:
            ApiServer(kubeconfig).follow(COLLECTIONS[collection], lambda objects: view.see(collection, objects))
        except CoopctlError as error:
            logger.warning("%s: %s (%s)", collection, error.message, error.why)
            time.sleep(_RETRY_SECONDS)


def report_status(ingresses: tuple[Manifest, ...], *, server: ApiServer) -> None:
    """Say in each Ingress's status where it is served, if it is not said yet."""
    for ingress in ingresses:
        if ingress.get("status", {}).get("loadBalancer") == _STATUS["loadBalancer"]:
            continue
        metadata = ingress["metadata"]
        path = f"/apis/networking.k8s.io/v1/namespaces/{metadata['namespace']}/ingresses/{metadata['name']}/status"
        try:
            server.merge(path, {"status": _STATUS})
        except CoopctlError as error:  # deleted meanwhile, or the server is away: the next round sees
            logger.warning("%s (%s)", error.message, error.why)


def run(*, kubeconfig: Path, nginx: Nginx | None, ready: Path) -> None:
    """Control until a signal ends the process; without ``nginx`` only the status is written."""
    view = View()
    for collection in COLLECTIONS:
        arguments = {"kubeconfig": kubeconfig, "view": view}
        threading.Thread(target=watch, args=(collection,), kwargs=arguments, daemon=True).start()
    told: tuple[Refusal, ...] = ()
    while True:
        view.changed.wait(_LOOK_SECONDS)
        view.changed.clear()
        routing = view.routing()
        if routing is None:
            continue
        if routing.refusals != told:
            told = routing.refusals
            for refusal in told:
                logger.warning("%s is not served: %s", refusal.ingress, refusal.why)
        if nginx is not None:
            nginx.serve(routing)
        report_status(routing.ingresses, server=ApiServer(kubeconfig))
        ready.touch()
        time.sleep(_SETTLE_SECONDS)
