"""Rules for what opens a tenant to the outside or to its neighbours: Services, Ingresses, NetworkPolicies."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.naming import API_GROUP
from provisioner.rules.facts import Facts
from provisioner.rules.parts import items, mapping
from provisioner.rules.rule import Fault, Part, Rule, Severity, Subject

LABEL_NAMESPACE = "kubernetes.io/metadata.name"
# Prefixes of annotations that no ingress controller reads.
SAFE_PREFIXES = (API_GROUP, "kubectl.kubernetes.io", "meta.helm.sh", "pulumi.com")
# What an annotation of an ingress controller may say, and how: other names and other text can be configuration.
HARMLESS = ("proxy-body-size", "proxy-read-timeout", "proxy-send-timeout", "ssl-redirect", "force-ssl-redirect")
_HARMLESS_VALUE = "[0-9]{1,6}[a-zA-Z]?|true|false"
# What a path needs and no controller's configuration gives a meaning of its own (RFC 3986: unreserved, and some more).
_PATH = "/[A-Za-z0-9/._~@:+,=-]*"
_PUBLISHING = "external-dns"
# Read by a Prometheus, of the very Service that they stand on.
_SCRAPED = "prometheus.io"
_MULTI_TENANCY = "Kubernetes documentation, Multi-tenancy, Network isolation"


def _service_type(part: Part, _: Facts) -> Iterator[Fault]:
    kind = part.spec.get("type", "ClusterIP")
    if kind != "ClusterIP":
        yield Fault(path="spec.type", message=f"is {kind}")


def _external_addresses(part: Part, _: Facts) -> Iterator[Fault]:
    for field in ("externalIPs", "loadBalancerIP", "externalName"):
        if part.spec.get(field):
            yield Fault(path=f"spec.{field}", message="takes addresses that are not the tenant's")


def _ingress_hosts(part: Part, facts: Facts) -> Iterator[Fault]:
    for index, rule in enumerate(items(part.spec.get("rules"))):
        yield from _host(rule.get("host"), path=f"spec.rules[{index}].host", domain=facts.domain)
    for index, tls in enumerate(items(part.spec.get("tls"))):
        hosts = tls.get("hosts")
        for place, host in enumerate(hosts if isinstance(hosts, list) else []):
            yield from _host(host, path=f"spec.tls[{index}].hosts[{place}]", domain=facts.domain)


def _host(host: Any, *, path: str, domain: str) -> Iterator[Fault]:
    if not host or not (host == domain or str(host).endswith(f".{domain}")):
        yield Fault(path=path, message=f"{host!r} is not below the tenant's domain {domain}")


def _ingress_backends(part: Part, _: Facts) -> Iterator[Fault]:
    if part.spec.get("defaultBackend"):
        yield Fault(path="spec.defaultBackend", message="answers for every host that nobody else claims")
    for index, rule in enumerate(items(part.spec.get("rules"))):
        for place, route in enumerate(items(mapping(rule.get("http")).get("paths"))):
            if "resource" in mapping(route.get("backend")):
                yield Fault(path=f"spec.rules[{index}].http.paths[{place}].backend", message="is not a Service")


def _ingress_paths(part: Part, _: Facts) -> Iterator[Fault]:
    for index, rule in enumerate(items(part.spec.get("rules"))):
        for place, route in enumerate(items(mapping(rule.get("http")).get("paths"))):
            path = route.get("path")
            if path and not re.fullmatch(_PATH, str(path)):
                yield Fault(path=f"spec.rules[{index}].http.paths[{place}].path", message=f"is {path!r}")


def _ingress_class(part: Part, facts: Facts) -> Iterator[Fault]:
    name = part.spec.get("ingressClassName")
    if name != facts.ingress_class:
        yield Fault(path="spec.ingressClassName", message=f"is {name!r}, not {facts.ingress_class!r}")


def _ingress_annotations(part: Part, _: Facts) -> Iterator[Fault]:
    for key, value in mapping(part.metadata.get("annotations")).items():
        if not _is_harmless(str(key), value=str(value)):
            yield Fault(path=f"metadata.annotations[{key!r}]", message="is configuration of the shared controller")


def _is_harmless(key: str, *, value: str) -> bool:
    prefix, slash, name = key.partition("/")
    if not slash or prefix in SAFE_PREFIXES:
        return True
    return "ingress" in prefix and name in HARMLESS and re.fullmatch(_HARMLESS_VALUE, value) is not None


def _published_names(part: Part, _: Facts) -> Iterator[Fault]:
    for key in mapping(part.metadata.get("annotations")):
        if _PUBLISHING in str(key):
            yield Fault(path=f"metadata.annotations[{key!r}]", message="publishes a name outside of the cluster")


def _service_annotations(part: Part, _: Facts) -> Iterator[Fault]:
    for key in map(str, mapping(part.metadata.get("annotations"))):
        prefix, slash, _name = key.partition("/")
        if slash and _PUBLISHING not in key and prefix not in (*SAFE_PREFIXES, _SCRAPED):
            yield Fault(path=f"metadata.annotations[{key!r}]", message="is configuration of a shared controller")


def _own_peers(part: Part, facts: Facts) -> Iterator[Fault]:
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(items(part.spec.get(direction))):
            path = f"spec.{direction}[{index}]"
            peers = items(rule.get(side))
            if not peers:
                yield Fault(path=path, message="names no peer, which means everybody")
            for place, peer in enumerate(peers):
                if not _is_own(peer, facts=facts):
                    yield Fault(path=f"{path}.{side}[{place}]", message="reaches beyond the tenant's own namespaces")


def _is_own(peer: Mapping[str, Any], *, facts: Facts) -> bool:
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" not in peer:
        return "podSelector" in peer
    labels = mapping(mapping(peer["namespaceSelector"]).get("matchLabels"))
    return labels.get(LABEL_NAMESPACE) in facts.namespaces


def _cel_peers(direction: str, side: str) -> str:
    """Every peer of every rule of one direction is the tenant's own."""
    return (
        f"variables.spec.?{direction}.orValue([]).all(r, r.?{side}.orValue([]).size() > 0 && r.{side}.all(p,"
        f" !has(p.ipBlock) && (has(p.namespaceSelector)"
        f" ? p.namespaceSelector.?matchLabels[?'{LABEL_NAMESPACE}'].orValue('') in variables.namespaces"
        f" : has(p.podSelector))))"
    )


