"""Whether the cluster that a migration names for the solutions is ready for them; each problem with its remedy.

Pods are not asked to run there: what enforces network policies, and whether nodes reach a registry, shows only a proof
(`coopctl prove`) after the first apply.
"""

from collections.abc import Iterator, Mapping

from provisioner.cluster.api import ApiServer
from provisioner.cluster.readiness import ClusterFacts, Right, read_facts
from provisioner.datastore.objects import ObjectsAccess
from provisioner.datastore.objects_identities import require_manager
from provisioner.descriptor.migration import ClusterTarget
from provisioner.errors import CoopctlError, Severity
from provisioner.migration.postgres_preflight_checks import Problem
from provisioner.operations.migration_site import MigrationSite, TargetSite

# ValidatingAdmissionPolicy is generally available from here on (Kubernetes documentation, "Feature Gates").
OLDEST = (1, 30)
SHOWN = 6
_HINT = "see that it runs and lets this machine in; its address stands in the kubeconfig"


def cluster_problems(site: MigrationSite | TargetSite) -> Iterator[Problem]:
    """What stands in the way of solutions that are to follow their data store; nothing if no cluster is named."""
    cluster = site.migration.target.cluster
    if cluster is None:
        return
    yield from _identities(site.target_bucket.access, environment=site.environment)
    try:
        facts = look_at_cluster(cluster)
    except CoopctlError as error:
        yield _error(
            f"the cluster for the solutions: {error.message}{f': {error.why}' if error.why else ''}",
            consequence="the solutions cannot follow their data store",
            remedy=error.hint or "let the kubeconfig's user read nodes, classes and versions",
        )
        return
    yield from judge_cluster(facts)


def look_at_cluster(cluster: ClusterTarget) -> ClusterFacts:
    """What it offers. Raises Unreachable if its kubeconfig cannot be used or it does not answer, NotPermitted."""
    return read_facts(ApiServer(cluster.kubeconfig, context=cluster.context, hint=_HINT))


def judge_cluster(facts: ClusterFacts) -> Iterator[Problem]:
    """Pure: every problem of the cluster."""
    yield from _version(facts)
    yield from _guards(facts)
    yield from _classes(facts)
    if facts.lacking:
        yield _error(
            f"the kubeconfig's user may not {_listed(facts.lacking)} at {facts.server}",
            consequence="`coopctl platform apply` or `coopctl apply` would stop in the middle",
            remedy="kubectl create clusterrolebinding coopctl --clusterrole=cluster-admin --user=the user of the"
            " kubeconfig",
        )


def _identities(access: ObjectsAccess, *, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Whether an estate of its own could manage buckets and identities with the document's access key."""
    try:
        require_manager(access, environment=environment)
    except CoopctlError as error:
        yield _warning(
            f"the access key manages no identities at {access.iam_url}: {error.message}",
            consequence="`migrate estate` cannot hand the bucket and its identity over",
            remedy="name the access key of the S3 server's administrator, and an IAM API (`iamUrl`), by then",
        )


def _version(facts: ClusterFacts) -> Iterator[Problem]:
    if facts.version < OLDEST:
        found, oldest = (".".join(map(str, one)) for one in (facts.version, OLDEST))
        yield _error(
            f"the cluster at {facts.server} is Kubernetes {found}",
            consequence=f"versions before {oldest} are not supported",
            remedy=f"upgrade it to {oldest} or newer",
        )


def _guards(facts: ClusterFacts) -> Iterator[Problem]:
    if not facts.policies:
        yield _error(
            f"the cluster at {facts.server} has no ValidatingAdmissionPolicy",
            consequence="the platform's rules cannot be enforced there, and are not applied",
            remedy="kube-apiserver --runtime-config=admissionregistration.k8s.io/v1=true",
        )
    if facts.pod_security is False:
        yield _error(
            f"Pod Security admission is off at {facts.server}",
            consequence="pods with every right would run beside the cooperative's",
            remedy="take PodSecurity out of kube-apiserver --disable-admission-plugins",
        )
    elif facts.pod_security is None:
        yield _warning(
            f"whether Pod Security admission is on at {facts.server} cannot be seen",
            consequence="where it is off, pods with every right would run beside the cooperative's",
            remedy="ask who runs the cluster for --disable-admission-plugins without PodSecurity",
        )


def _classes(facts: ClusterFacts) -> Iterator[Problem]:
    if not facts.ingress_classes:
        yield _error(
            f"the cluster at {facts.server} has no IngressClass",
            consequence="nobody reaches the solutions' pages",
            remedy="install an ingress controller with an IngressClass",
        )
    if not facts.storage_classes:
        yield _error(
            f"the cluster at {facts.server} has no StorageClass",
            consequence="solutions that keep files cannot be installed",
            remedy="install a storage provisioner with a StorageClass",
        )


def _listed(rights: tuple[Right, ...]) -> str:
    more = len(rights) - SHOWN
    return ", ".join(map(str, rights[:SHOWN])) + (f" and {more} more" if more > 0 else "")


def _error(what: str, *, consequence: str, remedy: str) -> Problem:
    return Problem(severity=Severity.ERROR, what=what, consequence=consequence, remedy=remedy)


def _warning(what: str, *, consequence: str, remedy: str) -> Problem:
    return Problem(severity=Severity.WARNING, what=what, consequence=consequence, remedy=remedy)
