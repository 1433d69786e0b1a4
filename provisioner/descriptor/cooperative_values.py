"""From the checked document to the frozen Cooperative, with the origin of every value."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from provisioner.descriptor.checking import plain_data
from provisioner.descriptor.cooperative import (
    Contact,
    ContainerLimits,
    Cooperative,
    Egress,
    Member,
    NamespaceBudget,
    Network,
    ObjectStore,
    Operator,
    Origin,
    PostgresStore,
    SolutionChoice,
    SubjectKind,
    SupportPeriod,
)
from provisioner.descriptor.cooperative_document import (
    AccessDocument,
    ContactDocument,
    ContainersDocument,
    CooperativeDocument,
    DataStoreDocument,
    NamespaceResources,
    NetworkDocument,
    SolutionDocument,
)
from provisioner.descriptor.nodes import Node, ScalarNode, find, leaves, location
from provisioner.naming import CooperativeName


def cooperative_value(
    document: CooperativeDocument, *, members: tuple[Member, ...], root: Node, template_version: str, source: Path
) -> Cooperative:
    """The cooperative that ``document`` (merged, checked) with the tree ``root`` means."""
    spec = document.spec
    return Cooperative(
        name=CooperativeName(document.metadata.name),
        display_name=document.metadata.display_name,
        sector=spec.sector,
        template=spec.template,
        template_version=template_version,
        size=spec.size,
        support=SupportPeriod(start=spec.support.start, end=spec.support.end, afterwards=spec.support.afterwards),
        contact=contact(spec.contact),
        members=members,
        operators=_operators(spec.access),
        network=_network(spec.network),
        postgres=_postgres(spec.data_store),
        objects=ObjectStore(quota_bytes=spec.data_store.objects.quota, versioning=spec.data_store.objects.versioning),
        apps_budget=_budget(spec.resources.apps),
        data_budget=_budget(spec.resources.data),
        container_limits=_limits(spec.resources.containers),
        solutions=tuple(_solution(solution, index=index, root=root) for index, solution in enumerate(spec.solutions)),
        source=source,
        origins=DocumentOrigins(root=root),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class DocumentOrigins(Mapping[str, Origin]):
    """Dotted path -> where the value there in the merged document ``root`` came from; worked out when first asked."""

    root: Node

    @cached_property
    def _found(self) -> dict[str, Origin]:
        return {path: _origin(node) for path, node in leaves(self.root)}

    def __getitem__(self, path: str) -> Origin:
        """The origin of the value at ``path``."""
        return self._found[path]

    def __iter__(self) -> Iterator[str]:
        """The paths in the order of the merged document."""
        return iter(self._found)

    def __len__(self) -> int:
        """How many values there are."""
        return len(self._found)


def _origin(node: Node) -> Origin:
    expression = node.expression if isinstance(node, ScalarNode) else None
    return Origin(kind=node.layer, location=location(node), expression=expression, text=_text(node))


def _text(node: Node) -> str:
    return node.text if isinstance(node, ScalarNode) else json.dumps(plain_data(node), ensure_ascii=False)


def contact(document: ContactDocument | None) -> Contact:
    """Whom to call; nobody if ``document`` is None."""
    return Contact(name=document.name, phone=document.phone, email=document.email) if document else Contact()


def _operators(access: AccessDocument) -> tuple[Operator, ...]:
    return tuple(
        Operator(kind=SubjectKind.USER, name=operator.user)
        if operator.user is not None
        else Operator(kind=SubjectKind.GROUP, name=operator.group or "")
        for operator in access.operators
    )


def _network(network: NetworkDocument) -> Network:
    return Network(
        domain=network.domain,
        egress=tuple(Egress(cidr=egress.cidr, ports=tuple(egress.ports), why=egress.why) for egress in network.egress),
    )


def _postgres(data_store: DataStoreDocument) -> PostgresStore:
    postgres = data_store.postgres
    return PostgresStore(
        member_layout=postgres.member_layout,
        storage_bytes=postgres.storage,
        connection_limit=postgres.connection_limit,
        extensions=tuple(postgres.extensions),
    )


def _budget(resources: NamespaceResources) -> NamespaceBudget:
    return NamespaceBudget(
        requests_cpu_millis=resources.cpu.requests,
        limits_cpu_millis=resources.cpu.limits,
        requests_memory_bytes=resources.memory.requests,
        limits_memory_bytes=resources.memory.limits,
        requests_ephemeral_storage_bytes=resources.ephemeral_storage.requests,
        limits_ephemeral_storage_bytes=resources.ephemeral_storage.limits,
        requests_storage_bytes=resources.storage,
        # The names of the counts are the same on both sides, which mypy cannot see; the model has checked them.
        **resources.counts.model_dump(),
    )


def _limits(containers: ContainersDocument) -> ContainerLimits:
    return ContainerLimits(
        default_cpu_millis=containers.default.cpu,
        default_memory_bytes=containers.default.memory,
        default_ephemeral_storage_bytes=containers.default.ephemeral_storage,
        default_request_cpu_millis=containers.default_request.cpu,
        default_request_memory_bytes=containers.default_request.memory,
        default_request_ephemeral_storage_bytes=containers.default_request.ephemeral_storage,
        max_cpu_millis=containers.max.cpu,
        max_memory_bytes=containers.max.memory,
        max_ephemeral_storage_bytes=containers.max.ephemeral_storage,
        min_cpu_millis=containers.min.cpu,
        min_memory_bytes=containers.min.memory,
        max_limit_request_ratio_cpu=containers.max_limit_request_ratio.cpu,
        max_limit_request_ratio_memory=containers.max_limit_request_ratio.memory,
        max_claim_storage_bytes=containers.max_claim_storage,
    )


def _solution(solution: SolutionDocument, *, index: int, root: Node) -> SolutionChoice:
    node, _ = find(root, ("spec", "solutions", index))
    return SolutionChoice(
        name=solution.name,
        version=solution.version,
        values=MappingProxyType(solution.values),
        integrates=tuple(solution.integrates),
        location=location(node),
    )
