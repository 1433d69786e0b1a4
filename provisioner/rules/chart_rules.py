"""Rules for what a solution's chart may bring, and for a plan as a whole. coopctl refuses a violation itself.

Charts are applied with coopctl's own rights: no right of the tenant's bounds them, so the plan must.
"""

from collections.abc import Iterator

from provisioner.rules.facts import Facts
from provisioner.rules.parts import mapping
from provisioner.rules.rule import Enforcement, Fault, Part, PlanRule, Rule, Severity, Subject

HOOK = "helm.sh/hook"
# (API group, kind). All of them lie in a namespace, and the tenant's quota counts them; a test asks an API server.
KINDS = frozenset(
    {
        *(("", kind) for kind in ("ConfigMap", "PersistentVolumeClaim", "Pod", "ReplicationController", "Secret")),
        *(("", kind) for kind in ("Service", "ServiceAccount")),
        *(("apps", kind) for kind in ("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet")),
        ("autoscaling", "HorizontalPodAutoscaler"),
        *(("batch", kind) for kind in ("CronJob", "Job")),
        *(("networking.k8s.io", kind) for kind in ("Ingress", "NetworkPolicy")),
        ("policy", "PodDisruptionBudget"),
        *(("rbac.authorization.k8s.io", kind) for kind in ("Role", "RoleBinding")),
    }
)


def _scope(part: Part, _: Facts) -> Iterator[Fault]:
    if _group_and_kind(part) not in KINDS:
        version = part.spec.get("apiVersion", "")
        yield Fault(path="kind", message=f"{version} {part.kind} is not a kind that a solution may bring")


def _group_and_kind(part: Part) -> tuple[str, str]:
    return str(part.spec.get("apiVersion", "")).rpartition("/")[0], part.kind


# What changes the data store's tables, and the programs that it runs: beside the data, where no operator may make pods.
DATA_KINDS = frozenset({("", "ConfigMap"), ("batch", "Job")})


def _namespace(part: Part, facts: Facts) -> Iterator[Fault]:
    found = part.metadata.get("namespace")
    if found == facts.data_namespace and _group_and_kind(part) in DATA_KINDS:
        return
    if found != facts.apps_namespace:
        yield Fault(path="metadata.namespace", message=f"is {found!r}, not {facts.apps_namespace!r}")


def _hooks(part: Part, _: Facts) -> Iterator[Fault]:
    hook = mapping(part.metadata.get("annotations")).get(HOOK)
    if hook is not None:
        yield Fault(path="metadata.annotations", message=f"make it a Helm hook ({hook})")


def _flows(part: Part, _: Facts) -> Iterator[Fault]:
    yield Fault(path="kind", message=f"{part.kind} opens flows beside those that the plan makes")


CHART_RULES = (
    Rule(
        id="chart-scope",
        title="charts bring kinds of the tenant's own alone",
        severity=Severity.CRITICAL,
        subject=Subject.ALL,
        reason="a cluster-wide object holds for every tenant, and what no quota counts has no bound",
        sources=("Kubernetes documentation, Multi-tenancy, Namespaces", "Kubernetes documentation, Resource Quotas"),
        remedy="leave the object out; what the whole cluster needs belongs to the platform",
        judge=_scope,
        enforcement=Enforcement.COOPCTL,
    ),
    Rule(
        id="chart-namespace",
        title="charts put every object into the tenant's apps namespace, migration Jobs into its data namespace",
        severity=Severity.CRITICAL,
        subject=Subject.ALL,
        reason="an object in another namespace is in another tenant, or beside the guards of the data store",
        sources=("Kubernetes documentation, Multi-tenancy, Namespaces",),
        remedy="write namespace: {{ .Release.Namespace }}; only a migration's Job and ConfigMap lie beside the data",
        judge=_namespace,
        enforcement=Enforcement.COOPCTL,
    ),
    Rule(
        id="chart-hooks",
        title="charts have no Helm hooks",
        severity=Severity.MEDIUM,
        subject=Subject.ALL,
        reason="hooks are left out when the chart is installed: what it counts on would silently never run",
        sources=("Pulumi documentation, Kubernetes, helm.v4.Chart, Hooks",),
        remedy="use a Job whose name holds the version, and let the Deployment wait for it",
        judge=_hooks,
        enforcement=Enforcement.COOPCTL,
    ),
    Rule(
        id="chart-flows",
        title="charts open no flows themselves",
        severity=Severity.HIGH,
        subject=Subject.NETWORK_POLICIES,
        reason="policies add up: one that selects other pods opens them to solutions that nobody integrated",
        sources=("Kubernetes documentation, Network Policies",),
        remedy="leave NetworkPolicies out; coopctl.dev/serves and coopctl.dev/integrates say what is to be open",
        judge=_flows,
        enforcement=Enforcement.COOPCTL,
    ),
)
CHART_NAMES = PlanRule(
    id="chart-names",
    title="charts bring no object that the plan has already",
    severity=Severity.CRITICAL,
    reason="a policy or a binding of the same name would take the place of the platform's guard",
    sources=("Kubernetes documentation, Server-Side Apply, Conflicts",),
    remedy="give the object another name, such as one that begins with the release's",
)
CHART_PODS = PlanRule(
    id="chart-pods",
    title="a solution's pods bear its own label",
    severity=Severity.HIGH,
    reason="network policies tell solutions apart by it: a pod without has the flows of the tenant's own applications,"
    " and one with another's has that solution's",
    sources=(
        "Kubernetes documentation, Network Policies",
        "Kubernetes documentation, Multi-tenancy, Network isolation",
    ),
    remedy="write .Values.coopctl.podLabels into the labels of every pod template, and no other coopctl.dev/solution",
)
EXPIRED_EXCEPTION = PlanRule(
    id="expired-exception",
    title="no exception is past its day",
    severity=Severity.MEDIUM,
    reason="an exception that nobody ends becomes the rule",
    sources=("NIST SP 800-53 Rev. 5, CA-5",),
    remedy="mend what it excused and remove the document, or have somebody answer for a later day",
)
PLAN_RULES = (CHART_NAMES, CHART_PODS, EXPIRED_EXCEPTION)
