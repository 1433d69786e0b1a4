"""Solutions as Helm charts: which are chosen, in which order, with which final values.

A chart's values have three owners that cannot meet: ``coopctl`` (facts of the tenant), ``images`` (references by
digest) and everything else (the descriptor's values over the chart's defaults; Helm merges those).
"""

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any

from provisioner.catalogue import Catalogue, Solution
from provisioner.catalogue.images_lock import ImagesLock
from provisioner.catalogue.solution import installation_order
from provisioner.descriptor.cooperative import Contact, Cooperative
from provisioner.descriptor.platform import Platform
from provisioner.naming import LABEL_SOLUTION, SECRET_DATA_STORE, SECRET_DATA_STORE_MIGRATION
from provisioner.plan import priority_class
from provisioner.plan.integration import DATABASE, integration_facts, placed_solutions
from provisioner.plan.metadata import SOLUTION_ANNOTATIONS, namespace_labels
from provisioner.plan.resources import SolutionChart
from provisioner.plan.solution_choice import FACTS, IMAGES, refuse_problems
from provisioner.plan.tenant import Tenant

HTTP_PORT = 80
# With fewer pods than this in its quota a tenant has no room for two replicas of anything and a rollout beside.
PODS_FOR_TWO_REPLICAS = 10


def solution_key(name: str) -> str:
    """The key of the solution called ``name``."""
    return f"solution-{name}"


def require_installable(cooperative: Cooperative, *, catalogue: Catalogue, images: ImagesLock) -> None:
    """Raise what `solution_charts` would raise for ``cooperative``, without deciding anything."""
    refuse_problems(cooperative, catalogue=catalogue)
    for choice in cooperative.solutions:
        for image in catalogue.solution(choice.name).images:
            images.image(image)


def solution_charts(
    tenant: Tenant,
    *,
    platform: Platform,
    catalogue: Catalogue,
    images: ImagesLock,
    rotation: int = 0,
    depends_on: tuple[str, ...],
) -> tuple[SolutionChart, ...]:
    """The chosen solutions in the order of their installation; all of them after ``depends_on``.

    With a higher ``rotation`` pods that use the data store begin anew: their Secret has other credentials. Raises
    InvalidDescriptor with everything that is wrong with the choice, NotFound for an image without digest.
    """
    choices = {choice.name: choice for choice in tenant.cooperative.solutions}
    refuse_problems(tenant.cooperative, catalogue=catalogue)
    chosen = {name: catalogue.solution(name) for name in sorted(choices)}
    before = installation_order(chosen.values())
    placed = placed_solutions(tenant.cooperative, catalogue=catalogue)
    return tuple(
        SolutionChart(
            key=solution_key(name),
            release=name,
            solution=name,
            version=chosen[name].version,
            chart=chosen[name].chart,
            namespace=tenant.names.apps_namespace,
            values={
                **choices[name].values,
                FACTS: _facts(tenant, solution=chosen[name], chosen=chosen, platform=platform)
                | integration_facts(name, placed=placed, tenant=tenant)
                | ({"rotation": rotation} if rotation else {}),
                IMAGES: _pinned(chosen[name], images=images, platform=platform),
            },
            depends_on=(*depends_on, *(solution_key(other) for other in before[name])),
        )
        for name in TopologicalSorter(before).static_order()
    )


def _facts(tenant: Tenant, *, solution: Solution, chosen: Mapping[str, Solution], platform: Platform) -> dict[str, Any]:
    cooperative = tenant.cooperative
    return {
        "cooperative": {
            "name": cooperative.name,
            "displayName": cooperative.display_name,
            "sector": cooperative.sector,
            "members": len(cooperative.members),
        },
        "labels": {**namespace_labels(tenant.apps), LABEL_SOLUTION: solution.name},
        "annotations": dict(SOLUTION_ANNOTATIONS),
        "host": _host(solution, chosen=chosen, domain=cooperative.network.domain),
        "ingressClass": platform.ingress.class_name,
        "dataStoreSecret": SECRET_DATA_STORE,
        "migration": _migration(tenant, solution=solution),
        "modules": _modules(solution, chosen=chosen.values()),
        "extensions": [_extension(other) for other in chosen.values() if other.extends == solution.name],
        "extension": _extension(solution),
        "priorityClass": priority_class.SOLUTIONS,
        "twoReplicas": cooperative.apps_budget.pods >= PODS_FOR_TWO_REPLICAS,
        "solutions": [_link(other, tenant=tenant, chosen=chosen, platform=platform) for other in chosen.values()],
        "support": {
            "start": cooperative.support.start.isoformat(),
            "end": cooperative.support.end.isoformat(),
            "afterwards": str(cooperative.support.afterwards),
        },
        "contact": _contact(cooperative.contact),
        "helpDesk": _contact(platform.help_desk),
    }


def _migration(tenant: Tenant, *, solution: Solution) -> dict[str, Any]:
    """What a Job that changes tables needs: it runs beside the data, as the role that owns them."""
    return {
        "namespace": tenant.names.data_namespace,
        "labels": {**namespace_labels(tenant.data), LABEL_SOLUTION: solution.name},
        "secret": SECRET_DATA_STORE_MIGRATION,
        "role": tenant.names.owner_role,
        "priorityClass": priority_class.BATCH,
        "firstUser": solution.first_user,
    }


def _modules(solution: Solution, *, chosen: Iterable[Solution]) -> list[str]:
    """The modules of the solution's server: its own, and those of the solutions that run in it."""
    together = [solution, *(other for other in chosen if other.extends == solution.name)]
    return sorted({module for one in together for module in one.modules})


def _extension(solution: Solution) -> dict[str, Any]:
    """What a solution brings to the server that it extends; no module if it has none of its own."""
    module = solution.own_module
    return {
        "solution": solution.name,
        "version": solution.version,
        "module": module and {"name": module.name, "digest": module.digest, "files": module.keys},
    }


def _host(solution: Solution, *, chosen: Mapping[str, Solution], domain: str) -> str | None:
    host = solution.host or (chosen[solution.extends].host if solution.extends else None)
    return f"{host}.{domain}" if host else None


def _link(solution: Solution, *, tenant: Tenant, chosen: Mapping[str, Solution], platform: Platform) -> dict[str, Any]:
    domain, port = tenant.cooperative.network.domain, platform.ingress.http_port
    host = _host(solution, chosen=chosen, domain=domain)
    address = host if port == HTTP_PORT else f"{host}:{port}"
    page = solution.page or (chosen[solution.extends].page if solution.extends else "")
    return {
        "name": solution.name,
        "displayName": {"ko": solution.display_name_ko, "en": solution.display_name_en},
        "category": str(solution.category),
        "url": f"http://{address}/{page.replace(DATABASE, tenant.names.database)}" if host else None,
    }


def _contact(contact: Contact) -> dict[str, str]:
    return {"name": contact.name, "phone": contact.phone, "email": contact.email}


def _pinned(solution: Solution, *, images: ImagesLock, platform: Platform) -> Mapping[str, str]:
    return {name: images.image(name).reference(platform.registry.address) for name in solution.images}
