"""Violations of every rule, each a change of one field of an accepted object.

Those of pods are paths below the pod's spec or its metadata; they are tried on pods and in every template.
"""

from tests.unit.rules.accepted import DATA_NAMESPACE, DIGEST, DOMAIN, IMAGE, REGISTRY, container
from tests.unit.rules.changes import Violation, adding, removing, setting, setting_key

_IMAGE = "spec.containers.0.image"
_PULL = "spec.containers.0.imagePullPolicy"
_INIT = "spec.initContainers.0"
_AFFINITY = "spec.affinity"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution.0"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution.0.podAffinityTerm"
_LIMITS = "spec.containers.0.resources.limits"
_EVERY_NAMESPACE: dict[str, object] = {"matchLabels": {"team": "any"}}

PODS = (
    Violation(rule="image-registry", what="another registry", change=setting(_IMAGE, f"docker.io/x/y{DIGEST}")),
    Violation(
        rule="image-registry", what="a registry that begins alike", change=setting(_IMAGE, f"{REGISTRY}0/x{DIGEST}")
    ),
    Violation(rule="image-registry", what="no registry", change=setting(_IMAGE, f"portal{DIGEST}")),
    Violation(rule="image-registry", what="an init container's", change=setting(f"{_INIT}.image", f"x/y{DIGEST}")),
    Violation(
        rule="image-registry", what="a volume's", change=setting("spec.volumes.2.image.reference", f"x/y{DIGEST}")
    ),
    Violation(rule="image-digest", what="a tag", change=setting(_IMAGE, f"{REGISTRY}/coopctl/portal:1")),
    Violation(rule="image-digest", what="nothing", change=setting(_IMAGE, f"{REGISTRY}/coopctl/portal")),
    Violation(rule="image-digest", what="half a digest", change=setting(_IMAGE, IMAGE[:-1])),
    Violation(rule="image-digest", what="an init container's", change=setting(f"{_INIT}.image", f"{REGISTRY}/x:1")),
    Violation(
        rule="image-digest", what="a volume's", change=setting("spec.volumes.2.image.reference", f"{REGISTRY}/x:1")
    ),
    Violation(rule="image-pull", what="if missing", change=setting(_PULL, "IfNotPresent")),
    Violation(rule="image-pull", what="never", change=setting(_PULL, "Never")),
    Violation(rule="image-pull", what="nothing said", change=removing(_PULL)),
    Violation(rule="image-pull", what="an init container's", change=setting(f"{_INIT}.imagePullPolicy", "Never")),
    Violation(rule="image-pull", what="a volume's", change=setting("spec.volumes.2.image.pullPolicy", "IfNotPresent")),
    Violation(rule="node-name", what="a node", change=setting("spec.nodeName", "node-1")),
    Violation(rule="tolerations", what="every taint", change=adding("spec.tolerations", {"operator": "Exists"})),
    Violation(
        rule="tolerations",
        what="the control plane's taint",
        change=adding("spec.tolerations", {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}),
    ),
    Violation(
        rule="priority-class", what="the system's", change=setting("spec.priorityClassName", "system-cluster-critical")
    ),
    Violation(
        rule="priority-class",
        what="a proof's",
        change=setting("spec.priorityClassName", "coopctl-probe"),
        administrators=False,
    ),
    Violation(rule="runtime-class", what="one not listed", change=setting("spec.runtimeClassName", "unlisted")),
    Violation(rule="scheduler", what="another", change=setting("spec.schedulerName", "own-scheduler")),
    Violation(rule="api-token", what="automount", change=setting("spec.automountServiceAccountToken", True)),
    Violation(
        rule="api-token",
        what="a projected token",
        change=adding("spec.volumes.3.projected.sources", {"serviceAccountToken": {"path": "token"}}),
    ),
    Violation(
        rule="api-token",
        what="a projected certificate",
        change=adding(
            "spec.volumes.3.projected.sources",
            {"podCertificate": {"signerName": "example.kr/signer", "keyType": "ED25519"}},
        ),
        # The API server takes the field out as long as its feature is off.
        in_cluster=False,
    ),
    Violation(
        rule="ephemeral-containers",
        what="one",
        change=setting("spec.ephemeralContainers", [container("debugger")]),
        # They can only be added to a pod that runs, by a subresource.
        in_cluster=False,
    ),
    Violation(
        rule="driver-volumes",
        what="inline",
        change=adding("spec.volumes", {"name": "share", "csi": {"driver": "share.example.kr"}}),
    ),
    *(
        Violation(rule="affinity", what=f"{kind} {what}", change=change)
        for kind in ("podAffinity", "podAntiAffinity")
        for what, change in (
            ("all namespaces", setting(f"{_AFFINITY}.{kind}.{_REQUIRED}.namespaceSelector", {})),
            ("a named one", setting(f"{_AFFINITY}.{kind}.{_REQUIRED}.namespaces", ["plastics-apps"])),
            ("all, preferred", setting(f"{_AFFINITY}.{kind}.{_PREFERRED}.namespaceSelector", {})),
            ("a named one, preferred", setting(f"{_AFFINITY}.{kind}.{_PREFERRED}.namespaces", ["plastics-apps"])),
        )
    ),
    Violation(rule="resource-kinds", what="a device", change=setting_key(_LIMITS, "example.kr/gpu", "1")),
    Violation(rule="resource-kinds", what="huge pages", change=setting_key(_LIMITS, "hugepages-2Mi", "2Mi")),
    Violation(
        rule="resource-kinds",
        what="for the pod",
        change=setting("spec.resources", {"limits": {"cpu": "1", "memory": "256Mi"}}),
    ),
    Violation(
        rule="resource-kinds",
        what="a claimed device",
        change=setting("spec.resourceClaims", [{"name": "gpu", "resourceClaimName": "gpu"}]),
    ),
    *(
        Violation(
            rule="scratch-space",
            what=nothing,
            change=setting(
                "spec.containers.0.resources",
                {"requests": {"ephemeral-storage": nothing}, "limits": {"ephemeral-storage": nothing}},
            ),
        )
        for nothing in ("0", "0Gi", "0.0", "0e3")
    ),
    *(
        Violation(rule="pod-annotations", what=key, change=setting_key("metadata.annotations", key, "x"))
        for key in (
            "k8s.v1.cni.cncf.io/networks",
            "cni.projectcalico.org/ipAddrs",
            "cdi.k8s.io/gpu",
            "io.kubernetes.cri-o.Devices",
            "checksum.example/networks",
            f"x{DOMAIN}/networks",
        )
    ),
    *(
        Violation(
            rule="solution-label",
            what=what,
            change=setting_key("metadata.labels", "coopctl.dev/solution", value),
            administrators=False,
        )
        for what, value in (("a solution's", "portal"), ("nobody's", ""))
    ),
    Violation(rule="grace-period", what="too long", change=setting("spec.terminationGracePeriodSeconds", 601)),
    Violation(rule="grace-period", what="for ever", change=setting("spec.terminationGracePeriodSeconds", 2**40)),
    Violation(
        rule="template-labels", what="a cooperative's", change=setting_key("metadata.labels", "coopctl.dev/part", "x")
    ),
    Violation(
        rule="template-labels",
        what="managed by coopctl",
        change=setting_key("metadata.labels", "app.kubernetes.io/managed-by", "coopctl"),
    ),
    Violation(
        rule="template-labels",
        what="an ephemeral claim's",
        change=setting_key(
            "spec.volumes.1.ephemeral.volumeClaimTemplate.metadata.labels", "coopctl.dev/cooperative", "x"
        ),
    ),
)
"""For a pod, or a template that has `metadata` and `spec` as one."""


