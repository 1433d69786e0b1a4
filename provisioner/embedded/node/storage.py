"""StorageClass ``local``: volumes are folders of this node, made when a pod first needs them."""

from provisioner.embedded.node.cluster import STORAGE_PROVISIONER
from provisioner.embedded.node.layout import NodeFiles
from provisioner.embedded.process import ProcessSpec, ReadyProbe, Surroundings

NAME = "storage-provisioner"


def process(
    surroundings: Surroundings, files: NodeFiles, *, fingerprint: str, node: str, needs: tuple[str, ...]
) -> ProcessSpec:
    """The provisioner's process for the volumes of ``node``; ``needs`` gives its rights before it starts.

    It opens no port, so nothing but the volumes' folder says that it works.
    """
    return ProcessSpec(
        name=NAME,
        argv=(
            str(surroundings.tools[NAME]),
            f"--kubeconfig={files.kubeconfig('storage')}",
            f"--provisioner-name={STORAGE_PROVISIONER}",
            f"--hostname-override={node}",
            f"--root={files.volumes}",
        ),
        log=surroundings.logs / f"{NAME}.log",
        ready=ReadyProbe(description="the folder of its volumes", check=files.volumes.is_dir),
        depends_on=needs,
        fingerprint=fingerprint,
    )
