"""An API server in memory, over HTTP: it keeps objects by their paths and knows no rules."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yaml

from provisioner.cluster.readiness import ADMISSION, REVIEWS

MERGE = "application/merge-patch+json"


@dataclass
class ClusterObjects:
    """The objects of a cluster by their paths in the REST interface."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    port: int = 0

    def kubeconfig(self, file: Path) -> None:
        """Write a kubeconfig that leads here."""
        cluster = {"server": f"http://127.0.0.1:{self.port}"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        file.write_text(yaml.safe_dump(document))

    def answer(self, method: str, path: str, body: bytes, *, content_type: str) -> tuple[int, dict[str, Any]]:
        """Do what was asked; gives status and object."""
        found = self.objects.get(path)
        if method == "PATCH":
            sent = json.loads(body)
            if content_type != MERGE:
                self.objects[path] = sent
                return 200, sent
            if found is not None:
                self.objects[path] = merged(found, sent)
                return 200, self.objects[path]
        if found is None:
            return 404, {"kind": "Status", "message": f"{path} not found"}
        if method == "DELETE":
            del self.objects[path]
        return 200, found


OFFERED: dict[str, dict[str, Any]] = {
    "/version": {"major": "1", "minor": "31+"},
    ADMISSION: {"resources": [{"name": "validatingadmissionpolicies"}]},
    "/apis/storage.k8s.io/v1/storageclasses": {
        "items": [
            {
                "metadata": {
                    "name": "standard",
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                }
            },
            {"metadata": {"name": "fast"}},
        ]
    },
    "/apis/scheduling.k8s.io/v1/priorityclasses": {"items": [{"metadata": {"name": "usual"}, "globalDefault": True}]},
    "/apis/networking.k8s.io/v1/ingressclasses": {"items": [{"metadata": {"name": "nginx"}}]},
    "/apis/networking.k8s.io/v1/servicecidrs": {"items": [{"spec": {"cidrs": ["10.96.0.0/12"]}}]},
    "/api/v1/nodes": {
        "items": [
            {
                "spec": {"podCIDRs": ["10.244.0.0/24"]},
                "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.4"}, {"type": "Hostname"}]},
            }
        ]
    },
}


@dataclass
class ReadyCluster(ClusterObjects):
    """An API server that answers what is asked before solutions come."""

    objects: dict[str, dict[str, Any]] = field(default_factory=lambda: dict(OFFERED))
    denied: frozenset[tuple[str, str]] = frozenset()
    namespace_answer: tuple[int, dict[str, Any]] = (422, {"message": "metadata.labels: Invalid value: 'none-such'"})
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes, *, content_type: str) -> tuple[int, dict[str, Any]]:
        self.asked.append((method, path))
        if path == REVIEWS:
            wanted = json.loads(body)["spec"]["resourceAttributes"]
            return 201, {"status": {"allowed": (wanted["verb"], wanted["resource"]) not in self.denied}}
        if method == "POST" and path == "/api/v1/namespaces":
            return self.namespace_answer
        return super().answer(method, path, body, content_type=content_type)


def merged(found: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict) or not isinstance(found, dict):
        return patch
    kept = {**found, **{key: merged(found.get(key), value) for key, value in patch.items()}}
    return {key: value for key, value in kept.items() if value is not None}


ACluster = TypeVar("ACluster", bound=ClusterObjects)


@contextmanager
def serving(cluster: ACluster) -> Iterator[ACluster]:
    """Serve it on a free port of loopback while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, kind = urlsplit(self.path).path, self.headers.get("Content-Type", "")
            status, document = cluster.answer(self.command, path, body, content_type=kind)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815 - names of the standard library

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
            """Nothing is written to stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    cluster.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