def _claims(below: str) -> tuple[Violation, ...]:
    """Violations of the rules for claims in the spec at ``below``."""
    annotations = f"{below.removesuffix('spec')}metadata.annotations"
    populated = {"apiGroup": "example.kr", "kind": "Books", "name": "theirs", "namespace": "plastics-data"}
    return (
        Violation(rule="storage-class", what="another", change=setting(f"{below}.storageClassName", "shared")),
        Violation(rule="storage-class", what="none", change=setting(f"{below}.storageClassName", "")),
        Violation(
            rule="storage-class",
            what="by annotation",
            change=setting_key(annotations, "volume.beta.kubernetes.io/storage-class", "shared"),
        ),
        Violation(rule="attributes-class", what="one", change=setting(f"{below}.volumeAttributesClassName", "fastest")),
        Violation(rule="existing-volume", what="by name", change=setting(f"{below}.volumeName", "pv-1")),
        Violation(rule="existing-volume", what="by selector", change=setting(f"{below}.selector", {})),
        Violation(
            rule="foreign-source",
            what="another namespace",
            change=setting(f"{below}.dataSourceRef", populated),
            # The API server takes the field out as long as its feature is off.
            in_cluster=False,
        ),
    )


CLAIMS = _claims("spec")
EPHEMERAL_CLAIMS = _claims("spec.volumes.1.ephemeral.volumeClaimTemplate.spec")
"""For a pod or template."""

