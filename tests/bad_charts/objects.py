"""Bad charts that bring an object which a solution may not bring, or one that is not as it must be."""

from tests.bad_charts.changing import CONFIG_MAP, INGRESS, METADATA, NEW, SERVICE, BadChart, adding, swap

POD = """\
automountServiceAccountToken: false
restartPolicy: Never
securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
containers:
  - name: job
    image: {{ .Values.images.portal | quote }}
    imagePullPolicy: Always
    resources: {{ toJson .Values.resources }}
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""


def indented(text: str, by: int) -> str:
    """``text`` with each line moved to the right."""
    return "".join(f"{' ' * by}{line}\n" for line in text.splitlines())


def further_object(name: str, rule: str, head: str, rest: str, *, at: str, also: tuple[str, ...] = ()) -> BadChart:
    """A further object of the chart."""
    text = f"{head}\n{METADATA}{rest}"
    return BadChart(name=name, rule=rule, file=NEW, change=adding(text), at=at, also=also)


_JOB = (
    "spec:\n  template:\n    metadata:\n      labels: {{ toJson .Values.coopctl.podLabels }}\n"
    f"    spec:\n{indented(POD, 6)}"
)
_CLAIM = (
    "spec:\n  accessModes: [ReadWriteOnce]\n  storageClassName: {}\n  resources:\n    requests:\n      storage: {}\n"
)

OBJECTS = (
    further_object(
        "brings a right for the whole cluster",
        "chart-scope",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole",
        "rules: []\n",
        at="kind: ClusterRole",
    ),
    further_object("brings a namespace", "chart-scope", "apiVersion: v1\nkind: Namespace", "", at="kind: Namespace"),
    BadChart(
        name="lies elsewhere",
        rule="chart-namespace",
        file=CONFIG_MAP,
        change=swap("{{ .Release.Namespace }}", "kube-system"),
        at="namespace:",
    ),
    BadChart(
        name="is a hook",
        rule="chart-hooks",
        file=CONFIG_MAP,
        change=swap("  annotations:\n", "  annotations:\n    helm.sh/hook: pre-install\n"),
        at="annotations:",
    ),
    BadChart(
        name="bears no labels",
        rule="chart-labels",
        file=CONFIG_MAP,
        change=swap('{{- include "portal.labels" . | nindent 4 }}', '{{- include "portal.selector" . | nindent 4 }}'),
        at="labels:",
    ),
    BadChart(
        name="bears labels of its own making",
        rule="chart-labels",
        file=SERVICE,
        change=swap(
            '  labels:\n    {{- include "portal.labels" . | nindent 4 }}', "  labels: {coopctl.dev/cooperative: rice}"
        ),
        at="labels:",
    ),
    BadChart(
        name="is a port of each node",
        rule="service-type",
        file=SERVICE,
        change=swap("ClusterIP", "NodePort"),
        at="type:",
    ),
    BadChart(
        name="is a load balancer",
        rule="service-type",
        file=SERVICE,
        change=swap("ClusterIP", "LoadBalancer"),
        at="type:",
    ),
    BadChart(
        name="takes outer addresses",
        rule="external-addresses",
        file=SERVICE,
        change=swap("  type: ClusterIP", "  externalIPs: [192.0.2.1]"),
        at="externalIPs",
    ),
    BadChart(
        name="takes another's host",
        rule="ingress-hosts",
        file=INGRESS,
        change=swap("{{ .Values.coopctl.host | quote }}", "bank.example.org"),
        at="host:",
    ),
    BadChart(
        name="asks another controller",
        rule="ingress-class",
        file=INGRESS,
        change=swap("{{ .Values.coopctl.ingressClass | quote }}", "nginx"),
        at="ingressClassName",
    ),
    BadChart(
        name="configures the shared controller",
        rule="ingress-annotations",
        file=INGRESS,
        change=swap("  annotations:\n", "  annotations:\n    nginx.ingress.kubernetes.io/server-snippet: deny all;\n"),
        at="server-snippet",
    ),
    BadChart(
        name="cannot be deleted",
        rule="finalizers",
        file=SERVICE,
        change=swap("metadata:\n", "metadata:\n  finalizers: [example.org/never]\n"),
        at="finalizers",
    ),
    further_object(
        "opens itself to everybody",
        "own-peers",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy",
        "spec:\n  podSelector: {}\n  ingress:\n    - {}\n",
        at="    - {}",
        also=("chart-flows",),
    ),
    further_object(
        "opens others to itself",
        "chart-flows",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy",
        "spec:\n  podSelector: {}\n  ingress:\n    - from:\n        - podSelector: {}\n",
        at="kind: NetworkPolicy",
    ),
    further_object(
        "gives tokens",
        "no-automount",
        "apiVersion: v1\nkind: ServiceAccount",
        "automountServiceAccountToken: true\n",
        at="automount",
    ),
    further_object(
        "asks for a token",
        "no-token-secrets",
        "apiVersion: v1\nkind: Secret",
        "type: kubernetes.io/service-account-token\n",
        at="type:",
    ),
    further_object(
        "goes away by itself",
        "chart-lifetime",
        "apiVersion: batch/v1\nkind: Job",
        _JOB.replace("spec:\n", "spec:\n  ttlSecondsAfterFinished: 60\n", 1),
        at="ttlSeconds",
    ),
    further_object(
        "claims too much",
        "chart-claims",
        "apiVersion: v1\nkind: PersistentVolumeClaim",
        _CLAIM.format("local", "11Gi"),
        at="storage: 11Gi",
    ),
    further_object(
        "claims another's storage",
        "storage-class",
        "apiVersion: v1\nkind: PersistentVolumeClaim",
        _CLAIM.format("other", "1Gi"),
        at="storageClassName",
    ),
    BadChart(
        name="is another each time",
        rule="chart-steady",
        file=CONFIG_MAP,
        change=swap("data:\n", "data:\n  salt: {{ randAlphaNum 16 | quote }}\n"),
        told="ConfigMap comes out otherwise each time",
    ),
    BadChart(
        name="takes a name for YAML",
        rule="chart-escaping",
        file=CONFIG_MAP,
        change=swap("data:\n", "data:\n  name: {{ .Values.coopctl.cooperative.displayName }}\n"),
    ),
    BadChart(
        name="lets a name become a field",
        rule="chart-escaping",
        file=CONFIG_MAP,
        change=swap("data:\n", "data:\n  name: [{{ .Values.coopctl.cooperative.displayName }}]\n"),
    ),
)
