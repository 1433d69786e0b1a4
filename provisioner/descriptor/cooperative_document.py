"""The Cooperative document as people write it; the merged one has a value in every Settings field."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from provisioner.descriptor.cooperative import Afterwards, MemberLayout
from provisioner.descriptor.document import API_VERSION, Document, Settings
from provisioner.descriptor.fields import (
    Boolean,
    Bytes,
    CalendarDate,
    CooperativeNameField,
    Count,
    CpuMillis,
    DisplayText,
    Domain,
    Email,
    Employees,
    FreeValues,
    NetworkAddress,
    Port,
    PositiveCount,
    Slug,
    Text,
    choice,
)
from provisioner.descriptor.registration_number import registration_number

RegistrationNumber = Annotated[str, BeforeValidator(registration_number)]


class Isolation(StrEnum):
    """Where the database lives. ``dedicated`` (a server of its own) is refused until it is built."""

    SHARED = "shared"
    DEDICATED = "dedicated"


class MetadataDocument(Document):
    """What the cooperative is called."""

    name: CooperativeNameField = Field(
        description="The cooperative's name everywhere: a DNS label; equals the file's name."
    )
    display_name: DisplayText = Field(description="What people call it, for example in Korean.")


class SupportDocument(Document):
    """The support period."""

    start: CalendarDate = Field(description="First day, YYYY-MM-DD.")
    end: CalendarDate = Field(description="Last day, YYYY-MM-DD.")
    afterwards: Annotated[Afterwards, BeforeValidator(choice(Afterwards))] = Field(
        description="What happens then: go on as a paying tenant, move to own infrastructure, or leave."
    )


class ContactDocument(Document):
    """Whom to call."""

    name: DisplayText = Field(default="", description="A person, office or desk.")
    phone: DisplayText = Field(default="", description="A telephone number.")
    email: Email = Field(default="", description="An e-mail address.")


class MembersFile(Document):
    """Members in a CSV file."""

    file: Text = Field(
        description="CSV with the columns id, name, employees and, if wanted, registration_number; relative to this"
        " document, in the estate."
    )


class InlineMember(Document):
    """A member company."""

    id: Slug = Field(description="Unique in the cooperative: lower-case letters, digits, hyphens.")
    name: DisplayText = Field(description="The company's name.")
    employees: Employees = Field(description="How many people work there.")
    registration_number: RegistrationNumber = Field(
        default="", description="Its business registration number, such as 000-00-00000."
    )


class OperatorDocument(Document):
    """A user or a group of the cluster's identity provider: exactly one of the two."""

    user: Text | None = Field(default=None, description="A user's name.")
    group: Text | None = Field(default=None, description="A group's name.")


class AccessDocument(Document):
    """Who works in the cooperative's namespaces."""

    operators: list[OperatorDocument] = Field(default=[], description="Users and groups that operate them.")


class EgressDocument(Document):
    """A flow out of the tenant that is allowed."""

    cidr: NetworkAddress = Field(description="The network it goes to, such as 203.0.113.0/24.")
    ports: list[Port] = Field(min_length=1, max_length=50, description="TCP ports.")
    why: DisplayText = Field(description="What it is for; shown to whoever reviews it.")


class NetworkDocument(Document):
    """Names and flows."""

    domain: Domain = Field(
        description="The tenant's host names end in it; below one of the platform's domain suffixes."
    )
    egress: list[EgressDocument] = Field(default=[], max_length=100, description="Flows to the outside.")


class PostgresDocument(Settings):
    """The cooperative's database."""

    isolation: Annotated[Isolation, BeforeValidator(choice(Isolation))] = Field(
        description="shared: a database of its own on the shared server."
    )
    member_layout: Annotated[MemberLayout, BeforeValidator(choice(MemberLayout))] = Field(
        description="How members are separated inside, as the solutions need it: by a column, or by a schema each."
    )
    storage: Bytes = Field(description="Size past which writes are stopped.")
    connection_limit: Annotated[PositiveCount, Field(description="Most sessions at one time.")]
    extensions: list[Text] = Field(
        max_length=30, description="PostgreSQL extensions; the Platform says which are allowed."
    )


class ObjectsDocument(Settings):
    """The cooperative's bucket."""

    quota: Bytes = Field(description="Size past which writes are stopped.")
    versioning: Boolean = Field(description="Keep former versions of objects.")


class DataStoreDocument(Settings):
    """One database and one bucket, shared by the cooperative's solutions."""

    postgres: PostgresDocument = Field(description="The database.")
    objects: ObjectsDocument = Field(description="The bucket.")


class CpuBudget(Settings):
    """CPU of all pods together."""

    requests: CpuMillis = Field(description="Sum of requests.")
    limits: CpuMillis = Field(description="Sum of limits.")


class SizeBudget(Settings):
    """Memory or ephemeral storage of all pods together."""

    requests: Bytes = Field(description="Sum of requests.")
    limits: Bytes = Field(description="Sum of limits.")