_ANNOTATIONS = "metadata.annotations"
_HOST = "spec.rules.0.host"
_INGRESS_PEERS: tuple[tuple[str, str, object], ...] = (
    ("everybody", "spec.ingress.0", {}),
    ("no peers", "spec.ingress.0.from", []),
    ("addresses", "spec.ingress.0.from.0", {"ipBlock": {"cidr": "10.0.0.0/8"}}),
    ("every namespace", "spec.ingress.0.from.1.namespaceSelector", {}),
    ("another tenant", "spec.ingress.0.from.1.namespaceSelector", _EVERY_NAMESPACE),
)
OTHERS: dict[str, tuple[Violation, ...]] = {
    "StatefulSet": (
        *_claims("spec.volumeClaimTemplates.0.spec"),
        Violation(
            rule="template-labels",
            what="a claim template's",
            change=setting_key("spec.volumeClaimTemplates.0.metadata.labels", "coopctl.dev/cluster", "x"),
        ),
    ),
    "CronJob": (
        Violation(
            rule="template-labels",
            what="a job template's",
            change=setting_key("spec.jobTemplate.metadata.labels", "coopctl.dev/cooperative", "x"),
        ),
    ),
    "PersistentVolumeClaim": (
        *CLAIMS,
        Violation(
            rule="finalizers",
            what="another's",
            change=setting("metadata.finalizers", ["example.kr/kept"]),
            administrators=False,
        ),
    ),
    "ConfigMap": tuple(
        Violation(rule="finalizers", what=name, change=setting("metadata.finalizers", [name]), administrators=False)
        for name in ("example.kr/kept", "kubernetes.io/pvc-protection")
    ),
    "Service": (
        Violation(rule="service-type", what="NodePort", change=setting("spec.type", "NodePort")),
        Violation(rule="service-type", what="LoadBalancer", change=setting("spec.type", "LoadBalancer")),
        Violation(
            rule="service-type",
            what="ExternalName",
            change=setting("spec", {"type": "ExternalName", "externalName": f"db.{DOMAIN}"}),
            also=("external-addresses",),
        ),
        Violation(rule="external-addresses", what="externalIPs", change=setting("spec.externalIPs", ["203.0.113.9"])),
        Violation(
            rule="external-addresses", what="loadBalancerIP", change=setting("spec.loadBalancerIP", "203.0.113.9")
        ),
        Violation(rule="external-addresses", what="externalName", change=setting("spec.externalName", "db.example.kr")),
        *(
            Violation(rule="service-annotations", what=key, change=setting_key(_ANNOTATIONS, key, "x"))
            for key in ("haproxy.org/backend-config-snippet", "service.cilium.io/global", "prometheus.io.example/x")
        ),
        *(
            Violation(
                rule="published-names", what=key, change=setting_key(_ANNOTATIONS, key, "www.plastics.example.kr")
            )
            for key in (
                "external-dns.alpha.kubernetes.io/hostname",
                "external-dns.alpha.kubernetes.io/internal-hostname",
            )
        ),
    ),
    "Ingress": (
        Violation(rule="ingress-hosts", what="another tenant's", change=setting(_HOST, "plastics.example.kr")),
        Violation(rule="ingress-hosts", what="one that ends alike", change=setting(_HOST, f"x{DOMAIN}")),
        Violation(rule="ingress-hosts", what="the domain above", change=setting(_HOST, "example.kr")),
        Violation(rule="ingress-hosts", what="every host above", change=setting(_HOST, "*.example.kr")),
        Violation(rule="ingress-hosts", what="none", change=removing(_HOST)),
        Violation(rule="ingress-hosts", what="in TLS", change=setting("spec.tls.0.hosts.0", "plastics.example.kr")),
        Violation(
            rule="ingress-backends",
            what="a default",
            change=setting("spec.defaultBackend", {"service": {"name": "ledger", "port": {"number": 80}}}),
        ),
        Violation(
            rule="ingress-backends",
            what="no Service",
            change=setting(
                "spec.rules.0.http.paths.0.backend",
                {"resource": {"apiGroup": "example.kr", "kind": "Store", "name": "theirs"}},
            ),
        ),
        *(
            Violation(rule="ingress-paths", what=repr(path), change=setting("spec.rules.1.http.paths.0.path", path))
            for path in ("/a{", "/a;b", "/a b", "/a\nb", '/"', "/$host", "/a#b", "/a%20b", "/a\n")
        ),
        Violation(rule="ingress-class", what="another", change=setting("spec.ingressClassName", "internal")),
        Violation(rule="ingress-class", what="none", change=removing("spec.ingressClassName")),
        *(
            Violation(rule="ingress-annotations", what=key, change=setting_key(_ANNOTATIONS, key, value))
            for key, value in (
                ("nginx.ingress.kubernetes.io/server-snippet", "return 200;"),
                ("nginx.ingress.kubernetes.io/proxy-body-size", "8m; } location / { return 200"),
                ("nginx.org/server-snippets", "return 200;"),
                ("haproxy.org/backend-config-snippet", "x"),
                ("traefik.ingress.kubernetes.io/router.middlewares", "theirs"),
                ("external-dns.alpha.kubernetes.io/hostname", "www.plastics.example.kr"),
            )
        ),
    ),
    "NetworkPolicy": (
        *(
            Violation(rule="own-peers", what=f"{what} in", change=setting(path, value), administrators=False)
            for what, path, value in _INGRESS_PEERS
        ),
        *(
            Violation(
                rule="own-peers",
                what=f"{what} out",
                change=setting(path.replace("spec.ingress", "spec.egress").replace(".from", ".to"), value),
                administrators=False,
            )
            for what, path, value in _INGRESS_PEERS
        ),
        Violation(
            rule="own-peers",
            what="a namespace beside its own label",
            change=setting(
                "spec.ingress.0.from.1.namespaceSelector",
                {
                    "matchExpressions": [
                        {
                            "key": "kubernetes.io/metadata.name",
                            "operator": "In",
                            "values": [DATA_NAMESPACE, "kube-system"],
                        }
                    ]
                },
            ),
            administrators=False,
        ),
    ),
    "RoleBinding": tuple(
        Violation(rule="own-subjects", what=what, change=setting("subjects.0", subject), administrators=False)
        for what, subject in (
            ("another person", {"kind": "User", "name": "plastics-operator"}),
            ("a group as a person", {"kind": "User", "name": "rice operators"}),
            ("everybody", {"kind": "Group", "name": "system:authenticated"}),
            ("nobody", {"kind": "User", "name": "system:anonymous"}),
            ("every account", {"kind": "Group", "name": "system:serviceaccounts"}),
            ("another's account", {"kind": "ServiceAccount", "name": "default", "namespace": "plastics-apps"}),
        )
    ),
    "HorizontalPodAutoscaler": tuple(
        Violation(rule="own-target", what=target, change=setting("spec.scaleTargetRef.name", target))
        for target in ("portal", "portal-worker")
    ),
    "ServiceAccount": (
        Violation(rule="no-automount", what="nothing said", change=removing("automountServiceAccountToken")),
        Violation(rule="no-automount", what="true", change=setting("automountServiceAccountToken", True)),
    ),
    "Secret": (
        Violation(
            rule="no-token-secrets",
            what="a ServiceAccount's",
            change=lambda manifest: manifest.update(
                type="kubernetes.io/service-account-token",
                metadata={
                    **manifest["metadata"],
                    "annotations": {"kubernetes.io/service-account.name": "default"},
                },
            ),
        ),
        Violation(rule="no-token-secrets", what="a node's", change=setting("type", "bootstrap.kubernetes.io/token")),
    ),
}
"""By the kind of the accepted object."""
