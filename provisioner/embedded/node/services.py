"""Service addresses and cluster DNS: kube-proxy and CoreDNS, both processes of the host."""

import socket

from provisioner.descriptor.endpoints import BRIDGE_ADDRESS
from provisioner.embedded.control_plane import CONTEXT
from provisioner.embedded.node import cluster
from provisioner.embedded.node.commands import attempt
from provisioner.embedded.node.layout import CLUSTER_DOMAIN, NODE_NAME, POD_NETWORK, NodeFiles
from provisioner.embedded.process import ProcessSpec, ReadyProbe, Surroundings

PROXY = "kube-proxy"
DNS = "coredns"
PROXY_TABLES = ("ip", "ip6")
_QUERY_ID = 0x636F


def proxy_process(surroundings: Surroundings, files: NodeFiles, *, fingerprint: str) -> ProcessSpec:
    """kube-proxy in nftables mode: its own table, because in iptables mode it races with kube-router."""
    return ProcessSpec(
        name=PROXY,
        argv=(
            str(surroundings.tools["kube-proxy"]),
            f"--kubeconfig={files.kubeconfig(PROXY)}",
            f"--hostname-override={NODE_NAME}",
            "--proxy-mode=nftables",
            "--detect-local-mode=ClusterCIDR",
            f"--cluster-cidr={POD_NETWORK}",
            "--nodeport-addresses=primary",
            # No health check: an empty address would listen at every one.
            "--healthz-port=0",
            "--metrics-bind-address=",
            # The machine's connection tracking stays as it is.
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ),
        log=surroundings.logs / f"{PROXY}.log",
        ready=ReadyProbe(description="its nftables table", check=_proxy_ready),
        depends_on=("kubelet",),
        fingerprint=fingerprint,
    )


def _proxy_ready() -> bool:
    return "chain services" in attempt(["nft", "list", "chain", "ip", "kube-proxy", "services"]).stdout


def remove_proxy_rules() -> None:
    """Take kube-proxy's tables away; nothing when there are none."""
    for family in PROXY_TABLES:
        attempt(["nft", "delete", "table", family, "kube-proxy"])


def corefile(files: NodeFiles) -> str:
    """CoreDNS's configuration: the cluster's names, and NXDOMAIN for all others.

    Names of the outside world are not resolved on purpose: an embedded platform must behave the same without a
    network. Two server blocks, because ``template`` comes before ``kubernetes`` in the chain of plugins.
    """
    kubeconfig = files.kubeconfig(DNS)
    return f"""{CLUSTER_DOMAIN}:53 10.in-addr.arpa:53 {{
    bind {BRIDGE_ADDRESS}
    errors
    kubernetes {{
        kubeconfig "{kubeconfig}" {CONTEXT}
        ttl 2
    }}
}}
.:53 {{
    bind {BRIDGE_ADDRESS}
    errors
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""


def dns_process(surroundings: Surroundings, files: NodeFiles, *, fingerprint: str) -> ProcessSpec:
    """CoreDNS's process on the bridge's address, port 53."""
    return ProcessSpec(
        name=DNS,
        argv=(str(surroundings.tools["coredns"]), "-conf", str(files.corefile)),
        log=surroundings.logs / f"{DNS}.log",
        ready=ReadyProbe(description="an answer for the name of the API server's Service", check=dns_answers),
        depends_on=("kube-apiserver",),
        fingerprint=fingerprint,
        # CoreDNS is the first that needs rights of ours; all others wait for it.
        before_start=lambda: cluster.apply_objects(cluster.cluster_objects(), kubeconfig=surroundings.files.kubeconfig),
    )


def dns_answers(*, address: str = BRIDGE_ADDRESS, timeout_seconds: float = 0.5) -> bool:
    """Whether the cluster's DNS knows the Service ``kubernetes``, which every cluster has."""
    name = f"kubernetes.default.svc.{CLUSTER_DOMAIN}"
    labels = b"".join(len(label).to_bytes(1) + label.encode() for label in name.split("."))
    # RFC 1035, 4.1: header (id, recursion desired, one question), question (name, type A, class IN).
    query = _QUERY_ID.to_bytes(2) + bytes.fromhex("01000001000000000000") + labels + bytes.fromhex("0000010001")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout_seconds)
        try:
            client.sendto(query, (address, 53))
            answer = client.recv(512)
        except OSError:
            return False
    no_error, answers = answer[3] & 0x0F == 0, int.from_bytes(answer[6:8])
    return answer[:2] == query[:2] and no_error and answers > 0
