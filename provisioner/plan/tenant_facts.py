"""What rules judge a tenant by: its own names, and what the platform lets it use."""

from collections.abc import Sequence

from provisioner.descriptor.platform import Platform
from provisioner.plan import priority_class
from provisioner.plan.tenant import Tenant
from provisioner.rules.facts import Facts, subject


def tenant_facts(tenant: Tenant, *, platform: Platform, exceptions: Sequence[str] = ()) -> Facts:
    """The facts about ``tenant`` on ``platform``; ``exceptions`` are the ids of rules that do not hold for it now."""
    return Facts(
        namespaces=(tenant.names.apps_namespace, tenant.names.data_namespace),
        domain=tenant.cooperative.network.domain,
        registries=platform.registry.allowed,
        storage_classes=platform.storage_classes,
        ingress_class=platform.ingress.class_name,
        priority_classes=(priority_class.SOLUTIONS, priority_class.BATCH, *platform.priority_classes),
        operators=tuple(
            sorted(subject(str(operator.kind), operator.name) for operator in tenant.cooperative.operators)
        ),
        solutions=tuple(sorted(solution.name for solution in tenant.cooperative.solutions)),
        exceptions=tuple(sorted(exceptions)),
    )
