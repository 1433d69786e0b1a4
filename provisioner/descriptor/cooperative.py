"""What a cooperative means, after its document was checked and resolved with its template.

Everything right of the loader works with these values; sizes are whole bytes, CPU is millicores.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from provisioner.errors import Location
from provisioner.naming import CooperativeName


class Afterwards(StrEnum):
    """What a cooperative chose for the end of its support period."""

    CONTINUE_PAID = "continue-paid"
    OWN_INFRASTRUCTURE = "own-infrastructure"
    LEAVE = "leave"


class MemberLayout(StrEnum):
    """How members are separated inside a data store."""

    COLUMN = "column"
    SCHEMA = "schema"


class OriginKind(StrEnum):
    """Which layer decided a final value."""

    DESCRIPTOR = "descriptor"
    SIZE = "size"
    TEMPLATE = "template"
    DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a final value came from; ``expression`` is the Jinja2 text if it was computed, ``text`` the value."""

    kind: OriginKind
    location: Location | None = None
    expression: str | None = None
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class SupportPeriod:
    """From when to when (inclusive) the government pays, and what happens afterwards."""

    start: date
    end: date
    afterwards: Afterwards


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member company; ``registration_number`` is its business registration number, ten digits, or empty."""

    id: str
    name: str
    employees: int
    registration_number: str = ""


class SubjectKind(StrEnum):
    """A subject of the cluster's identity provider."""

    USER = "User"
    GROUP = "Group"


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A user or group that operates the cooperative's namespaces."""

    kind: SubjectKind
    name: str


@dataclass(frozen=True, kw_only=True)
class Contact:
    """Whom to call."""

    name: str = ""
    phone: str = ""
    email: str = ""


@dataclass(frozen=True, kw_only=True)
class Egress:
    """An allowed flow out of the tenant: TCP to ``ports`` of ``cidr``, with the reason why."""

    cidr: str
    ports: tuple[int, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class Network:
    """The tenant's host names end in ``domain``; ``egress`` lists its flows to the outside."""

    domain: str
    egress: tuple[Egress, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PostgresStore:
    """The tenant's database on a shared server."""

    member_layout: MemberLayout
    storage_bytes: int
    connection_limit: int
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ObjectStore:
    """The tenant's bucket."""

    quota_bytes: int
    versioning: bool


@dataclass(frozen=True, kw_only=True)
class NamespaceBudget:
    """The complete quota of one namespace; a kind that is not listed here cannot be created in it.

    Quantities as ResourceQuota knows them, already in canonical units: CPU in millicores, sizes in bytes.
    """

    requests_cpu_millis: int
    limits_cpu_millis: int
    requests_memory_bytes: int
    limits_memory_bytes: int
    requests_ephemeral_storage_bytes: int
    limits_ephemeral_storage_bytes: int
    requests_storage_bytes: int
    pods: int
    services: int
    secrets: int
    configmaps: int
    persistentvolumeclaims: int
    replicationcontrollers: int
    deployments: int
    replicasets: int
    statefulsets: int
    daemonsets: int
    jobs: int
    cronjobs: int
    ingresses: int
    networkpolicies: int
    roles: int
    rolebindings: int
    serviceaccounts: int
    resourcequotas: int
    horizontalpodautoscalers: int
    poddisruptionbudgets: int


@dataclass(frozen=True, kw_only=True)
class ContainerLimits:
    """LimitRange of a namespace's containers."""

    default_cpu_millis: int
    default_memory_bytes: int
    default_ephemeral_storage_bytes: int
    default_request_cpu_millis: int
    default_request_memory_bytes: int
    default_request_ephemeral_storage_bytes: int
    max_cpu_millis: int
    max_memory_bytes: int
    max_ephemeral_storage_bytes: int
    min_cpu_millis: int
    min_memory_bytes: int
    max_limit_request_ratio_cpu: int
    max_limit_request_ratio_memory: int
    max_claim_storage_bytes: int


@dataclass(frozen=True, kw_only=True)
class SolutionChoice:
    """A solution from the catalogue that the cooperative chose."""

    name: str
    version: str | None = None
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    integrates: tuple[str, ...] = ()
    location: Location | None = None


@dataclass(frozen=True, kw_only=True)
class Cooperative:
    """A cooperative with every default applied and every reference checked."""

    name: CooperativeName
    display_name: str
    sector: str
    template: str
    template_version: str
    size: str
    support: SupportPeriod
    contact: Contact
    members: tuple[Member, ...]
    operators: tuple[Operator, ...]
    network: Network
    postgres: PostgresStore
    objects: ObjectStore
    apps_budget: NamespaceBudget
    data_budget: NamespaceBudget
    container_limits: ContainerLimits
    solutions: tuple[SolutionChoice, ...]
    source: Path
    origins: Mapping[str, Origin]

    @property
    def employees(self) -> int:
        """All employees of all members."""
        return sum(member.employees for member in self.members)
