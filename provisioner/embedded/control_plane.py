"""The control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, all on loopback.

etcd has an authority of its own, so that no Kubernetes certificate opens it. Every component has its own certificate
and user; there is no anonymous access. Nothing in the cluster may be a NodePort but two reserved numbers: the policy
enforcer lets pods reach that range on the host.
"""

import base64
import hashlib
import json
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from provisioner.embedded.certificates import Authority, KeyPair, Subject, serial
from provisioner.embedded.ports import LOOPBACK
from provisioner.embedded.private_files import private_folder, write_if_changed, write_private
from provisioner.embedded.process import ProcessSpec, ReadyProbe, Surroundings

SERVICE_NETWORK = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
POD_NETWORK = "10.244.0.0/16"
CONTEXT = "coopctl-embedded"
API_SERVER = "kube-apiserver"
_SERVICE_HOSTS = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
_COMPONENTS = {
    "kube-controller-manager": Subject(name="system:kube-controller-manager"),
    "kube-scheduler": Subject(name="system:kube-scheduler"),
}
_ADMIN = Subject(name="coopctl-admin", groups=("system:masters",))


@dataclass(frozen=True, kw_only=True)
class ControlPlanePart:
    """The control plane as a part of the embedded platform; ``quick`` gives up durability of etcd (tests use it)."""

    quick: bool = False

    @property
    def name(self) -> str:
        """The name in progress lines."""
        return "control plane"

    @property
    def tools(self) -> tuple[str, ...]:
        """etcd and Kubernetes."""
        return ("etcd", API_SERVER, *_COMPONENTS)

    def prepare(self, surroundings: Surroundings) -> None:
        """Issue certificates and write kubeconfigs; renew what is near its end."""
        private_folder(surroundings.data("etcd"))
        pki = _Pki(surroundings)
        pki.issue()
        write_if_changed(surroundings.files.kubeconfig, _admin_kubeconfig(surroundings, pki))
        for component in _COMPONENTS:
            write_if_changed(_kubeconfig_of(surroundings, component), _component_kubeconfig(surroundings, component))

    def specs(self, surroundings: Surroundings) -> tuple[ProcessSpec, ...]:
        """The four processes."""
        pki = _Pki(surroundings)
        components = (
            _component(
                surroundings, pki, name="kube-controller-manager", port=surroundings.endpoints.controller_manager
            ),
            _component(surroundings, pki, name="kube-scheduler", port=surroundings.endpoints.scheduler),
        )
        return (_etcd(surroundings, pki, quick=self.quick), _api_server(surroundings, pki), *components)

    def complete(self, surroundings: Surroundings) -> None:
        """Nothing: the cluster's objects belong to the node and to the stacks."""

    def remove(self, surroundings: Surroundings) -> None:
        """Nothing outside the estate."""


def kubernetes_authority(surroundings: Surroundings) -> Authority:
    """Whoever shows a certificate of this authority is a user of the cluster."""
    return Authority(folder=surroundings.files.root / "pki" / "kubernetes")


