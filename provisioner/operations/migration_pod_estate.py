"""The estate that a migration's pod has: two documents, and the credentials that these name, as files.

Every server keeps the name that it has here: ledger, plan and the target's subscription hold it. Where pods reach a
server otherwise, the documents say so (``pods``), and coopctl in the pod goes that way (`IN_PLATFORM`). Only the state
has no such field: its URL is another one in the pod.
"""

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import yaml

from provisioner.datastore.credentials import AWS_PROFILE, AccessKey, resolve_access_key
from provisioner.datastore.shared_records import SCHEME
from provisioner.descriptor.document import API_VERSION
from provisioner.descriptor.platform import Endpoint, Platform, SecretReference
from provisioner.errors import NotFound, UsageError
from provisioner.migration.postgres_sides import Side, conninfo
from provisioner.migration.slice_classifying import SliceRequest
from provisioner.migration.slice_request import write_request
from provisioner.operations.migration_pod_access import PodAccess
from provisioner.operations.migration_site import FOLLOW_FILE, SLICE_FILE, MigrationSite, pods_url
from provisioner.operations.migration_tenancy import target_place
from provisioner.plan.migration_job import ESTATE

CREDENTIALS = "credentials"
CA_PARAMETER = "sslrootcert"
_NONE = "is-not-there"
_PORTS = {"http": 80, "https": 443}


def pod_files(site: MigrationSite, access: PodAccess, *, request: SliceRequest | None = None) -> dict[str, str]:
    """The files of the pod's estate by their paths: it is let in with its own ``access``, not as the administrator.

    ``request`` is that of a member's slice. Raises UsageError where the state is no bucket, NotFound for a credential
    that is not where its reference points to.
    """
    files = dict[str, str]()
    url, _ = pod_state(site.platform)
    name, cooperative = site.migration.name, str(site.tenant.cooperative)
    files["platform.yaml"] = _dumped(_platform(site, access, state_url=url, keep=files.__setitem__))
    files[f"migrations/{name}.yaml"] = _dumped(_migration(site, keep=files.__setitem__))
    if access.follow is not None:
        files[FOLLOW_FILE] = access.follow.reveal()
    if request is not None:
        files[SLICE_FILE] = write_request(request)
    # That there is one is all that is asked of it.
    files[f"cooperatives/{cooperative}.yaml"] = "# Read from the estate, not here.\n"
    return files


def pod_endpoints(site: MigrationSite) -> tuple[Endpoint, ...]:
    """Every server that the pod must reach, by address. Raises UsageError for one that has none, or the pod's own, and
    where the state is no bucket."""
    target, (_, state) = target_place(site), pod_state(site.platform)
    source = (site.platform.postgres.pods, site.platform.objects.pods)
    endpoints = (*source, target.postgres, target.objects, state)
    for one in endpoints:
        _require_outside(one)
    return endpoints


