"""What the pods of two cooperatives reach, as they were planned and applied: probes in their namespaces, and targets.

Every refusal has its control: a pod of a namespace without policies reaches the same address, or a pod that may does.
The database server is one for all tenants, so its address is reached by all; there, roles keep them apart.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from provisioner.catalogue.images.building import BuiltImage
from provisioner.catalogue.images.pushing import push
from provisioner.naming import LABEL_SOLUTION, SECRET_DATA_STORE
from provisioner.plan.manifest import Manifest
from provisioner.plan.network_policy import DNS_PORT
from provisioner.plan.priority_class import SOLUTIONS
from tests import outside_world
from tests.integration.node.conftest import PROBE_PORT, RESTRICTED, fetch, pod, service, wait
from tests.running_estate import RunningEstate

OWN, NEIGHBOUR, NOBODY = "rice-processing", "plastics", "bystander"
NAME = "flows"
# A probe that bears the label of the portal's pods, as only those who manage tenants can make one.
AS_PORTAL, PORTAL = "flows-as-portal", "portal Service"
API_SERVERS_PORT, OTHER_SERVER = "the API server's port", "another server of the host"


@dataclass(frozen=True, kw_only=True)
class Flows:
    """The running estate with a probe pod in each namespace, and all addresses that are tried, by what they are."""

    estate: RunningEstate
    own: Mapping[str, str]
    neighbour: Mapping[str, str]
    host: Mapping[str, str]

    @property
    def on_the_host(self) -> list[str]:
        """The addresses among them at which somebody else must listen while they are tried."""
        return [self.host[name] for name in (API_SERVERS_PORT, OTHER_SERVER)]

    def reached(self, namespace: str, targets: Mapping[str, str], *, by: str = NAME) -> set[str]:
        """The names of the targets that a connection can be opened to from the probe ``by`` of ``namespace``."""
        address = address_of(self.estate, namespace, name=by)
        answers = {
            name: fetch(f"http://{address}:{PROBE_PORT}/connect?to={target}") for name, target in targets.items()
        }
        return {name for name, answer in answers.items() if answer == "open"}

    def run(self, namespace: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the probe pod of ``namespace``."""
        return self.estate.attempt_kubectl("exec", "-n", namespace, NAME, "--", *command)


def try_flows(estate: RunningEstate, *, image: BuiltImage) -> Flows:
    """Make probe pods of ``image`` in both tenants' namespaces and in one without policies."""
    push(image, registry=registry(estate))
    reference = f"{registry(estate)}/{image.repository}@{image.digest}"
    estate.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NOBODY, "labels": RESTRICTED}})
    namespaces = [NOBODY, *(f"{tenant}-{part}" for tenant in (OWN, NEIGHBOUR) for part in ("apps", "data"))]
    estate.apply(*(prober(namespace, image=reference) for namespace in namespaces))
    estate.apply(*(service(namespace, NAME) for namespace in namespaces))
    as_portal = prober(f"{OWN}-apps", image=reference, name=AS_PORTAL, labels={LABEL_SOLUTION: "portal"})
    estate.apply(as_portal)
    for namespace in namespaces:
        wait(partial(answers, estate, namespace), f"the probe of {namespace}")
    wait(partial(answers, estate, f"{OWN}-apps", name=AS_PORTAL), "the probe that passes for the portal's")
    return Flows(
        estate=estate,
        own=targets_of(estate, OWN),
        neighbour=targets_of(estate, NEIGHBOUR),
        host=host_targets(estate),
    )


def registry(estate: RunningEstate) -> str:
    return f"127.0.0.1:{estate.endpoints.registry}"


def prober(namespace: str, *, image: str, name: str = NAME, labels: dict[str, str] | None = None) -> Manifest:
    """A pod as a solution's is: restricted, of the platform's priority, with the delivered Secret in apps."""
    made = pod(namespace, name, image=image, labels=labels)
    container = made["spec"]["containers"][0]
    container["imagePullPolicy"] = "Always"
    amounts = {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "16Mi"}
    container["resources"] = {"requests": amounts, "limits": amounts}
    if namespace.endswith("-apps"):
        container["envFrom"] = [{"secretRef": {"name": SECRET_DATA_STORE}}]
    made["spec"]["priorityClassName"] = SOLUTIONS
    return made


def answers(estate: RunningEstate, namespace: str, *, name: str = NAME) -> bool:
    """Whether the probe answers its own host, and reaches the cluster's DNS: what holds for it is in force by then."""
    address = address_of(estate, namespace, name=name)
    dns = f"http://{address}:{PROBE_PORT}/connect?to={estate.endpoints.bridge}:{DNS_PORT}"
    return bool(address) and fetch(dns) == "open"


def address_of(estate: RunningEstate, namespace: str, *, name: str = NAME) -> str:
    found: str = estate.get("pod", "-n", namespace, name)["status"].get("podIP", "")
    return found


def cluster_address(estate: RunningEstate, namespace: str, name: str) -> str:
    found: str = estate.get("service", "-n", namespace, name)["spec"]["clusterIP"]
    return found


def targets_of(estate: RunningEstate, tenant: str) -> dict[str, str]:
    """A tenant's pods and Services."""
    apps, data = f"{tenant}-apps", f"{tenant}-data"
    return {
        "apps pod": f"{address_of(estate, apps)}:{PROBE_PORT}",
        "apps Service": f"{cluster_address(estate, apps, NAME)}:80",
        PORTAL: f"{cluster_address(estate, apps, 'portal')}:80",
        "data pod": f"{address_of(estate, data)}:{PROBE_PORT}",
        "data Service": f"{cluster_address(estate, data, NAME)}:80",
    }


def host_targets(estate: RunningEstate) -> dict[str, str]:
    """What lies on the host and behind it."""
    ports = estate.endpoints
    return {
        "listed address": f"{outside_world.LISTED}:443",
        "listed address, other port": f"{outside_world.LISTED}:80",
        "other address": f"{outside_world.UNLISTED}:443",
        "metadata": f"{outside_world.METADATA}:80",
        "kubelet": f"{ports.bridge}:{ports.kubelet}",
        # The API server itself listens on loopback alone: somebody else takes its place on the bridge.
        API_SERVERS_PORT: f"{ports.bridge}:{ports.api_server}",
        OTHER_SERVER: f"{ports.bridge}:30000",
    }
