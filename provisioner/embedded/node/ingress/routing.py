"""Pure: which host and path leads to which pods, from Ingresses, Services and EndpointSlices.

All of it is tenants' input. What is refused is said, and never stops the sites of others:

- a host belongs to the namespace whose Ingress named it first; another namespace's rules for it are refused;
- a rule without a host, and a default backend, would catch the hosts of others: refused;
- a backend's address must be a pod's: a Service could name the host's own servers;
- paths hold no character that means something to nginx's configuration.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provisioner.descriptor.endpoints import BRIDGE_ADDRESS
from provisioner.embedded.node.layout import INGRESS_CLASS, POD_NETWORK
from provisioner.plan.manifest import Manifest

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# What would end or change a quoted word of nginx's configuration; all else is taken as it stands.
_PATH = re.compile(r"/[^\s\x00-\x1f\x7f\"'\\{}$;#%]*")


@dataclass(frozen=True, kw_only=True, order=True)
class Location:
    """A path of a site and the pods behind it (``address:port``); no pods means that the site answers 503."""

    path: str
    exact: bool
    servers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, order=True)
class Site:
    """A host with its locations."""

    host: str
    locations: tuple[Location, ...]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A rule that is not served: whose it is, and why."""

    ingress: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Routing:
    """What is served, what is not, and which Ingresses are ours."""

    sites: tuple[Site, ...]
    refusals: tuple[Refusal, ...]
    ingresses: tuple[Manifest, ...]
    owners: Mapping[str, str]
    """The namespace that each host belongs to."""


def route(
    ingresses: Iterable[Manifest],
    *,
    services: Iterable[Manifest],
    slices: Iterable[Manifest],
    owners: Mapping[str, str],
    class_name: str = INGRESS_CLASS,
) -> Routing:
    """Decide the routing of all Ingresses of our class; deterministic, the oldest Ingress wins.

    ``owners`` are those of the last routing: creation times count seconds, and who is served keeps its host.
    """
    ours = sorted((one for one in ingresses if _class_of(one) == class_name), key=_age)
    table = _Table(owners=_owners(ours, before=owners), services=services, slices=slices)
    for ingress in ours:
        table.add(ingress)
    return Routing(sites=table.sites(), refusals=tuple(table.refusals), ingresses=tuple(ours), owners=table.owners)


def _owners(ingresses: Iterable[Manifest], *, before: Mapping[str, str]) -> Mapping[str, str]:
    """Whose each host is: the namespace that had it before and still names it, else the first that names it."""
    claims: dict[str, list[str]] = {}
    for ingress in ingresses:
        for rule in ingress.get("spec", {}).get("rules") or ():
            claims.setdefault(rule.get("host") or "", []).append(ingress["metadata"]["namespace"])
    return {host: before[host] if before.get(host) in names else names[0] for host, names in claims.items()}


def _class_of(ingress: Manifest) -> str | None:
    metadata: Manifest = ingress["metadata"]
    named = ingress.get("spec", {}).get("ingressClassName") or metadata.get("annotations", {}).get(CLASS_ANNOTATION)
    return str(named) if named else None


