"""Whether the platform's servers answer at all, asked before anything is begun."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import yaml

from provisioner.descriptor.platform import Cluster, Platform
from provisioner.errors import CoopctlError, NotFound, Unreachable

_TIMEOUT_SECONDS = 3.0
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server of the platform and where it listens."""

    what: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.what} at {self.host}:{self.port}"


def require_reachable(platform: Platform, *, data_store: bool) -> None:
    """Raise Unreachable, with the remedy, if a server does not take connections.

    ``data_store`` says whether PostgreSQL and S3 are needed too.
    """
    servers = [api_server(platform)]
    if data_store:
        servers += [postgres_server(platform), _objects(platform)]
    for server in servers:
        require_answer(server, hint=platform.remedy)


def require_answer(server: Server, *, hint: str) -> None:
    """Raise Unreachable, with ``hint``, if ``server`` does not take connections."""
    try:
        connect(server)
    except OSError as error:
        raise Unreachable(f"{server} does not answer", why=str(error), hint=hint) from error


def connect(server: Server) -> None:
    """Connect to ``server`` and leave it again. Raises OSError."""
    socket.create_connection((server.host, server.port), timeout=_TIMEOUT_SECONDS).close()


def other_servers(platform: Platform) -> tuple[Server, ...]:
    """Every server that the platform names besides its cluster, each once."""
    iam = _of_url("the IAM server", platform.objects.iam_url)
    objects = _objects(platform)
    same = (iam.host, iam.port) == (objects.host, objects.port)
    return (postgres_server(platform), objects, *(() if same else (iam,)), _registry(platform))


def api_server(platform: Platform) -> Server:
    """Where the cluster's API server listens, by the kubeconfig. Raises NotFound or CoopctlError if it does not say."""
    url = _server_url(platform.cluster, hint=platform.remedy)
    try:
        return _of_url("the Kubernetes API server", url)
    except ValueError as error:
        raise CoopctlError(f"{platform.cluster.kubeconfig} names no server: {url!r}", why=str(error)) from error


def _server_url(cluster: Cluster, *, hint: str) -> str:
    wanted = cluster.context
    try:
        content = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
        wanted = wanted or content["current-context"]
        context = next(item["context"] for item in content["contexts"] if item["name"] == wanted)
        return str(
            next(item["cluster"]["server"] for item in content["clusters"] if item["name"] == context["cluster"])
        )
    except FileNotFoundError as error:
        raise NotFound(f"the kubeconfig {cluster.kubeconfig} does not exist", hint=hint) from error
    except StopIteration as error:
        raise NotFound(f"{cluster.kubeconfig} has no context {wanted!r} with a cluster") from error
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CoopctlError(f"{cluster.kubeconfig} is not a kubeconfig", why=str(error)) from error


def data_store_servers(platform: Platform) -> tuple[Server, ...]:
    """The servers of data stores."""
    return (postgres_server(platform), _objects(platform))


def postgres_server(platform: Platform) -> Server:
    """Where PostgreSQL listens for the administrator."""
    return Server(what="PostgreSQL", host=platform.postgres.admin.host, port=platform.postgres.admin.port)


def _objects(platform: Platform) -> Server:
    return _of_url("the S3 server", platform.objects.url)


def _registry(platform: Platform) -> Server:
    # An address without a scheme: host, port and path.
    return _of_url("the registry", f"https://{platform.registry.address}")


def _of_url(what: str, url: str) -> Server:
    parts = urlsplit(url)
    return Server(what=what, host=parts.hostname or "", port=parts.port or _PORTS.get(parts.scheme, 443))
