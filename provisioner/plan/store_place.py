"""Where a cooperative's data store lives once it has moved away from the platform's servers.

Everything that leads pods to a data store follows from the platform's endpoints. A cooperative that has moved is
planned on the same platform with other endpoints: no builder, and no promise that a proof looks at, knows of moves.
"""

from dataclasses import dataclass, replace

from provisioner.descriptor.platform import Endpoint, Platform


@dataclass(frozen=True, kw_only=True)
class StorePlace:
    """The servers of a data store, as pods reach them.

    ``rotation`` counts how often its credentials were changed since it is there for good; ``erased``: nothing of it is
    on the platform's servers any more. ``handed_over`` is the id of the cluster of its own estate, if one has taken it
    over: nothing of it is changed from here any more.
    """

    postgres: Endpoint
    objects: Endpoint
    rotation: int = 0
    erased: bool = False
    handed_over: str = ""


def platform_place(platform: Platform) -> StorePlace:
    """The platform's own servers."""
    return StorePlace(postgres=platform.postgres.pods, objects=platform.objects.pods)


def seen_from_pods(platform: Platform, *, moved_to: StorePlace | None) -> Platform:
    """``platform`` as pods of a cooperative see it whose data store is at ``moved_to`` (None: at home)."""
    if moved_to is None:
        return platform
    return replace(
        platform,
        postgres=replace(platform.postgres, pods=moved_to.postgres),
        objects=replace(platform.objects, pods=moved_to.objects),
    )
