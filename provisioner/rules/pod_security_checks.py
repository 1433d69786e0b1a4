"""What the controls of the Pod Security Standards look at, in version 1.35, as predicates over a pod.

Written after k8s.io/pod-security-admission v0.35, package policy; a test holds them to that module's own fixtures.
Kubernetes judges a pod after its defaults were written into it; a manifest has none yet, so they are minded here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.rules.facts import Facts
from provisioner.rules.parts import containers, items, mapping, volumes
from provisioner.rules.rule import Fault, Part

APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io"
_PROFILES = ("RuntimeDefault", "Localhost")
_DEFAULT_CAPABILITIES = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_SYSCTLS = frozenset(
    f"net.ipv4.{name}"
    for name in (
        *("ip_local_port_range", "tcp_syncookies", "ping_group_range", "ip_unprivileged_port_start"),
        *("ip_local_reserved_ports", "tcp_keepalive_time", "tcp_fin_timeout", "tcp_keepalive_intvl"),
        *("tcp_keepalive_probes", "tcp_rmem", "tcp_wmem"),
    )
) | {"kernel.shm_rmid_forced"}
_VOLUMES = frozenset(
    {
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"),
        *("projected", "secret"),
    }
)
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("postStart", "preStop")

Context = Mapping[str, Any]


def contexts(part: Part) -> Iterator[tuple[str, Context]]:
    """The security contexts of the pod and of every container, with their paths; empty ones where none is said."""
    yield f"{part.path}.securityContext", mapping(part.spec.get("securityContext"))
    yield from container_contexts(part)


def container_contexts(part: Part) -> Iterator[tuple[str, Context]]:
    """The security contexts of every container."""
    for path, container in containers(part):
        yield f"{path}.securityContext", mapping(container.get("securityContext"))


def host_namespaces(part: Part, _: Facts) -> Iterator[Fault]:
    """hostNetwork, hostPID and hostIPC are false."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if part.spec.get(field):
            yield Fault(path=f"{part.path}.{field}", message="is true")


def privileged(part: Part, _: Facts) -> Iterator[Fault]:
    """No container is privileged."""
    for path, context in container_contexts(part):
        if context.get("privileged"):
            yield Fault(path=f"{path}.privileged", message="is true")


def baseline_capabilities(part: Part, _: Facts) -> Iterator[Fault]:
    """Capabilities are added from the container runtime's default set alone."""
    yield from _added(part, allowed=_DEFAULT_CAPABILITIES)


def capabilities(part: Part, _: Facts) -> Iterator[Fault]:
    """All capabilities are dropped, and NET_BIND_SERVICE alone is added."""
    if _is_windows(part):
        return
    for path, context in container_contexts(part):
        if "ALL" not in _names(mapping(context.get("capabilities")).get("drop")):
            yield Fault(path=f"{path}.capabilities.drop", message="does not hold ALL")
    yield from _added(part, allowed=frozenset({"NET_BIND_SERVICE"}))


def _added(part: Part, *, allowed: frozenset[str]) -> Iterator[Fault]:
    for path, context in container_contexts(part):
        for name in _names(mapping(context.get("capabilities")).get("add")):
            if name not in allowed:
                yield Fault(path=f"{path}.capabilities.add", message=f"adds {name}")


def host_paths(part: Part, _: Facts) -> Iterator[Fault]:
    """No volume is a path of the node."""
    for path, volume in volumes(part):
        if volume.get("hostPath") is not None:
            yield Fault(path=f"{path}.hostPath", message="is a path of the node")


def volume_types(part: Part, _: Facts) -> Iterator[Fault]:
    """Volumes are of the kinds that cannot reach the node's or another tenant's files."""
    for path, volume in volumes(part):
        kinds = {kind for kind, value in volume.items() if kind != "name" and value is not None}
        # A volume that says nothing is an emptyDir.
        if kinds and not kinds & _VOLUMES:
            yield Fault(path=path, message=f"is a {', '.join(sorted(kinds))}")


def host_ports(part: Part, _: Facts) -> Iterator[Fault]:
    """No container listens on a port of the node."""
    for path, container in containers(part):
        for index, port in enumerate(items(container.get("ports"))):
            if port.get("hostPort"):
                yield Fault(path=f"{path}.ports[{index}].hostPort", message=f"is {port['hostPort']}")


def probe_hosts(part: Part, _: Facts) -> Iterator[Fault]:
    """Probes and lifecycle hooks, which the node itself calls, go to the pod alone."""
    for path, container in containers(part):
        lifecycle = mapping(container.get("lifecycle"))
        callers = [(f"{path}.{name}", container.get(name)) for name in _PROBES]
        callers += [(f"{path}.lifecycle.{name}", lifecycle.get(name)) for name in _HANDLERS]
        for place, caller in callers:
            for way in ("httpGet", "tcpSocket"):
                host = mapping(mapping(caller).get(way)).get("host")
                if host:
                    yield Fault(path=f"{place}.{way}.host", message=f"is {host}")


