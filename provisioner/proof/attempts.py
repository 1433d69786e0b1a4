"""What is attempted: a closed union of frozen values, one kind for each way of asking.

Every attempt says about itself who does it, what it does, and which guard must refuse it. One without a guard is a
positive control: it must work. An attempt rests on controls; if one of them fails, a refusal proves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from provisioner.cluster.api import Identity
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import (
    ObjectsBucket,
    ObjectsIdentity,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
    RoleKind,
)
from provisioner.proof.flows import Ports


class Area(StrEnum):
    """What an attempt is about: how attempts are grouped for people."""

    PLAN = "plan"
    RIGHTS = "rights"
    OBJECTS = "objects"
    GUARDS = "guards"
    DATABASE = "database"
    BUCKET = "bucket"
    FLOWS = "flows"
    PODS = "pods"


class GuardKind(StrEnum):
    """What stands in an attacker's way."""

    RBAC = "RBAC"
    POD_SECURITY = "Pod Security"
    QUOTA = "quota"
    LIMIT_RANGE = "limit range"
    ADMISSION_POLICY = "admission policy"
    SERVICE_ACCOUNT = "service account"
    NETWORK_POLICY = "network policy"
    POSTGRES = "PostgreSQL"
    OBJECTS = "S3"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """The guard that must refuse an attempt; ``rule`` is the id of its rule, where it has several."""

    kind: GuardKind
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.kind} [{self.rule}]" if self.rule else str(self.kind)


@dataclass(frozen=True, kw_only=True)
class About:
    """What is common to all attempts; ``id`` is unique within a proof and the same in every proof of the tenant.

    ``guard`` is None for a positive control; ``also`` are others that cannot but refuse it too, and may come first.
    ``rests_on`` are the ids of controls.
    """

    id: str
    area: Area
    who: str
    what: str
    guard: Guard | None = None
    also: tuple[Guard, ...] = ()
    rests_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AccessReview:
    """The API server is asked whether ``identity`` may do ``verbs``: for a control all of them, else none.

    ``namespace`` is empty for the whole cluster.
    """

    about: About
    identity: Identity
    namespace: str
    group: str
    resource: str
    subresource: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Right:
    """One thing that somebody may do; ``name`` is empty where it is not bound to one object."""

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        where = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {where}" + (f" {self.name}" if self.name else "")


@dataclass(frozen=True, kw_only=True)
class RulesReview:
    """The API server lists all rules that RBAC has for ``identity`` in ``namespace``: no right beyond ``expected``."""

    about: About
    identity: Identity
    namespace: str
    expected: frozenset[Right]


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """A request that the API server handles to the end, and then does not store; coopctl's own without ``identity``.

    ``gated``: what is wrong with it stands in a field that an API server leaves out unless told otherwise.
    """

    about: About
    identity: Identity | None
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    content_type: str | None = None
    gated: bool = False


class Look(StrEnum):
    """What is looked for in an object that was accepted."""

    NO_TOKEN = "no token of the API server"  # noqa: S105 - what is looked for, no secret
    LIMITS = "requests and limits of every container"


@dataclass(frozen=True, kw_only=True)
class AcceptedWith:
    """A dry run that is accepted, after which the object has what ``look`` says."""

    about: About
    request: DryRun
    look: Look


@dataclass(frozen=True, kw_only=True)
class GuardLook:
    """A guard as the cluster has it must hold all that ``wanted`` says."""

    about: About
    path: str
    wanted: Manifest


@dataclass(frozen=True, kw_only=True)
class PlanLook:
    """The plan itself must hold what the tenant is promised; ``lacking`` is what it lacks, empty if nothing."""

    about: About
    lacking: str


@dataclass(frozen=True, kw_only=True)
class StoreLook:
    """A part of the data store as its server has it must be as ``wanted``."""

    about: About
    wanted: PostgresRole | PostgresDatabase | PostgresGrants | PostgresMembers | ObjectsBucket | ObjectsIdentity


class Caller(StrEnum):
    """Who calls the S3 server: the tenant's identity, or somebody without any."""

    IDENTITY = "identity"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, kw_only=True)
class Connect:
    """A session of a tenant's role in ``database``; with ``replication`` one that streams the server's whole log."""

    about: About
    role: RoleKind
    database: str
    replication: bool = False


@dataclass(frozen=True, kw_only=True)
class Sql:
    """A statement of a role in the tenant's own database, after ``before``, in a transaction that is rolled back.

    Without a ``role`` the session is the administrator's, and ``before`` says whom it becomes. With ``alone`` the
    statement stands outside a transaction: PostgreSQL refuses it inside one before it looks at rights. Such a statement
    fails by itself also where it is permitted. ``permitted`` are the SQLSTATEs of that failing, ``absent`` those of
    something that this server does not have. With ``finds_nothing`` it is a query that is answered, without a row.
    ``{session}`` in the statement stands for the process number of a session of the administrator's.
    """

    about: About
    role: RoleKind | None
    statement: str
    before: tuple[str, ...] = ()
    alone: bool = False
    finds_nothing: bool = False
    permitted: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class ObjectsCall:
    """A call to the S3 server or its IAM API that changes nothing even where it is permitted.

    ``permitted`` are the error codes by which a call fails that was permitted (such as NoSuchKey).
    """

    about: About
    caller: Caller
    service: str
    operation: str
    parameters: Mapping[str, Any]
    permitted: frozenset[str] = frozenset()


class Protocol(StrEnum):
    """How a pod tries to reach something."""

    TCP = "tcp"
    UDP = "udp"
    NAME = "name"
    LINK = "link"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A pod in ``namespace`` tries to reach ``target``: host:port, a name, or nothing for everybody on its own link.

    ``word`` is what must answer; on the link, what every answer may begin with. ``permitted``: the policies in force
    let it through, so that silence there is no work of theirs.
    """

    about: About
    namespace: str
    protocol: Protocol
    target: str
    word: str = ""
    permitted: bool = False


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The network policies in force say whether pods of ``source`` reach ``target``.

    ``target`` is a namespace, or host:port of an address.
    """

    about: About
    source: str
    target: str


class Direction(StrEnum):
    """Which of a pod's flows are meant (networking.k8s.io/v1, policyTypes)."""

    EGRESS = "egress"
    INGRESS = "ingress"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The policies of ``namespace`` alone say what its pods send to ``other``, or receive from it.

    ``other`` is a namespace or an address. A control: all of ``ports`` are open for every pod, and for every pod of
    ``other`` that bears ``labels``. An attack: nothing beyond ``ports`` is open for any.
    """

    about: About
    namespace: str
    direction: Direction
    other: str
    ports: tuple[Ports, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The platform's policies of ``namespace`` say what pods of the solution ``of`` send to ``other``, or get from it.

    An empty name means pods of no solution: the tenant's own. A control: all of ``ports`` are open for every one of
    them. An attack: nothing beyond ``ports`` is open for any. What operators open by policies of their own is theirs.
    """

    about: About
    namespace: str
    direction: Direction
    of: str
    other: str
    ports: tuple[Ports, ...] = ()


RequestAttempt = AccessReview | RulesReview | DryRun | AcceptedWith | GuardLook
DatabaseAttempt = Connect | Sql | StoreLook
BucketAttempt = ObjectsCall | StoreLook
FlowAttempt = Flow | Gate | Pair
Attempt = PlanLook | RequestAttempt | DatabaseAttempt | BucketAttempt | Probe | FlowAttempt
