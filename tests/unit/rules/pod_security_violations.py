"""Violations of the Pod Security Standards: each a change of one field of an accepted pod.

The upstream fixtures are tried beside them; these start from a pod that all our rules accept.
"""

from tests.unit.rules.changes import Violation, adding, removing, setting, setting_key

_MAIN = "spec.containers.0"
_CONTEXT = f"{_MAIN}.securityContext"
_POD = "spec.securityContext"

POD_SECURITY = (
    *(
        Violation(rule="host-namespaces", what=field, change=setting(f"spec.{field}", True))
        for field in ("hostNetwork", "hostPID", "hostIPC")
    ),
    Violation(
        rule="privileged",
        what="a container",
        change=setting(_CONTEXT, {"privileged": True, "capabilities": {"drop": ["ALL"]}}),
        # A privileged container cannot even say that it gets no more rights.
        also=("privilege-escalation",),
    ),
    Violation(
        rule="host-ports", what="a port", change=setting(f"{_MAIN}.ports", [{"containerPort": 80, "hostPort": 80}])
    ),
    Violation(
        rule="probe-hosts",
        what="the metadata service",
        change=setting(f"{_MAIN}.livenessProbe", {"httpGet": {"host": "169.254.169.254", "port": 80}}),
    ),
    Violation(
        rule="probe-hosts",
        what="in a hook",
        change=setting(f"{_MAIN}.lifecycle", {"preStop": {"httpGet": {"host": "10.244.0.1", "port": 80}}}),
    ),
    Violation(rule="apparmor-profile", what="off", change=setting(f"{_POD}.appArmorProfile", {"type": "Unconfined"})),
    Violation(
        rule="apparmor-profile",
        what="off in a container",
        change=setting(f"{_CONTEXT}.appArmorProfile", {"type": "Unconfined"}),
    ),
    Violation(rule="selinux-options", what="a type", change=setting(f"{_POD}.seLinuxOptions", {"type": "spc_t"})),
    Violation(
        rule="selinux-options", what="a user", change=setting(f"{_CONTEXT}.seLinuxOptions", {"user": "system_u"})
    ),
    Violation(
        rule="sysctls",
        what="the kernel's",
        change=setting(f"{_POD}.sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
    ),
    Violation(rule="capabilities", what="nothing dropped", change=removing(f"{_CONTEXT}.capabilities")),
    Violation(
        rule="capabilities",
        what="one added",
        change=setting(f"{_CONTEXT}.capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    ),
    Violation(
        rule="capabilities",
        what="in an init container",
        change=setting("spec.initContainers.0.securityContext.capabilities.drop", ["NET_RAW"]),
    ),
    Violation(
        rule="volume-types", what="hostPath", change=adding("spec.volumes", {"name": "h", "hostPath": {"path": "/"}})
    ),
    Violation(
        rule="volume-types",
        what="nfs",
        change=adding("spec.volumes", {"name": "n", "nfs": {"server": "10.0.0.1", "path": "/"}}),
    ),
    Violation(rule="seccomp-profile", what="none", change=removing(f"{_POD}.seccompProfile")),
    Violation(rule="seccomp-profile", what="off", change=setting(f"{_CONTEXT}.seccompProfile", {"type": "Unconfined"})),
    Violation(
        rule="privilege-escalation", what="nothing said", change=removing(f"{_CONTEXT}.allowPrivilegeEscalation")
    ),
    Violation(rule="privilege-escalation", what="true", change=setting(f"{_CONTEXT}.allowPrivilegeEscalation", True)),
    Violation(rule="non-root", what="nothing said", change=removing(f"{_POD}.runAsNonRoot")),
    Violation(rule="non-root", what="false", change=setting(f"{_CONTEXT}.runAsNonRoot", False)),
    Violation(rule="root-user", what="0", change=setting(f"{_CONTEXT}.runAsUser", 0)),
)
"""For a pod; in templates the cluster does not judge them."""

# The API server cannot be asked for these as they stand: it knows better ways, or features that are off.
NOT_IN_CLUSTER = (
    Violation(
        rule="apparmor-profile",
        what="by annotation",
        change=setting_key("metadata.annotations", "container.apparmor.security.beta.kubernetes.io/main", "unconfined"),
        in_cluster=False,
    ),
    Violation(
        rule="proc-mount", what="unmasked", change=setting(f"{_CONTEXT}.procMount", "Unmasked"), in_cluster=False
    ),
    Violation(
        rule="windows-host-process",
        what="a pod",
        change=setting(f"{_POD}.windowsOptions", {"hostProcess": True}),
        in_cluster=False,
    ),
)
