"""What no field of a Platform document can say alone: embedded or own servers, references, files."""

import stat
from collections.abc import Iterator
from pathlib import Path

from provisioner.descriptor.checking import PathParts
from provisioner.descriptor.platform_document import PlatformDocument, PlatformSpec, SecretReferenceFields

Found = tuple[PathParts, str, str | None]
_OWN_SERVERS = ("postgres", "objects", "registry", "ingress", "dns")
_PRIVATE = 0o077


def platform_problems(document: PlatformDocument, *, passphrase: Path) -> list[Found]:
    """Every problem of ``document`` that its model cannot see; ``passphrase`` is the file it means."""
    spec = document.spec
    servers = _embedded(spec) if spec.embedded is not None else _own_servers(spec)
    return [*servers, *_references(spec), *_dns_and_ingress(spec), *_state(spec), *_passphrase(passphrase)]


def _embedded(spec: PlatformSpec) -> Iterator[Found]:
    hint = "remove it, or remove `embedded` to name servers of your own"
    for name in _OWN_SERVERS:
        if getattr(spec, name) is not None and name != "registry":
            yield ("spec", name), "cannot stand beside `embedded`, which brings its own", hint
    for name in ("address", "allowed"):
        if spec.registry and getattr(spec.registry, name):
            yield ("spec", "registry", name), "cannot stand beside `embedded`, which brings its own", hint
    for name in ("kubeconfig", "context"):
        if getattr(spec.cluster, name) is not None:
            yield ("spec", "cluster", name), "cannot stand beside `embedded`, which brings its own", hint


def _own_servers(spec: PlatformSpec) -> Iterator[Found]:
    hint = "name the server, or write `embedded: {}` to use this machine's embedded platform"
    for name in _OWN_SERVERS:
        if getattr(spec, name) is None:
            yield ("spec", name), "is missing", hint
    if spec.registry and not spec.registry.address:
        yield ("spec", "registry", "address"), "is missing", hint
    if spec.cluster.kubeconfig is None:
        yield ("spec", "cluster", "kubeconfig"), "is missing", hint
    if not spec.storage_classes:
        yield ("spec", "storageClasses"), "is missing", "name the StorageClasses that tenants may use"


def _references(spec: PlatformSpec) -> Iterator[Found]:
    references: list[tuple[PathParts, SecretReferenceFields]] = []
    if spec.postgres:
        references.append((("spec", "postgres", "admin", "password"), spec.postgres.admin.password))
    if spec.objects:
        references.append((("spec", "objects", "admin", "credentials"), spec.objects.admin.credentials))
    if spec.dumps and spec.dumps.server:
        references.append((("spec", "dumps", "server", "credentials"), spec.dumps.server.credentials))
    for path, reference in references:
        if (reference.env is None) == (reference.file is None):
            yield path, "must have exactly one of env and file", None


def _dns_and_ingress(spec: PlatformSpec) -> Iterator[Found]:
    if spec.dns and bool(spec.dns.addresses) == bool(spec.dns.namespace):
        yield ("spec", "dns"), "must have either addresses or a namespace with podLabels", None
    if spec.dns and spec.dns.namespace and not spec.dns.pod_labels:
        yield ("spec", "dns", "podLabels"), "is missing: without labels every pod of the namespace would be meant", None
    if spec.ingress and bool(spec.ingress.controller_addresses) == bool(spec.ingress.controller_namespace):
        yield ("spec", "ingress"), "must have either controllerAddresses or controllerNamespace", None


def _state(spec: PlatformSpec) -> Iterator[Found]:
    if spec.state.credentials and not (spec.state.backend or "").startswith("s3://"):
        yield ("spec", "state", "credentials"), "are for an s3:// backend, and the state is in a folder", None


def _passphrase(file: Path) -> Iterator[Found]:
    """A passphrase that others can read protects nothing. A missing file is for whoever needs it to say."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except (OSError, ValueError):
        return
    if mode & _PRIVATE:
        message = f"the passphrase file {file} can be read by others (mode {mode:04o})"
        yield ("spec", "state", "passphrase"), message, f"run: chmod 600 '{file}'"