def apparmor_profile(part: Part, _: Facts) -> Iterator[Fault]:
    """AppArmor is not switched off."""
    for path, context in contexts(part):
        kind = mapping(context.get("appArmorProfile")).get("type")
        if context.get("appArmorProfile") is not None and kind not in _PROFILES:
            yield Fault(path=f"{path}.appArmorProfile.type", message=f"is {kind}")
    for key, value in mapping(part.metadata.get("annotations")).items():
        if str(key).startswith(f"{APPARMOR_ANNOTATION}/") and not _is_known_profile(str(value)):
            path = f"{part.path.removesuffix('spec')}metadata.annotations[{key!r}]"
            yield Fault(path=path, message=f"is {value}")


def _is_known_profile(profile: str) -> bool:
    return profile in {"", "runtime/default"} or profile.startswith("localhost/")


def baseline_proc_mount(part: Part, facts: Facts) -> Iterator[Fault]:
    """/proc is masked, unless the pod has users of its own."""
    if not _has_own_users(part):
        yield from proc_mount(part, facts)


def proc_mount(part: Part, _: Facts) -> Iterator[Fault]:
    """/proc is masked."""
    for path, context in container_contexts(part):
        kind = context.get("procMount")
        if kind is not None and kind != "Default":
            yield Fault(path=f"{path}.procMount", message=f"is {kind}")


def baseline_seccomp(part: Part, _: Facts) -> Iterator[Fault]:
    """Seccomp is not switched off."""
    for path, context in contexts(part):
        if context.get("seccompProfile") is not None and not _has_profile(context):
            yield Fault(path=f"{path}.seccompProfile.type", message=f"is {_seccomp(context)}")


def seccomp_profile(part: Part, facts: Facts) -> Iterator[Fault]:
    """Seccomp is switched on, by the pod or by each container."""
    if _is_windows(part):
        return
    yield from baseline_seccomp(part, facts)
    if not _has_profile(mapping(part.spec.get("securityContext"))):
        for path, context in container_contexts(part):
            if context.get("seccompProfile") is None:
                yield Fault(path=f"{path}.seccompProfile", message="is missing, and the pod says none either")


def _has_profile(context: Context) -> bool:
    return _seccomp(context) in _PROFILES


def _seccomp(context: Context) -> Any:
    return mapping(context.get("seccompProfile")).get("type")


def selinux_options(part: Part, _: Facts) -> Iterator[Fault]:
    """SELinux confines the pod as containers are confined."""
    for path, context in contexts(part):
        options = mapping(context.get("seLinuxOptions"))
        if (options.get("type") or "") not in _SELINUX_TYPES:
            yield Fault(path=f"{path}.seLinuxOptions.type", message=f"is {options['type']}")
        for field in ("user", "role"):
            if options.get(field):
                yield Fault(path=f"{path}.seLinuxOptions.{field}", message=f"is {options[field]}")


def sysctls(part: Part, _: Facts) -> Iterator[Fault]:
    """Kernel settings are of those that hold for the pod alone."""
    for index, sysctl in enumerate(items(mapping(part.spec.get("securityContext")).get("sysctls"))):
        if sysctl.get("name") not in _SYSCTLS:
            path = f"{part.path}.securityContext.sysctls[{index}]"
            yield Fault(path=path, message=f"sets {sysctl.get('name')}")


def windows_host_process(part: Part, _: Facts) -> Iterator[Fault]:
    """Nothing runs as a process of a Windows node."""
    for path, context in contexts(part):
        if mapping(context.get("windowsOptions")).get("hostProcess"):
            yield Fault(path=f"{path}.windowsOptions.hostProcess", message="is true")


def privilege_escalation(part: Part, _: Facts) -> Iterator[Fault]:
    """No process gets more rights than its parent."""
    if _is_windows(part):
        return
    for path, context in container_contexts(part):
        if context.get("allowPrivilegeEscalation") is not False:
            yield Fault(path=f"{path}.allowPrivilegeEscalation", message="is not false")


def non_root(part: Part, _: Facts) -> Iterator[Fault]:
    """Containers must be started as another user than root, unless the pod has users of its own."""
    if _has_own_users(part):
        return
    pod = mapping(part.spec.get("securityContext")).get("runAsNonRoot")
    if pod is False:
        yield Fault(path=f"{part.path}.securityContext.runAsNonRoot", message="is false")
    for path, context in container_contexts(part):
        own = context.get("runAsNonRoot")
        if own is False or (own is None and pod is not True):
            yield Fault(path=f"{path}.runAsNonRoot", message="is not true")


def root_user(part: Part, _: Facts) -> Iterator[Fault]:
    """No user 0 is chosen, unless the pod has users of its own."""
    if _has_own_users(part):
        return
    for path, context in contexts(part):
        user = context.get("runAsUser")
        if user is not None and user == 0:
            yield Fault(path=f"{path}.runAsUser", message="is 0")


def _has_own_users(part: Part) -> bool:
    """Whether the pod's root is nobody on the node (KEP-127)."""
    return part.spec.get("hostUsers") is False


def _is_windows(part: Part) -> bool:
    """Whether the pod names Windows: what it may not say then, it need not say."""
    return bool(mapping(part.spec.get("os")).get("name") == "windows")


def _names(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
