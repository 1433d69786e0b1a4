"""Pure: changes of pods that break one rule of ours each; Pod Security's are in pod_security_flaws."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from provisioner.naming import LABEL_COOPERATIVE, LABEL_SOLUTION
from provisioner.plan.manifest import Manifest
from provisioner.proof.accepted import DIGEST, NAME, claim_spec
from provisioner.proof.changing import (
    FOREIGN,
    FOREIGN_HOST,
    Change,
    PodFlaw,
    in_container,
    in_pod,
    in_spec,
    pod_of,
    volume,
)
from provisioner.rules.claim_rules import CLASS_ANNOTATION
from provisioner.rules.facts import Facts

_FOREIGN_IMAGE = f"{FOREIGN_HOST}/{NAME}@{DIGEST}"


def _without_digest(manifest: Manifest, facts: Facts) -> Manifest:
    return in_container("image", value=f"{facts.registries[0]}{NAME}:latest")(manifest, facts)


def _foreign_init_image(manifest: Manifest, facts: Facts) -> Manifest:
    foreign = {**pod_of(manifest)["spec"]["containers"][0], "name": "init", "image": _FOREIGN_IMAGE}
    return in_spec("initContainers", value=[foreign])(manifest, facts)


def _looking(term: Mapping[str, Any]) -> Change:
    """An affinity that looks at pods of other namespaces."""
    required = [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {}, **term}]
    return in_spec("affinity", value={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}})


def _claiming(*, annotations: Mapping[str, str] = MappingProxyType({}), **change: Any) -> Change:
    """An ephemeral volume whose claim has ``change`` in its spec, and ``annotations``."""

    def change_claim(manifest: Manifest, facts: Facts) -> Manifest:
        claim = {"metadata": {"annotations": dict(annotations)}, "spec": {**claim_spec(facts), **change}}
        return volume({"ephemeral": {"volumeClaimTemplate": claim}})(manifest, facts)

    return change_claim


def _tolerating(**toleration: str) -> Change:
    return in_spec("tolerations", value=[{"operator": "Exists", **toleration}])


def _projecting(**source: Any) -> Change:
    return volume({"projected": {"sources": [source]}})


POD_FLAWS: Mapping[str, tuple[PodFlaw, ...]] = MappingProxyType(
    {
        "image-registry": (
            PodFlaw(what="an image of a foreign registry", change=in_container("image", value=_FOREIGN_IMAGE)),
            PodFlaw(what="an init container of a foreign registry", change=_foreign_init_image),
            PodFlaw(
                what="a foreign image as a volume",
                change=volume({"image": {"reference": _FOREIGN_IMAGE, "pullPolicy": "Always"}}),
            ),
        ),
        "image-digest": (PodFlaw(what="an image without digest", change=_without_digest),),
        "image-pull": (
            PodFlaw(
                what="an image that is not always pulled", change=in_container("imagePullPolicy", value="IfNotPresent")
            ),
        ),
        "solution-label": (
            PodFlaw(
                what="the label of a solution's pods", change=in_pod("metadata", "labels", LABEL_SOLUTION, value=NAME)
            ),
        ),
        "node-name": (PodFlaw(what="a node of its own choice", change=in_spec("nodeName", value=FOREIGN)),),
        "tolerations": (
            PodFlaw(what="a toleration of every taint", change=_tolerating()),
            PodFlaw(
                what="a toleration of the control plane's taint",
                change=_tolerating(key="node-role.kubernetes.io/control-plane"),
            ),
        ),
        "priority-class": (
            PodFlaw(
                what="the priority of the system's own pods",
                change=in_spec("priorityClassName", value="system-cluster-critical"),
            ),
        ),
        "runtime-class": (
            # For a pod the API server looks for the class first, and says that there is none.
            PodFlaw(what="a foreign runtime", change=in_spec("runtimeClassName", value=FOREIGN), but=("Pod",)),
        ),
        "scheduler": (PodFlaw(what="a scheduler of its own choice", change=in_spec("schedulerName", value=FOREIGN)),),
        "api-token": (
            PodFlaw(what="a token of the API server", change=in_spec("automountServiceAccountToken", value=True)),
            PodFlaw(
                what="a token of the API server as a volume", change=_projecting(serviceAccountToken={"path": "token"})
            ),
        ),
        "driver-volumes": (PodFlaw(what="a storage driver's volume", change=volume({"csi": {"driver": FOREIGN}})),),
        "affinity": (
            PodFlaw(what="an eye on every tenant's pods", change=_looking({"namespaceSelector": {}})),
            PodFlaw(what="an eye on kube-system's pods", change=_looking({"namespaces": ["kube-system"]})),
        ),
        "resource-kinds": (
            PodFlaw(
                what="huge pages",
                change=in_container("resources", value={"limits": {"hugepages-2Mi": "2Mi", "cpu": "100m"}}),
            ),
        ),
        "scratch-space": (
            PodFlaw(
                what="ephemeral storage without a limit",
                change=in_container(
                    "resources", value={"requests": {"ephemeral-storage": "0"}, "limits": {"ephemeral-storage": "0"}}
                ),
            ),
        ),
        "pod-annotations": (
            PodFlaw(
                what="a second network",
                change=in_pod("metadata", "annotations", "k8s.v1.cni.cncf.io/networks", value=FOREIGN),
            ),
            PodFlaw(
                what="a device that no quota counts",
                change=in_pod("metadata", "annotations", "cdi.k8s.io/coopctl-proof", value=f"{FOREIGN_HOST}/gpu=all"),
            ),
        ),
        "grace-period": (
            PodFlaw(what="a day to end in", change=in_spec("terminationGracePeriodSeconds", value=24 * 60 * 60)),
        ),
        "template-labels": (
            # On a pod itself the label would also make it an object of the platform's.
            PodFlaw(
                what="the platform's own label on its pods",
                change=in_pod("metadata", "labels", LABEL_COOPERATIVE, value=FOREIGN),
                but=("Pod",),
            ),
        ),
        "storage-class": (
            PodFlaw(what="a volume of a foreign storage class", change=_claiming(storageClassName=FOREIGN)),
            PodFlaw(
                what="a volume of a foreign storage class by annotation",
                change=_claiming(annotations={CLASS_ANNOTATION: FOREIGN}),
            ),
        ),
        "attributes-class": (
            PodFlaw(what="a volume of chosen attributes", change=_claiming(volumeAttributesClassName=FOREIGN)),
        ),
        "existing-volume": (PodFlaw(what="a volume of its own choice", change=_claiming(volumeName=FOREIGN)),),
    }
)