def pod_state(platform: Platform) -> tuple[str, Endpoint]:
    """The state's URL in a pod, and its server. Raises UsageError where no pod could reach it."""
    state = platform.state
    if not state.url.startswith(SCHEME):
        raise UsageError(
            "a migration in the platform needs the state in a bucket",
            why=f"it is at {state.url}, which this machine alone has: a pod that dies would take the journal with it",
            hint="set `state.backend: s3://...` in platform.yaml (docs/how-to/state-for-teams.md)",
        )
    if state.credentials_file is None:
        raise UsageError(
            "the state's credentials are this machine's own environment, which a pod does not have",
            hint="set `state.credentials: {file: ...}` in platform.yaml",
        )
    parts = urlsplit(state.url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    given = query.get("endpoint")
    if not given:
        raise UsageError(
            "the state's server has no address that a network policy could name",
            hint="name it in `state.backend`: s3://BUCKET/PREFIX?endpoint=https://ADDRESS",
        )
    server = urlsplit(
        given if "://" in given else f"{'http' if query.get('disableSSL') == 'true' else 'https'}://{given}"
    )
    own = urlsplit(platform.objects.url)
    if (server.hostname, _port(server.scheme, server.port)) == (own.hostname, _port(own.scheme, own.port)):
        query["endpoint"] = pods_url(platform.objects)
        return parts._replace(query=urlencode(query)).geturl(), platform.objects.pods
    return state.url, _resolved(server.hostname or "", port=_port(server.scheme, server.port))


Keep = Callable[[str, str], None]


def _platform(site: MigrationSite, access: PodAccess, *, state_url: str, keep: Keep) -> dict[str, Any]:
    platform = site.platform
    postgres, objects = platform.postgres, platform.objects
    spec: dict[str, Any] = {
        "cluster": {"id": str(platform.cluster.id), "kubeconfig": _NONE},
        "postgres": {
            "host": postgres.admin.host,
            "port": postgres.admin.port,
            "pods": {"address": postgres.pods.host, "port": postgres.pods.port},
            "admin": {"user": access.login, "password": _kept("source", access.password.reveal(), keep)},
            "sslmode": str(postgres.sslmode),
            **_ca(postgres.ca_file, "source-ca", keep),
        },
        "objects": {
            "url": objects.url,
            "region": objects.region,
            "pods": {
                "address": objects.pods.host,
                "port": objects.pods.port,
                "scheme": str(objects.pods_scheme),
            },
            "admin": {"credentials": _kept("source-objects", _key_text(access.key), keep)},
            **_ca(objects.ca_file, "source-objects-ca", keep),
            **({"bucketPrefix": objects.bucket_prefix} if objects.bucket_prefix else {}),
        },
        "registry": {"address": platform.registry.address},
        "ingress": {"className": platform.ingress.class_name, "controllerNamespace": _NONE},
        "dns": {"namespace": _NONE, "podLabels": {"app": _NONE}},
        "storageClasses": list(platform.storage_classes),
        "domainSuffixes": list(platform.domain_suffixes),
        "state": {
            "backend": state_url,
            "credentials": _key(site, SecretReference(file=platform.state.credentials_file), "state", keep),
        },
    }
    return {"apiVersion": API_VERSION, "kind": "Platform", "metadata": {"name": platform.name}, "spec": spec}


def _migration(site: MigrationSite, *, keep: Keep) -> dict[str, Any]:
    """The document as it was written, with references to the pod's own files."""
    document: dict[str, Any] = yaml.load(site.migration.source.file.read_text(encoding="utf-8"), Loader=_Texts)  # noqa: S506 - a SafeLoader
    target, objects = document["spec"]["target"], site.migration.target.objects
    keep(f"{CREDENTIALS}/target", conninfo(_with_own_ca(site.target, keep)))
    target["postgres"]["dsn"] = {"file": f"{CREDENTIALS}/target"}
    target["objects"]["credentials"] = _key(site, objects.credentials, "target-objects", keep)
    target["objects"] |= _ca(objects.ca_file, "target-objects-ca", keep)
    # The solutions' own cluster is no matter of a copy.
    target.pop("cluster", None)
    return document


class _Texts(yaml.SafeLoader):
    """Moments stay what they are: texts, which the document's own reader understands."""


_Texts.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _with_own_ca(side: Side, keep: Keep) -> Side:
    extra = dict(side.extra)
    file = extra.get(CA_PARAMETER)
    if file is not None and file != "system":
        extra[CA_PARAMETER] = f"{ESTATE}/{_ca(Path(file), 'target-ca', keep)['caFile']}"
    return replace(side, extra=tuple(sorted(extra.items())))


def _key(site: MigrationSite, reference: SecretReference, name: str, keep: Keep) -> dict[str, str]:
    found = resolve_access_key(reference, environment=site.environment, what=f"the access key of the {name}")
    return _kept(name, _key_text(found), keep)


def _key_text(key: AccessKey) -> str:
    return f"[{AWS_PROFILE}]\naws_access_key_id = {key.id}\naws_secret_access_key = {key.secret.reveal()}\n"


def _kept(name: str, text: str, keep: Keep) -> dict[str, str]:
    path = f"{CREDENTIALS}/{name}"
    keep(path, text)
    return {"file": path}


def _ca(file: Path | None, name: str, keep: Keep) -> dict[str, str]:
    if file is None:
        return {}
    path = f"{CREDENTIALS}/{name}"
    try:
        keep(path, file.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(f"the certificate file {file} cannot be read", why=error.strerror) from error
    return {"caFile": path}


def _dumped(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _port(scheme: str, port: int | None) -> int:
    return port or _PORTS.get(scheme, 443)


def _resolved(host: str, *, port: int) -> Endpoint:
    try:
        return Endpoint(host=str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]), port=port)
    except OSError as error:
        raise UsageError(f"{host!r}, which holds the state, has no address", why=str(error)) from error


def _require_outside(one: Endpoint) -> None:
    """Raise UsageError for an address that means the pod itself."""
    if ipaddress.ip_address(one.host).is_loopback:
        raise UsageError(
            f"{one.host}:{one.port} is an address of this machine alone: a pod would find itself there",
            hint="say how pods reach that server: `pods` in the migration's target; in `state.backend` another address",
        )
