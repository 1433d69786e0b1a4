"""Pure: changes of a pod that break one control of the Pod Security Standards (`restricted`, 1.35) each."""

from collections.abc import Mapping
from types import MappingProxyType

from provisioner.proof.changing import FOREIGN_ADDRESS, PodFlaw, both, in_container, in_context, in_spec, volume

POD_SECURITY_FLAWS: Mapping[str, tuple[PodFlaw, ...]] = MappingProxyType(
    {
        "host-namespaces": (
            PodFlaw(what="the node's network", change=in_spec("hostNetwork", value=True)),
            PodFlaw(what="the node's processes", change=in_spec("hostPID", value=True)),
            PodFlaw(what="the node's shared memory", change=in_spec("hostIPC", value=True)),
        ),
        "privileged": (
            PodFlaw(
                what="a privileged container",
                # The API server takes no privileged container that may not escalate.
                change=in_container("securityContext", value={"privileged": True, "capabilities": {"drop": ["ALL"]}}),
                also=("privilege-escalation",),
            ),
        ),
        "host-ports": (
            PodFlaw(
                what="a port of the node", change=in_container("ports", value=[{"containerPort": 80, "hostPort": 80}])
            ),
        ),
        "probe-hosts": (
            PodFlaw(
                what="a probe of somebody else",
                change=in_container("livenessProbe", value={"tcpSocket": {"host": FOREIGN_ADDRESS, "port": 80}}),
            ),
        ),
        "apparmor-profile": (
            PodFlaw(what="no AppArmor", change=in_context("appArmorProfile", value={"type": "Unconfined"})),
        ),
        "selinux-options": (
            PodFlaw(what="another SELinux type", change=in_context("seLinuxOptions", value={"type": "spc_t"})),
        ),
        "sysctls": (
            PodFlaw(
                what="a kernel setting of the node",
                change=in_spec("securityContext", "sysctls", value=[{"name": "kernel.msgmax", "value": "1"}]),
            ),
        ),
        "windows-host-process": (
            PodFlaw(
                what="a process of a Windows node",
                change=both(
                    in_spec("securityContext", "windowsOptions", value={"hostProcess": True}),
                    in_spec("hostNetwork", value=True),
                ),
                also=("host-namespaces",),
            ),
        ),
        "capabilities": (
            PodFlaw(
                what="the capability NET_RAW",
                change=in_context("capabilities", value={"drop": ["ALL"], "add": ["NET_RAW"]}),
            ),
            PodFlaw(what="all capabilities kept", change=in_context("capabilities", value={})),
        ),
        "volume-types": (
            PodFlaw(what="a path of the node", change=volume({"hostPath": {"path": "/"}})),
            PodFlaw(what="a share of any server", change=volume({"nfs": {"server": FOREIGN_ADDRESS, "path": "/"}})),
        ),
        "proc-mount": (
            PodFlaw(
                what="all of /proc",
                # The API server takes it for pods with users of their own only.
                change=both(in_context("procMount", value="Unmasked"), in_spec("hostUsers", value=False)),
            ),
        ),
        "seccomp-profile": (
            PodFlaw(
                what="no seccomp", change=in_spec("securityContext", "seccompProfile", value={"type": "Unconfined"})
            ),
        ),
        "privilege-escalation": (
            PodFlaw(what="rights that may grow", change=in_context("allowPrivilegeEscalation", value=True)),
        ),
        "non-root": (
            PodFlaw(what="leave to run as root", change=in_spec("securityContext", "runAsNonRoot", value=False)),
        ),
        "root-user": (PodFlaw(what="user 0", change=in_context("runAsUser", value=0)),),
    }
)
