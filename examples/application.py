"""The application of the demo of a move: the writing client, where the cooperative's applications are.

Where pods run it is one: in the namespace of the applications, with the connection details that solutions get, so that
it goes where the Service `postgres` leads. Where nodes are simulated no pod runs: it writes from this process with the
same details, and goes where the Service's EndpointSlice leads, as a pod's connection would.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import psycopg

from examples import writing_client
from examples.pilot_estate import COOPERATIVE, DemoFailed, api_client, core_api, credentials
from examples.writing_client import CONNECT_SECONDS, CONNECTIONS, Connection, Told, WritingClient, insert, read_told
from provisioner.catalogue.images.building import BuiltImage, build
from provisioner.catalogue.images.definition import ImageDefinition, ImageFile
from provisioner.catalogue.images.pushing import push
from provisioner.descriptor.endpoints import embedded_files, read_endpoints
from provisioner.naming import SECRET_DATA_STORE, SERVICE_POSTGRES
from provisioner.plan.endpoint_slice import slice_name
from provisioner.plan.manifest import Manifest
from provisioner.plan.priority_class import SOLUTIONS

NAME = "writing-client"
APPS, DATA = f"{COOPERATIVE}-apps", f"{COOPERATIVE}-data"
PROGRAM = "srv/writing_client.py"
# Debian's psycopg looks for libraries by ldconfig's cache, which an image of unpacked packages has none of.
START = f"""\
import ctypes.util, runpy
ctypes.util.find_library = {{"pq": "libpq.so.5", "c": "libc.so.6"}}.get
runpy.run_path("/{PROGRAM}", run_name="__main__")
"""
USER_ID = 65532
START_SECONDS = 120.0
NOT_FOUND = 404


class Application(Protocol):
    """The writing client, wherever it runs."""

    @property
    def where(self) -> str:
        """Where it runs, and how it finds its database."""
        ...

    def told(self) -> dict[int, Told]:
        """What it was told of so far; may be a second behind."""
        ...


@dataclass(frozen=True, kw_only=True)
class InPod:
    """The client in a pod; what it was told is in the pod's log."""

    estate: Path

    @property
    def where(self) -> str:
        """Where it runs, and how it finds its database."""
        return f"in a pod of {APPS}, by the Service {SERVICE_POSTGRES} of {DATA}"

    def told(self) -> dict[int, Told]:
        """What the log says."""
        return read_told(self.log().splitlines())

    def log(self) -> str:
        """What it said so far."""
        from kubernetes.client import ApiException

        try:
            said: str = core_api(self.estate).read_namespaced_pod_log(NAME, APPS)
        except ApiException as error:
            raise DemoFailed(f"the application's log cannot be read: {error.status} {error.reason}") from error
        return said


@dataclass(frozen=True, kw_only=True)
class OnHost:
    """The client in this process."""

    client: WritingClient

    @property
    def where(self) -> str:
        """Where it runs, and how it finds its database."""
        return f"on this machine, since no pod runs, by what the EndpointSlice {SERVICE_POSTGRES} of {DATA} says"

    def told(self) -> dict[int, Told]:
        """What it was told of until now."""
        return dict(list(self.client.acknowledged.items()))


@contextmanager
def application_in_pod(estate: Path, *, image: BuiltImage) -> Iterator[InPod]:
    """The application of ``image`` works in a pod while the block runs. Raises DemoFailed if the pod does not come."""
    core, registry = core_api(estate), f"127.0.0.1:{read_endpoints(embedded_files(estate)).registry}"
    push(image, registry=registry)
    _take_away(core)
    core.create_namespaced_pod(APPS, pod(f"{registry}/{image.repository}@{image.digest}"))
    try:
        application = InPod(estate=estate)
        _wait_until_it_writes(application, core)
        yield application
    finally:
        _take_away(core)


@contextmanager
def application_on_host(estate: Path) -> Iterator[OnHost]:
    """The application works in this process while the block runs."""
    from kubernetes.client import DiscoveryV1Api

    details, discovery = credentials(COOPERATIVE, estate=estate), DiscoveryV1Api(api_client(estate))
    client = WritingClient(ways=(partial(_follow, discovery, details),), write=insert, connections=CONNECTIONS)
    with writing_client.writing(client):
        client.until(1)
        yield OnHost(client=client)


def build_image(*, cache: Path) -> BuiltImage:
    """Build the application's image below the folder ``cache``, unless it is there already."""
    source = Path(writing_client.__file__)
    definition = ImageDefinition(
        name=NAME,
        repository=f"{COOPERATIVE}/{NAME}",
        description="An application that commits row after row, and says what it was told.",
        packages=("python3", "python3-psycopg"),
        without=("debconf", "media-types", "mailcap"),
        files=(ImageFile(source=source, target=PROGRAM, mode=0o644),),
        prune=("usr/lib/*/gconv",),
        entrypoint=("/usr/bin/python3", "-c", START),
        user_id=USER_ID,
        user_name="client",
        port=None,
        source=source,
    )
    return build(definition, cache=cache, report=print)


def pod(image: str) -> Manifest:
    """The pod, as operators run applications of their own (docs/how-to/own-applications.md)."""
    amounts = {"cpu": "500m", "memory": "128Mi", "ephemeral-storage": "64Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": APPS, "name": NAME, "labels": {"app": NAME}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "priorityClassName": SOLUTIONS,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "client",
                    "image": image,
                    "imagePullPolicy": "Always",
                    "envFrom": [{"secretRef": {"name": SECRET_DATA_STORE}}],
                    "resources": {"requests": amounts, "limits": amounts},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def _follow(discovery: Any, details: Mapping[str, str]) -> Connection:
    """Connect to where the Service leads now. Servers of the bridge listen on this machine's loopback, too."""
    found = discovery.read_namespaced_endpoint_slice(slice_name(SERVICE_POSTGRES), DATA)
    return psycopg.connect(
        host="127.0.0.1",
        port=found.ports[0].port,
        user=details["PGUSER"],
        password=details["PGPASSWORD"],
        dbname=details["PGDATABASE"],
        sslmode=details["PGSSLMODE"],
        connect_timeout=CONNECT_SECONDS,
        autocommit=True,
    )


def _wait_until_it_writes(application: InPod, core: Any) -> None:
    deadline = time.monotonic() + START_SECONDS
    while _phase(core) != "Running" or not application.told():
        if time.monotonic() > deadline:
            raise DemoFailed(f"the application's pod does not write; it is {_phase(core)}. {application.log()[-500:]}")
        time.sleep(0.5)


def _phase(core: Any) -> str:
    phase: str = core.read_namespaced_pod(NAME, APPS).status.phase
    return phase


def _take_away(core: Any) -> None:
    from kubernetes.client import ApiException

    try:
        core.delete_namespaced_pod(NAME, APPS, grace_period_seconds=0)
        while True:
            core.read_namespaced_pod(NAME, APPS)
            time.sleep(0.2)
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
