"""What must not be: two owners of one thing. Looked at before anything is changed.

- A cooperative that was renamed: its old stack is still there, and a new descriptor has its domain, or says that it is
  called the same. Applying would make a second, empty tenant beside the first, whose data nobody would find. (A renamed
  one may have changed both: whoever applies is asked then, see provisioner.operations.orphans.)
- A namespace that somebody else made: server-side apply would take it over silently.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from provisioner.cluster.objects import ClusterClient
from provisioner.errors import NotOurs, UsageError
from provisioner.naming import LABEL_CLUSTER, LABEL_COOPERATIVE, ClusterId
from provisioner.operations.orphans import Orphan, find_orphans, newcomers
from provisioner.operations.site import Site, Target
from provisioner.plan.resources import CooperativePlan, KubernetesObject


def require_no_rename(site: Site, names: Iterable[str]) -> None:
    """Raise UsageError if one of ``names`` is an orphan under another name, by its domain or by what it is called."""
    if not (orphans := find_orphans(site)):
        return
    wanted = tuple(names)
    new = newcomers(site, wanted)
    for name in wanted:
        cooperative = site.cooperatives[name]
        for orphan in orphans:
            if cooperative.network.domain == orphan.domain:
                raise _renamed(name, orphan, same=f"has the domain {orphan.domain} of")
            if name in new and cooperative.display_name == orphan.display_name:
                raise _renamed(name, orphan, same=f"is called {orphan.display_name} like")


def doubt(site: Site, names: Iterable[str]) -> str | None:
    """What only people can tell: whether those of ``names`` that would be made now are new, or renamed orphans.

    None if there is no doubt. Raises what `require_no_rename` raises: of that there is none either.
    """
    wanted = tuple(names)
    require_no_rename(site, wanted)
    old = [orphan.stack for orphan in find_orphans(site)]
    new = newcomers(site, wanted) if old else ()
    if not new:
        return None
    return (
        f"{_listed(new)} {_verb(new, 'has', 'have')} no stack yet, and {_listed(old)} "
        f"{_verb(old, 'is', 'are')} applied without a descriptor; a cooperative that was renamed would begin without "
        "its data and needs its old name back"
    )


def _renamed(name: str, orphan: Orphan, *, same: str) -> UsageError:
    old = orphan.stack
    return UsageError(
        f"{name} {same} {old}, which is applied but has no descriptor any more",
        why="names cannot change: namespaces, database and bucket are derived from them",
        hint=f"give it its old name {old!r} back, or run `coopctl destroy {old}` first, which keeps the data",
    )


def require_own_namespaces(site: Site, targets: Iterable[Target], *, open_reader: Callable[[], ClusterClient]) -> None:
    """Raise NotOurs if a namespace that is to be made exists and belongs to somebody else.

    Only stacks that do not have the namespace in their state are looked at; the cluster is not asked for others.
    """
    wanted = [
        (plan, item)
        for target in targets
        if isinstance(plan := target.plan, CooperativePlan)
        for item in _new_namespaces(site, target)
    ]
    if not wanted:
        return
    reader = open_reader()
    for plan, item in wanted:
        name = item.manifest["metadata"]["name"]
        found = reader.get(api_version="v1", kind="Namespace", name=name)
        if found is not None and not _is_ours(found, cooperative=plan.cooperative, cluster=plan.cluster):
            raise NotOurs(
                f"the namespace {name} exists already and does not belong to {plan.cooperative}",
                why=f"its labels are {_labels(found) or 'none'}",
                hint="choose another name for the cooperative, or take the namespace away",
            )


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _verb(names: Sequence[str], one: str, many: str) -> str:
    return one if len(names) == 1 else many


def _new_namespaces(site: Site, target: Target) -> list[KubernetesObject]:
    found = site.engine.checkpoint(target.name)
    known = {urn.rpartition("::")[2] for urn in (*found.resources, *found.pending)} if found else set()
    return [
        resource
        for resource in target.plan.resources
        if isinstance(resource, KubernetesObject)
        and resource.manifest["kind"] == "Namespace"
        and resource.key not in known
    ]


def _is_ours(namespace: Mapping[str, Any], *, cooperative: str, cluster: ClusterId) -> bool:
    labels = _labels(namespace)
    return labels.get(LABEL_COOPERATIVE) == cooperative and labels.get(LABEL_CLUSTER) == cluster


def _labels(found: Mapping[str, Any]) -> Mapping[str, str]:
    return (found.get("metadata") or {}).get("labels") or {}
