"""The Pod Security Standards, version 1.35, as rules: one for each control.

In the cluster Kubernetes' own admission plugin enforces them (labels of the Namespace), but on pods alone; here they
are judged on templates and before anything is applied. ``BASELINE`` and ``RESTRICTED`` are complete levels: where
`restricted` has a stricter form of a control, it takes the place of the milder one, as in Kubernetes.
"""

from provisioner.rules import pod_security_checks as checks
from provisioner.rules.rule import Enforcement, Judge, Rule, Severity, Subject

VERSION = "v1.35"
_STANDARDS = "Kubernetes documentation, Pod Security Standards"
_NODE = "it would reach the node, and every tenant's pods on it"


def _control(
    name: str, *, level: str, title: str, severity: Severity, reason: str, remedy: str, judge: Judge, also: str = ""
) -> Rule:
    """A rule for one control; ``also`` is a further source."""
    return Rule(
        id=name,
        title=title,
        severity=severity,
        subject=Subject.PODS,
        reason=reason,
        sources=(f"{_STANDARDS}, {level} ({VERSION})", *((also,) if also else ())),
        remedy=remedy,
        judge=judge,
        enforcement=Enforcement.POD_SECURITY,
    )


_BOTH = (
    _control(
        "host-namespaces",
        level="Baseline",
        title="pods share no namespace with the node",
        severity=Severity.CRITICAL,
        reason="the node's network is beyond every network policy, and its processes are everybody's",
        remedy="leave hostNetwork, hostPID and hostIPC out",
        judge=checks.host_namespaces,
        also="kubectl-mtb MTB-PL1-BC-HI-3, HI-4, HI-5",
    ),
    _control(
        "privileged",
        level="Baseline",
        title="containers are not privileged",
        severity=Severity.CRITICAL,
        reason=f"a privileged container has the node's devices: {_NODE}",
        remedy="leave privileged out",
        judge=checks.privileged,
        also="kubectl-mtb MTB-PL1-BC-CPI-5",
    ),
    _control(
        "host-ports",
        level="Baseline",
        title="containers take no ports of the node",
        severity=Severity.HIGH,
        reason="a port of the node goes around the ingress and its network policies",
        remedy="leave hostPort out; people reach a solution through its Ingress",
        judge=checks.host_ports,
        also="kubectl-mtb MTB-PL1-BC-HI-3",
    ),
    _control(
        "probe-hosts",
        level="Baseline",
        title="probes and lifecycle hooks call the pod itself",
        severity=Severity.HIGH,
        reason="the node makes these calls, so that no network policy of the tenant holds for them",
        remedy="leave host out of httpGet and tcpSocket",
        judge=checks.probe_hosts,
    ),
    _control(
        "apparmor-profile",
        level="Baseline",
        title="AppArmor stays on",
        severity=Severity.HIGH,
        reason="an unconfined container is one mistake of the kernel away from the node",
        remedy="leave appArmorProfile out, or say RuntimeDefault",
        judge=checks.apparmor_profile,
    ),
    _control(
        "selinux-options",
        level="Baseline",
        title="SELinux confines containers as usual",
        severity=Severity.HIGH,
        reason="another type, user or role may be one that is not confined",
        remedy="leave seLinuxOptions out",
        judge=checks.selinux_options,
    ),
    _control(
        "sysctls",
        level="Baseline",
        title="kernel settings are the pod's own",
        severity=Severity.HIGH,
        reason="other settings hold for all pods of the node",
        remedy="leave sysctls out but those that the standard calls safe",
        judge=checks.sysctls,
    ),
    _control(
        "windows-host-process",
        level="Baseline",
        title="nothing runs as a process of a Windows node",
        severity=Severity.CRITICAL,
        reason=f"such a process is not contained: {_NODE}",
        remedy="leave windowsOptions.hostProcess out",
        judge=checks.windows_host_process,
    ),
)
_BASELINE_ALONE = (
    _control(
        "baseline-capabilities",
        level="Baseline",
        title="capabilities are added from the default set alone",
        severity=Severity.HIGH,
        reason="other capabilities are rights of the node's root",
        remedy="leave capabilities.add out",
        judge=checks.baseline_capabilities,
    ),
    _control(
        "host-paths",
        level="Baseline",
        title="no volume is a path of the node",
        severity=Severity.CRITICAL,
        reason="the node's files hold every tenant's",
        remedy="use a PersistentVolumeClaim or an emptyDir",
        judge=checks.host_paths,
    ),
    _control(
        "baseline-proc-mount",
        level="Baseline",
        title="/proc is masked, unless the pod has users of its own",
        severity=Severity.HIGH,
        reason="an unmasked /proc tells about the node and lets its kernel be set",
        remedy="leave procMount out",
        judge=checks.baseline_proc_mount,
    ),
    _control(
        "baseline-seccomp",
        level="Baseline",
        title="seccomp is not switched off",
        severity=Severity.HIGH,
        reason="a container that may make every system call meets every mistake of the kernel",
        remedy="say seccompProfile: {type: RuntimeDefault}",
        judge=checks.baseline_seccomp,
    ),
)
_RESTRICTED_ALONE = (
    _control(
        "capabilities",
        level="Restricted",
        title="containers drop all capabilities",
        severity=Severity.HIGH,
        reason="capabilities are parts of root's rights; a solution needs none, or NET_BIND_SERVICE",
        remedy="say capabilities: {drop: [ALL]}, and add nothing but NET_BIND_SERVICE",
        judge=checks.capabilities,
        also="kubectl-mtb MTB-PL1-BC-CPI-3",
    ),
    _control(
        "volume-types",
        level="Restricted",
        title="volumes are of the kinds that stay within the tenant",
        severity=Severity.CRITICAL,
        reason="a path of the node holds every tenant's files; inline storage reaches any server it names",
        remedy="use configMap, secret, projected, downwardAPI, emptyDir, image or a PersistentVolumeClaim",
        judge=checks.volume_types,
        also="kubectl-mtb MTB-PL1-BC-HI-1",
    ),
    _control(
        "proc-mount",
        level="Restricted",
        title="/proc is masked",
        severity=Severity.HIGH,
        reason="an unmasked /proc tells about the node and lets its kernel be set",
        remedy="leave procMount out",
        judge=checks.proc_mount,
    ),
    _control(
        "seccomp-profile",
        level="Restricted",
        title="seccomp is switched on",
        severity=Severity.HIGH,
        reason="a container that may make every system call meets every mistake of the kernel",
        remedy="say securityContext: {seccompProfile: {type: RuntimeDefault}} for the pod",
        judge=checks.seccomp_profile,
    ),
    _control(
        "privilege-escalation",
        level="Restricted",
        title="no process gets more rights than its parent",
        severity=Severity.HIGH,
        reason="a set-user-ID program in an image would make its caller root",
        remedy="say allowPrivilegeEscalation: false for each container",
        judge=checks.privilege_escalation,
        also="kubectl-mtb MTB-PL1-BC-CPI-6",
    ),
    _control(
        "non-root",
        level="Restricted",
        title="containers do not start as root",
        severity=Severity.HIGH,
        reason="root in a container is root on the node as soon as it gets out",
        remedy="say securityContext: {runAsNonRoot: true} for the pod",
        judge=checks.non_root,
        also="kubectl-mtb MTB-PL1-BC-CPI-4",
    ),
    _control(
        "root-user",
        level="Restricted",
        title="no container chooses user 0",
        severity=Severity.HIGH,
        reason="root in a container is root on the node as soon as it gets out",
        remedy="leave runAsUser out, or choose another user",
        judge=checks.root_user,
        also="kubectl-mtb MTB-PL1-BC-CPI-4",
    ),
)

BASELINE = (*_BOTH, *_BASELINE_ALONE)
RESTRICTED = (*_BOTH, *_RESTRICTED_ALONE)