class CountsDocument(Settings):
    """How many objects of each kind a namespace may hold; a kind that is not listed cannot be made at all."""

    pods: PositiveCount = Field(description="Pods that have not ended.")
    services: PositiveCount = Field(description="Services (never NodePort or LoadBalancer).")
    secrets: PositiveCount = Field(description="Secrets.")
    configmaps: PositiveCount = Field(description="ConfigMaps.")
    persistentvolumeclaims: Count = Field(description="Volume claims.")
    replicationcontrollers: Count = Field(description="ReplicationControllers.")
    deployments: Count = Field(description="Deployments.")
    replicasets: Count = Field(description="ReplicaSets, those of former rollouts included.")
    statefulsets: Count = Field(description="StatefulSets.")
    daemonsets: Count = Field(description="DaemonSets.")
    jobs: Count = Field(description="Jobs.")
    cronjobs: Count = Field(description="CronJobs.")
    ingresses: Count = Field(description="Ingresses.")
    networkpolicies: PositiveCount = Field(description="NetworkPolicies, the platform's included.")
    roles: PositiveCount = Field(description="Roles.")
    rolebindings: PositiveCount = Field(description="RoleBindings.")
    serviceaccounts: PositiveCount = Field(description="ServiceAccounts.")
    resourcequotas: PositiveCount = Field(description="ResourceQuotas; the platform's are two.")
    horizontalpodautoscalers: Count = Field(description="HorizontalPodAutoscalers.")
    poddisruptionbudgets: Count = Field(description="PodDisruptionBudgets.")


class NamespaceResources(Settings):
    """The quota of one namespace."""

    cpu: CpuBudget = Field(description="CPU of all pods together.")
    memory: SizeBudget = Field(description="Memory of all pods together.")
    ephemeral_storage: SizeBudget = Field(description="Local scratch space of all pods together.")
    storage: Bytes = Field(description="Size of all volume claims together.")
    counts: CountsDocument = Field(description="How many objects of each kind.")


class ContainerResources(Settings):
    """CPU, memory and ephemeral storage of one container."""

    cpu: CpuMillis = Field(description="CPUs, such as 500m.")
    memory: Bytes = Field(description="Memory, such as 512Mi.")
    ephemeral_storage: Bytes = Field(description="Local scratch space, such as 1Gi.")


class ContainerMinimum(Settings):
    """The least that a container may ask for."""

    cpu: CpuMillis = Field(description="CPUs, such as 10m.")
    memory: Bytes = Field(description="Memory, such as 16Mi.")


class LimitRequestRatio(Settings):
    """How far a limit may exceed its request."""

    cpu: PositiveCount = Field(description="Limit divided by request, at most.")
    memory: PositiveCount = Field(description="Limit divided by request, at most.")


class ContainersDocument(Settings):
    """The limit range of a namespace's containers and claims."""

    default: ContainerResources = Field(description="Limits of a container that states none.")
    default_request: ContainerResources = Field(description="Requests of a container that states none.")
    max: ContainerResources = Field(description="The largest limits.")
    min: ContainerMinimum = Field(description="The smallest requests.")
    max_limit_request_ratio: LimitRequestRatio = Field(description="Overcommitment within a container.")
    max_claim_storage: Bytes = Field(description="The largest volume claim.")


class ResourcesDocument(Settings):
    """Quotas of both namespaces and the limits of containers."""

    apps: NamespaceResources = Field(description="Where the solutions run.")
    data: NamespaceResources = Field(description="Where the data store's Services and jobs are.")
    containers: ContainersDocument = Field(description="Limits of containers and claims in both.")


class SolutionDocument(Document):
    """A solution of the catalogue."""

    name: Slug = Field(description="Its name in the catalogue.")
    version: Text | None = Field(default=None, description="A version; without it the catalogue's own.")
    values: FreeValues = Field(default={}, description="Values for its chart.")
    integrates: list[Slug] = Field(default=[], description="Chosen solutions that it exchanges data with.")


def _members_form(value: object) -> str:
    return "<list>" if isinstance(value, list) else "<file>"


MembersDocument = Annotated[
    Annotated[MembersFile, Tag("<file>")] | Annotated[list[InlineMember], Tag("<list>")], Discriminator(_members_form)
]


def _inherited_not_required(schema: dict[str, Any]) -> None:
    """In text, what a template gives may be left out; after merging it is always there."""
    schema["required"] = [name for name in schema["required"] if name not in {"dataStore", "resources"}]


class CooperativeSpec(Document):
    """What the cooperative is, may use and gets."""

    model_config = ConfigDict(json_schema_extra=_inherited_not_required)

    sector: Slug = Field(description="Its trade, such as food-processing; commands select by it.")
    template: Slug = Field(description="The tenant template that gives what is not said here.")
    size: Slug = Field(description="A size that the template offers.")
    support: SupportDocument = Field(description="When the government pays, and what happens afterwards.")
    contact: ContactDocument | None = Field(
        default=None, description="Whom members call; else the platform's help desk."
    )
    members: MembersDocument = Field(description="The member companies: a CSV file, or a list.")
    access: AccessDocument = Field(default=AccessDocument.model_construct(), description="Who works in the namespaces.")
    network: NetworkDocument = Field(description="Names and flows.")
    data_store: DataStoreDocument = Field(description="Database and bucket.")
    resources: ResourcesDocument = Field(description="Quotas and limits.")
    solutions: list[SolutionDocument] = Field(default=[], max_length=50, description="What is installed for it.")


class CooperativeDocument(Document):
    """A cooperative: the tenant of the platform."""

    api_version: Literal["coopctl.dev/v1"] = Field(description=f"Always {API_VERSION}.")
    kind: Literal["Cooperative"] = Field(description="Always Cooperative.")
    metadata: MetadataDocument = Field(description="What it is called.")
    spec: CooperativeSpec = Field(description="What it is, may use and gets.")
