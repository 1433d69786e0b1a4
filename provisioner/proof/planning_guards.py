"""Pure: attempts on the guards themselves: each is in force as planned, and no operator changes or deletes it."""

from collections.abc import Iterator, Sequence

from provisioner.cluster.api import MERGE_PATCH
from provisioner.cluster.discovery import ApiResource
from provisioner.cluster.objects import resource_path
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import PlatformPlan
from provisioner.proof.attempts import About, Area, DryRun, Guard, GuardKind, GuardLook, RequestAttempt, Right
from provisioner.proof.planning_objects import admission_policy
from provisioner.proof.tenant import Attacker, ProvenTenant
from provisioner.rules.cluster_only import PLATFORM_OBJECTS

_LABEL = "coopctl-proof"
_CHANGE = {"metadata": {"labels": {_LABEL: "changed"}}}
# What each change needs by RBAC, and how it is asked for.
_CHANGES = {"patch": "PATCH", "delete": "DELETE"}
_DRY = "?dryRun=All"


def guard_attempts(
    tenant: ProvenTenant, *, platform: PlatformPlan, resources: Sequence[ApiResource], rights: frozenset[Right]
) -> tuple[RequestAttempt, ...]:
    """The attempts on the tenant's guards and the platform's; ``rights`` are the operators' where the solutions are."""
    names = {(resource.api_version, resource.kind): resource for resource in resources if not resource.subresource}
    guards = [item.manifest for item in (*tenant.guards.values(), *platform.resources)]
    known = [(manifest, names[manifest["apiVersion"], manifest["kind"]]) for manifest in guards]
    made: list[RequestAttempt] = [_look(manifest, resource) for manifest, resource in known]
    for operator in tenant.operators[:1]:
        for manifest, resource in known:
            here = rights if manifest["metadata"].get("namespace") == tenant.apps else frozenset()
            made += _changes(manifest, resource, operator=operator, rights=here)
    return tuple(made)


def _look(manifest: Manifest, resource: ApiResource) -> GuardLook:
    return GuardLook(
        about=About(
            id=f"guards/{_name(manifest)}", area=Area.GUARDS, who="coopctl", what=f"finds {_name(manifest)} as planned"
        ),
        path=_path(manifest, resource),
        wanted=_wanted(manifest),
    )


def _wanted(manifest: Manifest) -> Manifest:
    wanted = {key: value for key, value in manifest.items() if key not in {"apiVersion", "kind"}}
    # A quota counts by its status: one that no controller has taken up bounds nothing.
    return {**wanted, "status": {"hard": manifest["spec"]["hard"]}} if manifest["kind"] == "ResourceQuota" else wanted


def _changes(
    manifest: Manifest, resource: ApiResource, *, operator: Attacker, rights: frozenset[Right]
) -> Iterator[RequestAttempt]:
    for verb, method in _CHANGES.items():
        may = Right(group=resource.group, resource=resource.name, verb=verb) in rights
        changing = verb == "patch"
        yield DryRun(
            about=About(
                id=f"guards/{_name(manifest)}/{operator.label}/{verb}",
                area=Area.GUARDS,
                who=operator.label,
                what=f"{'changes' if changing else 'deletes'} {_name(manifest)}",
                guard=admission_policy(PLATFORM_OBJECTS.id) if may else Guard(kind=GuardKind.RBAC),
            ),
            identity=operator.identity,
            method=method,
            path=_path(manifest, resource) + _DRY,
            body=_CHANGE if changing else None,
            content_type=MERGE_PATCH if changing else None,
        )


def _path(manifest: Manifest, resource: ApiResource) -> str:
    about = manifest["metadata"]
    return resource_path(
        api_version=manifest["apiVersion"],
        resource=resource.name,
        name=about["name"],
        namespace=about.get("namespace", ""),
    )


def _name(manifest: Manifest) -> str:
    about = manifest["metadata"]
    where = f"{about['namespace']}/" if "namespace" in about else ""
    return f"{manifest['kind']} {where}{about['name']}"
