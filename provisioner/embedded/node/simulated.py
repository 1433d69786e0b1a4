"""Simulated nodes: kwok says that pods run, and nothing runs. No policy is enforced and nothing is served; volumes
are folders, which nothing fills.

For machines without root or Linux, and for tests of everything that is not the pods themselves.
"""

from pathlib import Path

from provisioner.embedded.certificates import serial
from provisioner.embedded.node import cluster, ingress, storage
from provisioner.embedded.node.access import SIMULATED_USERS, ensure_users, user_pair
from provisioner.embedded.node.layout import NodeFiles, node_files
from provisioner.embedded.private_files import private_folder
from provisioner.embedded.process import ProcessSpec, ReadyProbe, Surroundings
from provisioner.plan.manifest import Manifest

SIMULATOR = "kwok"
_STAGES = Path(__file__).with_name("stages.yaml")
"""What a node and a pod do; kwok has nothing built in."""


class SimulatedNode:
    """``count`` nodes that kwok plays."""

    name = "node"
    tools = (SIMULATOR, storage.NAME)

    def __init__(self, *, count: int = 1) -> None:
        self.nodes = tuple(f"coopctl-simulated-{number}" for number in range(1, count + 1))

    def prepare(self, surroundings: Surroundings) -> None:
        """Make the processes' kubeconfigs."""
        files = node_files(surroundings)
        private_folder(files.root)
        files.config.mkdir(exist_ok=True)
        files.volumes.mkdir(exist_ok=True)
        ensure_users(surroundings, SIMULATED_USERS)

    def specs(self, surroundings: Surroundings) -> tuple[ProcessSpec, ...]:
        """kwok, local volumes, and the ingress controller that writes only the Ingresses' status."""
        files = node_files(surroundings)
        return (
            self._simulator(surroundings, files, fingerprint=serial(user_pair(surroundings, "simulator"))),
            storage.process(
                surroundings,
                files,
                fingerprint=serial(user_pair(surroundings, "storage")),
                node=self.nodes[0],
                needs=(SIMULATOR,),
            ),
            ingress.status_process(
                surroundings, files, fingerprint=serial(user_pair(surroundings, "ingress")), needs=(SIMULATOR,)
            ),
        )

    def complete(self, surroundings: Surroundings) -> None:
        """Mend the cluster objects and the nodes, and take a real node out that an earlier choice made."""
        kubeconfig = surroundings.files.kubeconfig
        cluster.apply_objects(self._objects(), kubeconfig=kubeconfig)
        cluster.delete_other_nodes(self.nodes, kubeconfig=kubeconfig)

    def remove(self, surroundings: Surroundings) -> None:
        """Nothing is made on the machine but a folder of marks, which lies below ``surroundings.run``."""

    def _objects(self) -> tuple[Manifest, ...]:
        return (*cluster.cluster_objects(), *(cluster.simulated_node(name) for name in self.nodes))

    def _simulator(self, surroundings: Surroundings, files: NodeFiles, *, fingerprint: str) -> ProcessSpec:
        kubeconfig = surroundings.files.kubeconfig
        return ProcessSpec(
            name=SIMULATOR,
            argv=(
                str(surroundings.tools[SIMULATOR]),
                f"--config={_STAGES}",
                f"--kubeconfig={files.kubeconfig('simulator')}",
                "--manage-all-nodes=false",
                "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
                "--cidr=10.245.0.0/16",
                "--node-ip=127.0.0.1",
                "--node-lease-duration-seconds=40",
                "--server-address=",
            ),
            log=surroundings.logs / f"{SIMULATOR}.log",
            ready=ReadyProbe(
                description=f"the simulated node {self.nodes[0]} to be Ready",
                check=lambda: all(cluster.node_is_ready(name, kubeconfig=kubeconfig) for name in self.nodes),
            ),
            depends_on=("kube-apiserver",),
            fingerprint=fingerprint,
            before_start=lambda: cluster.apply_objects(self._objects(), kubeconfig=kubeconfig),
        )
