"""Bad charts whose pods no rule would let pass."""

from tests.bad_charts.changing import DEPLOYMENT, IMAGE, BadChart, swap
from tests.unit.plan.builders import FAKE_DIGEST

_SECURITY = "            allowPrivilegeEscalation: false\n"
_LABELS = "      labels:"


def pod_line(name: str, rule: str, line: str) -> BadChart:
    """A line more in the pod's spec."""
    after = "      enableServiceLinks: false\n"
    return deployment(name, rule, after, f"{after}      {line}\n", at=line.partition(":")[0])


def deployment(name: str, rule: str, old: str, new: str, *, at: str, also: tuple[str, ...] = ()) -> BadChart:
    """A change of the Deployment's template."""
    return BadChart(name=name, rule=rule, file=DEPLOYMENT, change=swap(old, new), at=at, also=also)


PODS = (
    pod_line("shares the node's network", "host-namespaces", "hostNetwork: true"),
    pod_line("names its node", "node-name", "nodeName: node-1"),
    pod_line("tolerates every taint", "tolerations", "tolerations: [{operator: Exists}]"),
    pod_line("asks a scheduler of its own", "scheduler", "schedulerName: other"),
    pod_line("asks for a runtime of its own", "runtime-class", "runtimeClassName: other"),
    pod_line("asks for devices", "resource-kinds", "resourceClaims: [{name: gpu}]"),
    deployment(
        "is privileged", "privileged", _SECURITY, f"{_SECURITY}            privileged: true\n", at="privileged:"
    ),
    deployment("may gain rights", "privilege-escalation", "Escalation: false", "Escalation: true", at="allowPrivilege"),
    deployment("may be root", "non-root", "        runAsNonRoot: true\n", "", at="          securityContext:"),
    deployment("is root", "root-user", "runAsUser: 65532", "runAsUser: 0", at="runAsUser: 0"),
    deployment(
        "has no seccomp",
        "seccomp-profile",
        "        seccompProfile:\n          type: RuntimeDefault\n",
        "",
        at="          securityContext:",
    ),
    deployment("keeps capabilities", "capabilities", "- ALL", "- CHOWN", at="drop:"),
    deployment(
        "takes a port of the node",
        "host-ports",
        "containerPort: 8080\n",
        "containerPort: 8080\n              hostPort: 80\n",
        at="hostPort",
    ),
    deployment(
        "mounts the node's files",
        "volume-types",
        "emptyDir:\n            sizeLimit: 8Mi",
        "hostPath:\n            path: /etc",
        at="hostPath",
    ),
    deployment("holds a token", "api-token", "Token: false", "Token: true", at="automountServiceAccountToken"),
    deployment(
        "pushes others away",
        "priority-class",
        "{{ .Values.coopctl.priorityClass }}",
        "system-node-critical",
        at="priorityClassName",
    ),
    deployment(
        "is latest", "image-digest", IMAGE, "image: 127.0.0.1:15000/web:latest", at="image:", also=("chart-images",)
    ),
    deployment(
        "is from elsewhere",
        "image-registry",
        IMAGE,
        f"image: registry.example.org/web@{FAKE_DIGEST}",
        at="image:",
        also=("chart-images",),
    ),
    deployment("names its own image", "chart-images", IMAGE, f"image: 127.0.0.1:15000/web@{FAKE_DIGEST}", at="image:"),
    deployment("takes what the node has", "image-pull", "Policy: Always", "Policy: IfNotPresent", at="imagePullPolicy"),
    deployment("is never asked if it is ready", "chart-probes", "readinessProbe:", "startupProbe:", at="- name: web"),
    deployment("is never asked if it lives", "chart-probes", "livenessProbe:", "startupProbe:", at="- name: web"),
    deployment(
        "limits nothing",
        "chart-resources",
        "{{- toYaml .Values.resources | nindent 12 }}",
        "requests: {{ toJson .Values.resources.requests }}",
        at="          resources:",
    ),
    deployment(
        "bears the platform's labels",
        "template-labels",
        '{{- include "portal.selector" . | nindent 8 }}',
        '{{- include "portal.labels" . | nindent 8 }}',
        at=_LABELS,
    ),
    deployment(
        "bears no solution's label",
        "chart-pods",
        "        {{- toYaml .Values.coopctl.podLabels | nindent 8 }}\n",
        "",
        at=_LABELS,
    ),
    deployment(
        "passes for another solution",
        "chart-pods",
        "{{- toYaml .Values.coopctl.podLabels | nindent 8 }}",
        "coopctl.dev/solution: ledger",
        at=_LABELS,
    ),
    BadChart(
        name="wants too much",
        rule="chart-limits",
        file="values.yaml",
        change=swap("limits: {cpu: 100m, memory: 64Mi", "limits: {cpu: 100m, memory: 3Gi"),
        told_in=DEPLOYMENT,
        at="          resources:",
        told="is 3Gi, and the smallest size that it is for allows 2Gi",
    ),
    BadChart(
        name="wants far more than it asks for",
        rule="chart-limits",
        file="values.yaml",
        change=swap("limits: {cpu: 100m", 'limits: {cpu: "1"'),
        told_in=DEPLOYMENT,
        at="          resources:",
        told="is 1, more than 10 times the request",
    ),
)