class _Pki:
    """Every certificate of the control plane, by the name of its file."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.kubernetes = kubernetes_authority(surroundings)
        self.etcd = Authority(folder=surroundings.files.root / "pki" / "etcd")
        self.signing_key = self.kubernetes.folder / "service-accounts.key"

    def issue(self) -> None:
        """Issue all of them, or keep what still fits."""
        self.etcd.issue("server", Subject(name="etcd", hosts=("localhost",), addresses=(LOOPBACK,)))
        self.etcd.issue("client", Subject(name="kube-apiserver"))
        served = Subject(
            name="kube-apiserver", hosts=("localhost", *_SERVICE_HOSTS), addresses=(LOOPBACK, SERVICE_ADDRESS)
        )
        self.kubernetes.issue("api-server", served)
        # The API server as a client of kubelets (exec, logs).
        self.kubernetes.issue(
            "kubelet-client", Subject(name="kube-apiserver-kubelet-client", groups=("system:masters",))
        )
        self.kubernetes.issue("admin", _ADMIN)
        for component, subject in _COMPONENTS.items():
            served_by = Subject(name=subject.name, hosts=("localhost",), addresses=(LOOPBACK,))
            self.kubernetes.issue(component, served_by)
        if not self.signing_key.exists():
            write_private(self.signing_key, _new_signing_key())


def _etcd(surroundings: Surroundings, pki: _Pki, *, quick: bool) -> ProcessSpec:
    client, peer = surroundings.endpoints.etcd_client, surroundings.endpoints.etcd_peer
    server = pki.etcd.pair_of("server")
    authority = pki.etcd.pair.certificate
    flags = {
        "name": "coopctl",
        "data-dir": surroundings.data("etcd") / "member",
        "listen-client-urls": _url(client),
        "advertise-client-urls": _url(client),
        "listen-peer-urls": _url(peer),
        "initial-advertise-peer-urls": _url(peer),
        "initial-cluster": f"coopctl={_url(peer)}",
        "cert-file": server.certificate,
        "key-file": server.key,
        "trusted-ca-file": authority,
        "client-cert-auth": "true",
        "peer-cert-file": server.certificate,
        "peer-key-file": server.key,
        "peer-trusted-ca-file": authority,
        "peer-client-cert-auth": "true",
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "1h",
        "quota-backend-bytes": 2 * 1024**3,
        "log-level": "warn",
        **({"unsafe-no-fsync": "true"} if quick else {}),
    }
    return ProcessSpec(
        name="etcd",
        argv=(str(surroundings.tools["etcd"]), *_flags(flags)),
        log=surroundings.logs / "etcd.log",
        ready=_healthy(f"{_url(client)}/health", authority=pki.etcd, pair=pki.etcd.pair_of("client")),
        ports=(client, peer),
        stop_timeout_seconds=10.0,
        fingerprint=_fingerprint(server, pki.etcd.pair),
    )


def _api_server(surroundings: Surroundings, pki: _Pki) -> ProcessSpec:
    endpoints = surroundings.endpoints
    own, kubelet_client = pki.kubernetes.pair_of("api-server"), pki.kubernetes.pair_of("kubelet-client")
    etcd_client = pki.etcd.pair_of("client")
    authority = pki.kubernetes.pair
    return ProcessSpec(
        name=API_SERVER,
        argv=(str(surroundings.tools[API_SERVER]), *_flags(_api_server_flags(surroundings, pki))),
        log=surroundings.logs / f"{API_SERVER}.log",
        ready=_healthy(
            f"{_url(endpoints.api_server)}/readyz", authority=pki.kubernetes, pair=pki.kubernetes.pair_of("admin")
        ),
        depends_on=("etcd",),
        ports=(endpoints.api_server,),
        stop_timeout_seconds=10.0,
        fingerprint=_fingerprint(own, authority, kubelet_client, etcd_client, pki.etcd.pair),
    )


def _api_server_flags(surroundings: Surroundings, pki: _Pki) -> Mapping[str, object]:
    own, kubelet_client = pki.kubernetes.pair_of("api-server"), pki.kubernetes.pair_of("kubelet-client")
    etcd_client = pki.etcd.pair_of("client")
    authority = pki.kubernetes.pair
    return {
        "bind-address": LOOPBACK,
        "secure-port": surroundings.endpoints.api_server,
        "advertise-address": LOOPBACK,
        "endpoint-reconciler-type": "none",
        "etcd-servers": _url(surroundings.endpoints.etcd_client),
        "etcd-cafile": pki.etcd.pair.certificate,
        "etcd-certfile": etcd_client.certificate,
        "etcd-keyfile": etcd_client.key,
        "tls-cert-file": own.certificate,
        "tls-private-key-file": own.key,
        "client-ca-file": authority.certificate,
        # The node's name is not known to any DNS.
        "kubelet-preferred-address-types": "InternalIP",
        "kubelet-certificate-authority": authority.certificate,
        "kubelet-client-certificate": kubelet_client.certificate,
        "kubelet-client-key": kubelet_client.key,
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki.signing_key,
        "service-account-signing-key-file": pki.signing_key,
        "service-cluster-ip-range": SERVICE_NETWORK,
        "service-node-port-range": "32766-32767",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "anonymous-auth": "false",
        "profiling": "false",
    }


def _component(surroundings: Surroundings, pki: _Pki, *, name: str, port: int) -> ProcessSpec:
    own = pki.kubernetes.pair_of(name)
    kubeconfig = _kubeconfig_of(surroundings, name)
    flags = {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": LOOPBACK,
        "secure-port": port,
        "tls-cert-file": own.certificate,
        "tls-private-key-file": own.key,
        "client-ca-file": pki.kubernetes.pair.certificate,
        "leader-elect": "false",
        "profiling": "false",
        **(_controller_flags(pki) if name == "kube-controller-manager" else {}),
    }
    return ProcessSpec(
        name=name,
        argv=(str(surroundings.tools[name]), *_flags(flags)),
        log=surroundings.logs / f"{name}.log",
        ready=_healthy(f"{_url(port)}/healthz", authority=pki.kubernetes, pair=pki.kubernetes.pair_of("admin")),
        depends_on=(API_SERVER,),
        ports=(port,),
        stop_timeout_seconds=10.0,
        fingerprint=_fingerprint(own, pki.kubernetes.pair),
    )


def _controller_flags(pki: _Pki) -> Mapping[str, object]:
    return {
        "root-ca-file": pki.kubernetes.pair.certificate,
        "service-account-private-key-file": pki.signing_key,
        "use-service-account-credentials": "true",
        "cluster-signing-cert-file": pki.kubernetes.pair.certificate,
        "cluster-signing-key-file": pki.kubernetes.pair.key,
        "allocate-node-cidrs": "true",
        "cluster-cidr": POD_NETWORK,
        "service-cluster-ip-range": SERVICE_NETWORK,
    }


def _admin_kubeconfig(surroundings: Surroundings, pki: _Pki) -> str:
    return kubeconfig(surroundings, pair=pki.kubernetes.pair_of("admin"))


def _component_kubeconfig(surroundings: Surroundings, name: str) -> str:
    return kubeconfig(surroundings, pair=kubernetes_authority(surroundings).pair_of(name))


def kubeconfig(surroundings: Surroundings, *, pair: KeyPair) -> str:
    """A kubeconfig (JSON, which is YAML) for the user whom ``pair`` names.

    The user's certificate is given by path: a renewed one is taken without writing the kubeconfig again. The
    authority's is inside, so that a cluster that was made anew at the same address shows as another one: what was
    applied to the old one is not taken for granted then.
    """
    authority = base64.b64encode(kubernetes_authority(surroundings).pair.certificate.read_bytes()).decode()
    cluster = {"server": _url(surroundings.endpoints.api_server), "certificate-authority-data": authority}
    user = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": cluster}],
            "users": [{"name": CONTEXT, "user": user}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
            "current-context": CONTEXT,
        },
        indent=2,
    )


def _kubeconfig_of(surroundings: Surroundings, name: str) -> Path:
    return surroundings.files.root / "kubeconfigs" / name


def _healthy(url: str, *, authority: Authority, pair: KeyPair) -> ReadyProbe:
    return ReadyProbe(description=url, check=lambda: _answers(url, authority=authority, pair=pair))


def _answers(url: str, *, authority: Authority, pair: KeyPair) -> bool:
    try:
        context = ssl.create_default_context(cafile=str(authority.pair.certificate))
        context.load_cert_chain(pair.certificate, pair.key)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(url, timeout=1) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def _new_signing_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    # PKCS #8 is refused where a public key is read from this file.
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _flags(flags: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]


def _url(port: int) -> str:
    return f"https://{LOOPBACK}:{port}"


def _fingerprint(*pairs: KeyPair) -> str:
    return hashlib.sha256("\0".join(serial(pair) for pair in pairs).encode()).hexdigest()