_BELOW = "({0} == variables.domain || {0}.endsWith('.' + variables.domain))"

RULES = (
    Rule(
        id="service-type",
        title="Services have cluster addresses alone",
        severity=Severity.HIGH,
        subject=Subject.SERVICES,
        reason="node ports and load balancers go around the ingress; an ExternalName leads to any host",
        sources=("kubectl-mtb MTB-PL1-BC-HI-1", "CIS Kubernetes Benchmark 5.3.2", "CVE-2021-25740"),
        remedy="leave type out, and add an Ingress below the tenant's domain",
        judge=_service_type,
        cel="variables.spec.?type.orValue('ClusterIP') == 'ClusterIP'",
    ),
    Rule(
        id="external-addresses",
        title="Services take no address from outside",
        severity=Severity.CRITICAL,
        subject=Subject.SERVICES,
        reason="traffic to any address can be drawn to a Service that claims it",
        sources=("CVE-2020-8554",),
        remedy="leave externalIPs, loadBalancerIP and externalName out",
        judge=_external_addresses,
        cel="variables.spec.?externalIPs.orValue([]).size() == 0"
        " && variables.spec.?loadBalancerIP.orValue('') == '' && variables.spec.?externalName.orValue('') == ''",
    ),
    Rule(
        id="published-names",
        title="Services publish no names outside of the cluster",
        severity=Severity.HIGH,
        subject=Subject.SERVICES,
        reason="a controller that writes public DNS would send another tenant's users here",
        sources=(_MULTI_TENANCY,),
        remedy="leave annotations of external-dns out; the Ingress has the tenant's hosts",
        judge=_published_names,
        cel=f"!variables.metadata.?annotations.orValue({{}}).exists(k, k.contains('{_PUBLISHING}'))",
    ),
    Rule(
        id="service-annotations",
        title="Services do not configure shared controllers",
        severity=Severity.CRITICAL,
        subject=Subject.SERVICES,
        reason="ingress controllers and meshes read them of any Service, some as text of their configuration",
        sources=(
            "HAProxy Kubernetes Ingress Controller documentation, Annotations, backend-config-snippet (on Services)",
            "Cilium documentation, Load-balancing & Service Discovery, service.cilium.io/global",
        ),
        remedy="leave annotations of controllers out; keys without a prefix are one's own",
        judge=_service_annotations,
        # Those that publish names break `published-names`.
        cel="variables.metadata.?annotations.orValue({}).all(k, !k.contains('/')"
        f" || k.contains('{_PUBLISHING}') || k.split('/')[0] in {[*SAFE_PREFIXES, _SCRAPED]})",
    ),
    Rule(
        id="ingress-hosts",
        title="Ingress hosts are the tenant's own",
        severity=Severity.CRITICAL,
        subject=Subject.INGRESSES,
        reason="an Ingress with another tenant's host, or with none, draws that tenant's users and passwords",
        sources=(_MULTI_TENANCY,),
        remedy="give every rule and every TLS entry a host below spec.network.domain",
        judge=_ingress_hosts,
        cel=f"variables.spec.?rules.orValue([]).all(r, has(r.host) && {_BELOW.format('r.host')})"
        f" && variables.spec.?tls.orValue([]).all(t, t.?hosts.orValue([]).all(h, {_BELOW.format('h')}))",
    ),
    Rule(
        id="ingress-backends",
        title="Ingresses lead to Services of their own namespace",
        severity=Severity.HIGH,
        subject=Subject.INGRESSES,
        reason="a default backend answers for hosts of others",
        sources=("Kubernetes documentation, Ingress, DefaultBackend",),
        remedy="name a Service in each path, and leave defaultBackend out",
        judge=_ingress_backends,
        cel="!has(variables.spec.defaultBackend) && variables.spec.?rules.orValue([]).all(r,"
        " r.?http.?paths.orValue([]).all(p, !has(p.backend.resource)))",
    ),
    Rule(
        id="ingress-paths",
        title="Ingress paths are paths and nothing else",
        severity=Severity.CRITICAL,
        subject=Subject.INGRESSES,
        reason="controllers write them into configuration that serves every tenant: braces, quotes, spaces and line"
        " breaks may end the path there and begin a directive",
        sources=("CVE-2021-25745", "CVE-2021-25748"),
        remedy="write paths of letters, digits and / . _ ~ @ : + , = - alone",
        judge=_ingress_paths,
        cel="variables.spec.?rules.orValue([]).all(r, r.?http.?paths.orValue([]).all(p,"
        f" p.?path.orValue('') == '' || p.path.matches('^{_PATH}$')))",
    ),
    Rule(
        id="ingress-class",
        title="Ingresses use the platform's controller",
        severity=Severity.MEDIUM,
        subject=Subject.INGRESSES,
        reason="another controller may not be held to the platform's network policies",
        sources=("Kubernetes documentation, Ingress class",),
        remedy="set ingressClassName to spec.ingress.className of platform.yaml",
        judge=_ingress_class,
        cel="variables.spec.?ingressClassName.orValue('') == variables.ingressClass",
    ),
    Rule(
        id="ingress-annotations",
        title="Ingresses do not configure the shared controller",
        severity=Severity.CRITICAL,
        subject=Subject.INGRESSES,
        reason="snippets and aliases are configuration text of a controller that serves every tenant",
        sources=("CVE-2021-25742", "CVE-2025-1974"),
        remedy=f"leave annotations of controllers out but {', '.join(HARMLESS)} with a number or true or false",
        judge=_ingress_annotations,
        cel="variables.metadata.?annotations.orValue({}).all(k, !k.contains('/')"
        f" || k.split('/')[0] in {list(SAFE_PREFIXES)}"
        f" || (k.split('/')[0].contains('ingress') && k.split('/')[1] in {list(HARMLESS)}"
        f" && variables.metadata.annotations[k].matches('^({_HARMLESS_VALUE})$')))",
    ),
    Rule(
        id="own-peers",
        title="network policies open flows inside the tenant alone",
        severity=Severity.CRITICAL,
        subject=Subject.NETWORK_POLICIES,
        reason="policies add up: the right to make one would be the right to open the namespace",
        sources=(_MULTI_TENANCY,),
        remedy=f"name peers by podSelector, or by namespaceSelector with matchLabels {LABEL_NAMESPACE}",
        judge=_own_peers,
        cel=f"{_cel_peers('ingress', 'from')} && {_cel_peers('egress', 'to')}",
        binds_tenants_only=True,
    ),
)