def _age(ingress: Manifest) -> tuple[str, str, str]:
    metadata = ingress["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["namespace"], metadata["name"]


def _named(manifest: Manifest) -> str:
    return f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"


class _Table:
    """Gathers rules in the order of their Ingresses' age."""

    def __init__(self, *, owners: Mapping[str, str], services: Iterable[Manifest], slices: Iterable[Manifest]) -> None:
        self.owners = owners
        self._backends = _Backends(services=services, slices=slices)
        self._locations: dict[str, dict[tuple[str, bool], Location]] = {}
        self.refusals: list[Refusal] = []

    def add(self, ingress: Manifest) -> None:
        """Take an Ingress's rules in."""
        spec = ingress.get("spec", {})
        if spec.get("defaultBackend"):
            self._refuse(ingress, "a default backend would answer for the hosts of others")
        for rule in spec.get("rules") or ():
            host = rule.get("host") or ""
            problem = self._problem_of_host(host, namespace=ingress["metadata"]["namespace"])
            if problem:
                self._refuse(ingress, problem)
                continue
            for path in rule.get("http", {}).get("paths") or ():
                self._add_path(ingress, host=host, path=path)

    def sites(self) -> tuple[Site, ...]:
        """The sites by host."""
        return tuple(
            Site(host=host, locations=tuple(sorted(locations.values())))
            for host, locations in sorted(self._locations.items())
        )

    def _problem_of_host(self, host: str, *, namespace: str) -> str | None:
        if not host:
            return "a rule without a host would answer for the hosts of others"
        if not _HOST.fullmatch(host) or len(host) > 253:
            return f"{host!r} is no host name"
        owner = self.owners[host]
        return None if owner == namespace else f"the host {host} belongs to the namespace {owner}"

    def _add_path(self, ingress: Manifest, *, host: str, path: Manifest) -> None:
        text = path.get("path") or "/"
        if not _PATH.fullmatch(text):
            self._refuse(ingress, f"the path {text!r} holds characters that are not served here")
            return
        service = path.get("backend", {}).get("service")
        if not service:
            self._refuse(ingress, f"the backend of {host}{text} is no Service")
            return
        namespace = ingress["metadata"]["namespace"]
        servers = self._backends.servers(namespace, str(service["name"]), port=service.get("port", {}))
        for location in _locations(text, exact=path.get("pathType") == "Exact", servers=servers):
            self._put(ingress, host=host, location=location, derived=location.path != text)

    def _put(self, ingress: Manifest, *, host: str, location: Location, derived: bool) -> None:
        known = self._locations.setdefault(host, {})
        key = (location.path, location.exact)
        if key not in known:
            known[key] = location
        elif not derived and known[key] != location:
            self._refuse(ingress, f"{host}{location.path} is served by an older rule already")

    def _refuse(self, ingress: Manifest, why: str) -> None:
        self.refusals.append(Refusal(ingress=_named(ingress), why=why))


def _locations(path: str, *, exact: bool, servers: tuple[str, ...]) -> tuple[Location, ...]:
    """A path as nginx's locations. A prefix counts by elements: /a serves /a and /a/b, not /ab (Ingress v1)."""
    if exact:
        return (Location(path=path, exact=True, servers=servers),)
    stem = path.rstrip("/")
    below = Location(path=f"{stem}/", exact=False, servers=servers)
    return (below, Location(path=stem, exact=True, servers=servers)) if stem else (below,)


class _Backends:
    """Finds the pods behind a Service's port."""

    def __init__(self, *, services: Iterable[Manifest], slices: Iterable[Manifest]) -> None:
        self._services = {_named(service): service for service in services}
        self._slices: dict[str, list[Manifest]] = {}
        for one in slices:
            service = one["metadata"].get("labels", {}).get("kubernetes.io/service-name")
            self._slices.setdefault(f"{one['metadata']['namespace']}/{service}", []).append(one)

    def servers(self, namespace: str, name: str, *, port: Mapping[str, object]) -> tuple[str, ...]:
        """The ready pods of a Service's port as ``address:port``; empty when there is no such Service or port."""
        service = self._services.get(f"{namespace}/{name}")
        wanted = _service_port(service, port) if service else None
        if wanted is None:
            return ()
        found = {
            f"{address}:{number}"
            for one in self._slices.get(f"{namespace}/{name}", ())
            for number in _numbers(one, wanted.get("name") or "")
            for endpoint in one.get("endpoints") or ()
            if endpoint.get("conditions", {}).get("ready", True) is not False
            for address in endpoint.get("addresses") or ()
            if _is_pod_address(str(address))
        }
        return tuple(sorted(found))


def _service_port(service: Manifest, port: Mapping[str, object]) -> Manifest | None:
    ports: list[Manifest] = service.get("spec", {}).get("ports") or []
    for one in ports:
        if ("name" in port and one.get("name") == port["name"]) or ("number" in port and one["port"] == port["number"]):
            return one
    return None


def _numbers(one: Manifest, name: str) -> tuple[int, ...]:
    ports = one.get("ports") or ()
    return tuple(port["port"] for port in ports if (port.get("name") or "") == name and port.get("port"))


def _is_pod_address(address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(POD_NETWORK) and address != BRIDGE_ADDRESS
    except ValueError:
        return False
