"""The desired resources of a stack: a closed union of frozen values, final in every name and number.

A plan lists them so that a resource comes after all that it depends on; explaining, showing as JSON and
declaring to Pulumi walk the same list. ``key`` is unique in a plan and stable over time: it becomes the
Pulumi resource's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from provisioner.naming import ClusterId, CooperativeName, CooperativeUid
from provisioner.plan.manifest import Manifest
from provisioner.plan.store_place import StorePlace


@dataclass(frozen=True, kw_only=True)
class KubernetesObject:
    """A Kubernetes object, applied as it stands; ``guard`` objects win over other field managers."""

    key: str
    manifest: Manifest
    guard: bool = False
    depends_on: tuple[str, ...] = ()


class RoleKind(StrEnum):
    """What a database role is for."""

    OWNER = "owner"
    APPLICATION = "application"
    READER = "reader"
    MIGRATION = "migration"


@dataclass(frozen=True, kw_only=True)
class PostgresRole:
    """A database role. ``login`` roles get a generated password (SCRAM), an output of the resource.

    ``member_of`` names roles it may SET ROLE to (never inherits). ``settings`` are defaults such as search_path.
    A ``fenced`` one keeps its password and may not log in: its data store lives elsewhere. A higher ``rotation`` is a
    new password, there too; an ``erased`` one is there alone.
    """

    key: str
    name: str
    kind: RoleKind
    login: bool
    connection_limit: int
    member_of: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    fenced: bool = False
    rotation: int = 0
    erased: bool = False
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PostgresDatabase:
    """A database, owned by the platform's administrator; ``connection_limit`` of all its sessions, -1 for none."""

    key: str
    name: str
    owner: str
    connection_limit: int
    extensions: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PostgresGrants:
    """Who may do what in a database: CONNECT for the listed roles alone, nothing for PUBLIC,
    DML for ``application``, SELECT for ``reader`` (existing and future objects of ``owner``), and the
    same refusal on postgres, template1 and every template database.

    Past ``storage_bytes`` (0 for no limit) the application may only read, since a shared server limits no sizes; so
    too where ``writes_stopped``. Of tables with the ``member_column`` (empty: there is none) the reader sees the rows
    of its members alone.
    """

    key: str
    database: str
    owner: str
    application: str
    reader: str
    migration: str
    storage_bytes: int = 0
    member_column: str = ""
    writes_stopped: bool = False
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PostgresMembers:
    """All members of a cooperative in its database: one resource, however many they are.

    Each has a role that cannot log in. With a ``member_column`` that role sees the member's rows of tables that all
    share; without (empty) it has a schema of its own, which it alone uses: the application becomes that role with SET
    ROLE. Past ``storage_bytes`` (0 for no limit), and where ``writes_stopped``, both may only read there. ``members``
    are ids of the member list, sorted.
    """

    key: str
    database: str
    owner: str
    application: str
    reader: str
    members: tuple[str, ...]
    member_column: str = ""
    storage_bytes: int = 0
    writes_stopped: bool = False
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ObjectsBucket:
    """A bucket; public access is off, and its policy lets ``identity`` alone through (empty: the administrator alone).

    Past ``quota_bytes`` (0 for no limit) writes are refused; a ``fenced`` one refuses them to ``identity``, and deletes
    too: its data store lives elsewhere.
    """

    key: str
    name: str
    versioning: bool
    quota_bytes: int
    identity: str = ""
    fenced: bool = False
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ObjectsIdentity:
    """An S3 identity that reaches one bucket alone; its access key is an output of the resource.

    With a ``rotation`` its bucket lives elsewhere for good: it has a new key there, and on the platform it is no more.
    """

    key: str
    name: str
    bucket: str
    rotation: int = 0
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OutputReference:
    """A value that is known only when another resource of the plan exists, such as a password."""

    resource: str
    output: str


@dataclass(frozen=True, kw_only=True)
class CredentialsSecret:
    """A Kubernetes Secret whose values are literals or generated credentials (kept as Pulumi secrets)."""

    key: str
    manifest: Manifest
    values: Mapping[str, str | OutputReference]
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SolutionChart:
    """A solution's Helm chart, declared with Pulumi's helm.v4.Chart; ``values`` are final."""

    key: str
    release: str
    solution: str
    version: str
    chart: Path
    namespace: str
    values: Mapping[str, Any]
    depends_on: tuple[str, ...] = ()


Resource = (
    KubernetesObject
    | PostgresRole
    | PostgresDatabase
    | PostgresGrants
    | PostgresMembers
    | ObjectsBucket
    | ObjectsIdentity
    | CredentialsSecret
    | SolutionChart
)


@dataclass(frozen=True, kw_only=True)
class CooperativePlan:
    """Everything one cooperative gets; its Services lead to where its data store has ``moved_to`` (None: nowhere)."""

    cooperative: CooperativeName
    uid: CooperativeUid
    cluster: ClusterId
    domain: str
    resources: tuple[Resource, ...]
    moved_to: StorePlace | None = None


@dataclass(frozen=True, kw_only=True)
class PlatformPlan:
    """What the platform stack holds: cluster-wide objects."""

    cluster: ClusterId
    resources: tuple[KubernetesObject, ...]


StackPlan = CooperativePlan | PlatformPlan
