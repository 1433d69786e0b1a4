"""The program for people who run plain `pulumi preview` with a Pulumi installation of their own.

The stack's name chooses what is declared: `platform`, or a cooperative of the estate that the config value
`coopctl:estate` names (a folder, relative to Pulumi.yaml). Plan and declarations are those of coopctl itself, with the
exceptions that hold today. What coopctl keeps beside its own state is read as well: where a data store has moved to,
its Services lead there; while it moves, nothing is declared.
"""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pulumi

from provisioner.catalogue import images_lock, load_catalogue, shipped_charts
from provisioner.datastore.records import open_records
from provisioner.datastore.store_places import moved_to, require_settled, target_of
from provisioner.descriptor.estate import Estate, find_estate
from provisioner.descriptor.loading import load_estate, load_exceptions, load_platform
from provisioner.naming import PLATFORM_STACK
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.platform import platform_plan
from provisioner.rules.excepting import in_force, known_rules, tenant_wide
from stacks.programs import StackPrograms

PROJECT_FOLDER = Path(__file__).parents[1]


def declare(stack: str, *, estate: Estate) -> None:
    """Declare the stack ``stack`` of ``estate``. Raises InvalidDescriptor, NotFound, DataStoreMoving."""
    if stack == PLATFORM_STACK:
        platform = load_platform(estate)
        StackPrograms().declaring(platform_plan(platform), platform=platform)()
        return
    own = (estate.charts,) if estate.charts.is_dir() else ()
    catalogue = load_catalogue(shipped_charts(), *own)
    platform, (cooperative,) = load_estate(estate, catalogue_names=catalogue.names, names=(stack,))
    records = open_records(platform.state.url, credentials_file=platform.state.credentials_file)
    require_settled(records, [stack])
    plan = cooperative_plan(
        cooperative,
        platform=platform,
        catalogue=catalogue,
        images=images_lock.read(estate.images_lock),
        exceptions=excepted(stack, estate=estate),
        moved_to=moved_to(records, stack),
    )
    StackPrograms(targets=partial(target_of, estate, records)).declaring(plan, platform=platform)()


def excepted(cooperative: str, *, estate: Estate) -> tuple[str, ...]:
    """The rules that hold for no object of ``cooperative`` today (UTC). Raises InvalidDescriptor."""
    found = load_exceptions(estate, rules=known_rules(), names=(cooperative,))
    return tenant_wide(in_force(found, cooperative=cooperative, today=datetime.now(UTC).date()))


if __name__ == "__main__":
    named = pulumi.Config("coopctl").get("estate")
    declare(pulumi.get_stack(), estate=find_estate(PROJECT_FOLDER / named if named else None, start=Path.cwd()))
