"""Pure: how an object of the cluster differs from what it must be, in one walk over both.

A guard is to be what is planned and nothing beside: one more selector or scope narrows what it holds for, one more
subject widens whom it is for. Plans state all that the API server would fill in, but for Services. What is about the
object itself (labels, annotations, status) may have more than is planned: others put theirs there too.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.plan.manifest import Manifest

# What every object has, what the cluster keeps of a Namespace (`spec`), and what it adds to a ServiceAccount.
_OF_OTHERS = frozenset({"apiVersion", "imagePullSecrets", "kind", "metadata", "secrets", "spec", "status"})
_ABOUT_ITSELF = frozenset({"metadata", "status"})
# What the API server chooses for a Service, out of networks of the cluster's.
_ALLOCATED = frozenset({"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"})
# What it fills in for a Service that does not say (core/v1 ServiceSpec).
_FILLED_IN = {"internalTrafficPolicy": "Cluster", "sessionAffinity": "None"}


def deviations(wanted: Manifest, found: Manifest) -> Iterator[str]:
    """Where ``found`` lacks something that ``wanted`` says, or has something beside it, in words."""
    for key, value in wanted.items():
        yield from _walk(value, found.get(key), path=key, exact=key not in _ABOUT_ITSELF)
    for key in sorted(found.keys() - wanted.keys() - _OF_OTHERS):
        yield from _unplanned(key, found[key], path=key)


def shortfalls(wanted: Mapping[str, Any], found: Manifest) -> Iterator[str]:
    """Where ``found`` lacks something that ``wanted`` says; what else it has does not matter, but in lists."""
    for key, value in wanted.items():
        yield from _walk(value, found.get(key), path=key, exact=False)


def _walk(wanted: Any, found: Any, *, path: str, exact: bool) -> Iterator[str]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key, value in wanted.items():
            yield from _walk(value, found.get(key), path=f"{path}.{key}", exact=exact)
        for key in found.keys() - wanted.keys() if exact else ():
            yield from _unplanned(key, found[key], path=f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from _walk(one, other, path=f"{path}[{index}]", exact=exact)
    elif wanted != found and (wanted or found):
        yield f"{path} is {found!r}, not {wanted!r}"


def _unplanned(key: str, value: Any, *, path: str) -> Iterator[str]:
    if value and key not in _ALLOCATED and value != _FILLED_IN.get(key):
        yield f"{path} is {value!r}, and is not planned"
