"""Declares the resources of a plan to Pulumi, one by one; decides nothing about them.

Kubernetes objects are declared as they stand, by type token: the SDK's classes would be imported (a second) only to be
given the same fields. What is added here is how they are applied, not what they are:

- one fixed field manager, so that an object which is applied again over itself has one owner, not two;
- ``patchForce`` on guards and credentials, so that mending wins over another field manager;
- no waiting for Services and Ingresses: theirs are endpoints and addresses that other parts bring;
- what lies in a namespace of the plan goes with the namespace: its policies guard until its pods are gone, and nobody
  waits for the end of a ServiceAccount `default` that Kubernetes makes again at once.
"""

import base64
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

import pulumi

from provisioner.naming import MANAGED_BY
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import (
    CredentialsSecret,
    KubernetesObject,
    ObjectsBucket,
    ObjectsIdentity,
    OutputReference,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
    Resource,
    SolutionChart,
)
from stacks.components.kubernetes import KUBERNETES_VERSION, type_token
from stacks.components.solution import declare_chart
from stacks.provider import resources as data_store

_FIELD_MANAGER = "pulumi.com/patchFieldManager"
_FORCE = "pulumi.com/patchForce"
_SKIP_AWAIT = "pulumi.com/skipAwait"
_NOT_AWAITED = frozenset({"Service", "Ingress"})


@dataclass(kw_only=True)
class Declaration:
    """The resources declared so far, by their keys in the plan, and the providers they are declared with."""

    kubernetes: pulumi.ProviderResource
    data_store: pulumi.ProviderResource | None = None
    declared: dict[str, pulumi.Resource] = field(default_factory=dict)
    _namespaces: dict[str, pulumi.Resource] = field(default_factory=dict)

    def declare(self, resource: Resource) -> None:
        """Declare one resource; all that it depends on was declared before."""
        self.declared[resource.key] = self._declare(resource)

    def _declare(self, resource: Resource) -> pulumi.Resource:
        match resource:
            case KubernetesObject():
                return self._object(resource, manifest=applied_by_us(resource.manifest, force=resource.guard))
            case CredentialsSecret():
                return self._object(resource, manifest=self._filled(resource))
            case SolutionChart():
                return declare_chart(resource, options=self._options(resource, provider=self.kubernetes))
            case PostgresDatabase() | PostgresRole() | PostgresGrants() | PostgresMembers():
                return data_store.declare(resource, options=self._options(resource, provider=self.data_store))
            case ObjectsBucket() | ObjectsIdentity():
                return data_store.declare(resource, options=self._options(resource, provider=self.data_store))
            case _:
                assert_never(resource)

    def _object(self, resource: KubernetesObject | CredentialsSecret, *, manifest: Manifest) -> pulumi.Resource:
        token = type_token(api_version=manifest["apiVersion"], kind=manifest["kind"])
        options = self._options(resource, provider=self.kubernetes)
        options.version = KUBERNETES_VERSION
        options.deleted_with = self._namespaces.get(manifest["metadata"].get("namespace", ""))
        made = pulumi.CustomResource(token, resource.key, manifest, options)
        if manifest["kind"] == "Namespace":
            self._namespaces[manifest["metadata"]["name"]] = made
        return made

    def _options(self, resource: Resource, *, provider: pulumi.ProviderResource | None) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(provider=provider, depends_on=[self.declared[key] for key in resource.depends_on])

    def _filled(self, secret: CredentialsSecret) -> Manifest:
        """The Secret with its data; all of them are Pulumi secrets, so that the state holds them encrypted."""
        data = {name: self._encoded(value) for name, value in secret.values.items()}
        return {**applied_by_us(secret.manifest, force=True), "data": data}

    def _encoded(self, value: str | OutputReference) -> pulumi.Output[str]:
        if isinstance(value, str):
            return pulumi.Output.secret(_base64(value))
        output: pulumi.Output[str] = getattr(self.declared[value.resource], value.output)
        return pulumi.Output.secret(output.apply(_base64))


def applied_by_us(manifest: Manifest, *, force: bool) -> Manifest:
    """The manifest with the annotations that say how it is applied; the one given is left as it is."""
    annotations = {_FIELD_MANAGER: MANAGED_BY}
    if force:
        annotations[_FORCE] = "true"
    if manifest["kind"] in _NOT_AWAITED:
        annotations[_SKIP_AWAIT] = "true"
    made = copy.deepcopy(manifest)
    metadata = made.setdefault("metadata", {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    return made


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def exports(values: Mapping[str, Any]) -> None:
    """Put out what the state is asked for without being decrypted; never a secret."""
    for name, value in values.items():
        pulumi.export(name, value)
