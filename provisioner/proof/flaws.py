"""Pure: for each rule that the cluster enforces on single objects, changes of one field that break it and no other.

A test holds the table to the rules: one without a flaw here is a guard that nobody attacks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from provisioner.naming import LABEL_COOPERATIVE
from provisioner.plan.manifest import Manifest
from provisioner.proof.accepted import NAME, scale_target
from provisioner.proof.changing import (
    FOREIGN,
    FOREIGN_ADDRESS,
    FOREIGN_HOST,
    Change,
    Flaw,
    PodFlaw,
    changed,
    field,
    no_field,
)
from provisioner.proof.pod_flaws import POD_FLAWS
from provisioner.proof.pod_security_flaws import POD_SECURITY_FLAWS
from provisioner.rules.claim_rules import CLASS_ANNOTATION
from provisioner.rules.facts import Facts
from provisioner.rules.network_rules import LABEL_NAMESPACE
from provisioner.rules.parts import POD_PATHS

# One kind for each policy that judges pods. Every other kind of template is attacked by one rule's flaws, to see that
# it is judged at all.
BY_EVERY_RULE = ("Pod", "PodTemplate", "Deployment", "CronJob")
BY_ONE_RULE = tuple(kind for kind in POD_PATHS if kind not in BY_EVERY_RULE)
ONE_RULE = "image-registry"
# Attacked where a pod runs: the API server refuses such a pod at its creation itself.
ON_RUNNING_PODS = frozenset({"ephemeral-containers"})


def flaws(rule: str) -> tuple[Flaw, ...]:
    """The flaws that break the rule with this id; none if it has no place here."""
    # Pod Security looks at pods alone.
    security = _spread(POD_SECURITY_FLAWS.get(rule, ()), kinds=("Pod",))
    kinds = (*BY_EVERY_RULE, *(BY_ONE_RULE if rule == ONE_RULE else ()))
    return (*security, *_spread(POD_FLAWS.get(rule, ()), kinds=kinds), *OBJECT_FLAWS.get(rule, ()))


def _spread(found: Iterable[PodFlaw], *, kinds: Iterable[str]) -> tuple[Flaw, ...]:
    return tuple(
        Flaw(kind=kind, what=flaw.what, change=flaw.change, also=flaw.also)
        for flaw in found
        for kind in kinds
        if kind not in flaw.but
    )


def _subject(kind: str, name: str, namespace: str = "") -> Change:
    place = {"namespace": namespace} if namespace else {"apiGroup": "rbac.authorization.k8s.io"}
    return field("subjects", value=[{"kind": kind, "name": name, **place}])


def _peers(*peers: Manifest) -> Change:
    return field("spec", "ingress", 0, "from", value=list(peers))


def _token(manifest: Manifest, _: Facts) -> Manifest:
    asking = changed(manifest, "type", value="kubernetes.io/service-account-token")
    return changed(asking, "metadata", "annotations", value={"kubernetes.io/service-account.name": "default"})


def _annotated(key: str, value: str) -> Change:
    return field("metadata", "annotations", key, value=value)


def _scaling(manifest: Manifest, facts: Facts) -> Manifest:
    return changed(manifest, "spec", "scaleTargetRef", value=scale_target(facts.solutions[0]))


def _claim(what: str, *path: str | int, value: Any) -> Flaw:
    return Flaw(kind="PersistentVolumeClaim", what=what, change=field("spec", *path, value=value))


def _claims(what: str, *path: str | int, value: Any) -> Flaw:
    change = field("spec", "volumeClaimTemplates", 0, *path, value=value)
    return Flaw(kind="StatefulSet", what=what, change=change)


_SOURCE = {"kind": "PersistentVolumeClaim", "name": FOREIGN, "namespace": FOREIGN}
_BACKEND = {"service": {"name": NAME, "port": {"number": 80}}}

OBJECT_FLAWS: Mapping[str, tuple[Flaw, ...]] = MappingProxyType(
    {
        "template-labels": (
            _claims("the platform's own label on its claims", "metadata", "labels", value={LABEL_COOPERATIVE: FOREIGN}),
        ),
        "storage-class": (
            _claim("a foreign storage class", "storageClassName", value=FOREIGN),
            _claims("claims of a foreign storage class", "spec", "storageClassName", value=FOREIGN),
            Flaw(
                kind="PersistentVolumeClaim",
                what="a foreign storage class by annotation",
                change=_annotated(CLASS_ANNOTATION, FOREIGN),
            ),
            _claims(
                "claims of a foreign storage class by annotation",
                "metadata",
                "annotations",
                CLASS_ANNOTATION,
                value=FOREIGN,
            ),
        ),
        "attributes-class": (
            _claim("chosen attributes", "volumeAttributesClassName", value=FOREIGN),
            _claims("claims of chosen attributes", "spec", "volumeAttributesClassName", value=FOREIGN),
        ),
        "existing-volume": (
            _claim("a volume of its own choice", "volumeName", value=FOREIGN),
            _claim("a selector of volumes", "selector", value={"matchLabels": {"a": "b"}}),
            _claims("claims of a volume of its own choice", "spec", "volumeName", value=FOREIGN),
        ),
        "foreign-source": (
            replace(_claim("another tenant's volume as its source", "dataSourceRef", value=_SOURCE), gated=True),
        ),
        "service-type": (
            Flaw(kind="Service", what="a port of every node", change=field("spec", "type", value="NodePort")),
            Flaw(
                kind="Service", what="an address of the provider's", change=field("spec", "type", value="LoadBalancer")
            ),
        ),
        "external-addresses": (
            Flaw(
                kind="Service",
                what="an address of somebody else's",
                change=field("spec", "externalIPs", value=[FOREIGN_ADDRESS]),
            ),
            Flaw(
                kind="Service",
                what="a foreign name behind it",
                change=field("spec", value={"type": "ExternalName", "externalName": FOREIGN_HOST}),
                also=("service-type",),
            ),
        ),
        "published-names": (
            Flaw(
                kind="Service",
                what="a name in public DNS",
                change=_annotated("external-dns.alpha.kubernetes.io/hostname", FOREIGN_HOST),
            ),
        ),
        "service-annotations": (
            Flaw(
                kind="Service",
                what="configuration of a shared controller",
                change=_annotated("haproxy.org/backend-config-snippet", "http-request deny"),
            ),
        ),
        "ingress-hosts": (
            Flaw(kind="Ingress", what="a foreign host", change=field("spec", "rules", 0, "host", value=FOREIGN_HOST)),
            Flaw(kind="Ingress", what="every host", change=no_field("spec", "rules", 0, "host")),
            Flaw(
                kind="Ingress",
                what="a certificate for a foreign host",
                change=field("spec", "tls", value=[{"hosts": [FOREIGN_HOST]}]),
            ),
        ),
        "ingress-backends": (
            Flaw(
                kind="Ingress", what="a backend for everybody", change=field("spec", "defaultBackend", value=_BACKEND)
            ),
        ),
        "ingress-paths": (
            Flaw(
                kind="Ingress",
                what="more than a path",
                change=field("spec", "rules", 0, "http", "paths", 0, "path", value="/{return 200;}"),
            ),
        ),
        "ingress-class": (
            Flaw(kind="Ingress", what="a foreign class", change=field("spec", "ingressClassName", value=FOREIGN)),
        ),
        "ingress-annotations": (
            Flaw(
                kind="Ingress",
                what="configuration of the shared controller",
                change=_annotated("nginx.ingress.kubernetes.io/configuration-snippet", "return 200;"),
            ),
        ),
        "own-peers": (
            Flaw(kind="NetworkPolicy", what="everybody as peers", change=field("spec", "ingress", value=[{}])),
            Flaw(kind="NetworkPolicy", what="every tenant as peers", change=_peers({"namespaceSelector": {}})),
            Flaw(
                kind="NetworkPolicy",
                what="a foreign namespace as a peer",
                change=_peers({"namespaceSelector": {"matchLabels": {LABEL_NAMESPACE: FOREIGN}}}),
            ),
            Flaw(
                kind="NetworkPolicy",
                what="every address as peers",
                change=field("spec", "egress", value=[{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]),
            ),
        ),
        "own-subjects": (
            Flaw(kind="RoleBinding", what="a foreign user", change=_subject("User", FOREIGN)),
            Flaw(kind="RoleBinding", what="everybody", change=_subject("Group", "system:authenticated")),
            Flaw(
                kind="RoleBinding",
                what="an account of kube-system",
                change=_subject("ServiceAccount", "default", "kube-system"),
            ),
        ),
        "no-automount": (
            Flaw(
                kind="ServiceAccount",
                what="tokens for its pods",
                change=field("automountServiceAccountToken", value=True),
            ),
        ),
        "finalizers": (
            Flaw(
                kind="ConfigMap",
                what="a finalizer that nobody takes off",
                change=field("metadata", "finalizers", value=[f"{FOREIGN_HOST}/kept"]),
            ),
        ),
        "own-target": (
            Flaw(kind="HorizontalPodAutoscaler", what="a solution as its target", change=_scaling, of_solutions=True),
        ),
        "no-token-secrets": (Flaw(kind="Secret", what="a token that never expires", change=_token),),
    }
)
