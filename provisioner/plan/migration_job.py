"""A migration's Job: coopctl itself in a pod of the platform's own namespace, with what it needs to reach both sides.

Three objects. The Job owns the two others, so that credentials and open flows end with it. It is made suspended, since
its owner's identity must be known first, and begins when all of it is there.

The pod has no token of the API server, no right to change its own image, and one writable folder that is lost with it:
what must not be forgotten lies beside the state. So a pod that dies is followed by another one.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.descriptor.platform import DnsAccess, Endpoint
from provisioner.naming import ANNOTATION_WHY, API_GROUP, SYSTEM_NAMESPACE
from provisioner.plan.addresses import address_block
from provisioner.plan.manifest import Manifest
from provisioner.plan.network_policy import dns_rules

LABEL_MIGRATION = f"{API_GROUP}/migration"
ESTATE, SCRATCH = "/estate", "/tmp"  # noqa: S108 - of the pod, which has its own
USER_ID = 65532
# Codes with which coopctl ends where another pod would, too: wrong use, no right, a policy, not found, problems.
FINAL_CODES = (2, 3, 5, 6, 11)
# Somebody else holds the lease, for a minute at most if that one is dead; interrupted: a node was drained.
PASSING_CODES = (12, 13)
RETRIES = 12
KEPT_SECONDS = 3600
GRACE_SECONDS = 60
REQUESTS = {"cpu": "250m", "memory": "256Mi", "ephemeral-storage": "64Mi"}
LIMITS = {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "4Gi"}


@dataclass(frozen=True, kw_only=True)
class MigrationJob:
    """What the pod does and reaches: ``files`` are those of its estate by their paths, credentials among them."""

    migration: str
    image: str
    files: Mapping[str, str] = field(repr=False)
    endpoints: tuple[Endpoint, ...]
    dns: DnsAccess

    @property
    def name(self) -> str:
        """What its objects are called."""
        return job_name(self.migration)


def job_name(migration: str) -> str:
    """What the objects of a migration's Job are called."""
    return f"migrate-{migration}"


def job(of: MigrationJob) -> Manifest:
    """The Job, suspended."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": of.name, "namespace": SYSTEM_NAMESPACE, "labels": _labels(of)},
        "spec": {
            "suspend": True,
            "backoffLimit": RETRIES,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    _on_codes(FINAL_CODES, action="FailJob"),
                    _on_codes(PASSING_CODES, action="Ignore"),
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {"metadata": {"labels": _labels(of)}, "spec": _pod(of)},
        },
    }


def job_secret(of: MigrationJob, *, owner: str) -> Manifest:
    """The files, in a Secret that the Job with the uid ``owner`` takes along."""
    data = {_key(path): base64.b64encode(content.encode()).decode() for path, content in sorted(of.files.items())}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _owned(of, owner=owner),
        "type": "Opaque",
        "immutable": True,
        "data": data,
    }


def job_flows(of: MigrationJob, *, owner: str) -> Manifest:
    """The flows of the pod, and no others: out to both sides and to the state, each by address and port; names."""
    egress = [
        {
            "to": [address_block(one.host, what="an address that the migration needs")],
            "ports": [{"protocol": "TCP", "port": one.port}],
        }
        for one in sorted(set(of.endpoints), key=lambda one: (one.host, one.port))
    ]
    about = _owned(of, owner=owner)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {**about, "annotations": {ANNOTATION_WHY: f"the migration {of.migration} reaches both sides"}},
        "spec": {
            "podSelector": {"matchLabels": _labels(of)},
            "policyTypes": ["Egress"],
            "egress": [*egress, *dns_rules(of.dns)],
        },
    }


def _pod(of: MigrationJob) -> Manifest:
    roots = sorted({path.partition("/")[0] for path in of.files})
    items = [{"key": _key(path), "path": path} for path in sorted(of.files)]
    given = [{"name": "given", "mountPath": f"{ESTATE}/{root}", "subPath": root, "readOnly": True} for root in roots]
    container = {
        "name": "coopctl",
        "image": of.image,
        "args": ["migrate", "start", of.migration],
        "env": [
            {"name": "COOPCTL_ESTATE", "value": ESTATE},
            {"name": "COOPCTL_IN_PLATFORM", "value": "1"},
            {"name": "HOME", "value": SCRATCH},
        ],
        "resources": {"requests": dict(REQUESTS), "limits": dict(LIMITS)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "estate", "mountPath": ESTATE},
            *given,
            {"name": "scratch", "mountPath": SCRATCH},
        ],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "estate", "emptyDir": {}},
            {"name": "given", "secret": {"secretName": of.name, "defaultMode": 0o440, "items": items}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }


def _on_codes(codes: tuple[int, ...], *, action: str) -> Manifest:
    return {"action": action, "onExitCodes": {"operator": "In", "values": list(codes)}}


def _labels(of: MigrationJob) -> dict[str, str]:
    """Not the platform's own: controllers copy them to pods, which must not bear those."""
    return {LABEL_MIGRATION: of.migration}


def _owned(of: MigrationJob, *, owner: str) -> Manifest:
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": of.name, "uid": owner}
    return {
        "name": of.name,
        "namespace": SYSTEM_NAMESPACE,
        "labels": _labels(of),
        "ownerReferences": [reference],
    }


def _key(path: str) -> str:
    """A Secret's keys have no slashes."""
    return path.replace("/", "..")
