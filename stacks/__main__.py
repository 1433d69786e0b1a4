"""The program for people who run plain `pulumi preview` with a Pulumi installation of their own.

The stack's name chooses what is declared: `platform`, or a cooperative of the estate that the config value
`coopctl:estate` names (a folder, relative to Pulumi.yaml). Plan and declarations are those of coopctl itself.
"""

from pathlib import Path

import pulumi

from provisioner.catalogue import images_lock, load_catalogue, shipped_charts
from provisioner.descriptor.estate import Estate, find_estate
from provisioner.descriptor.loading import load_estate, load_platform
from provisioner.naming import PLATFORM_STACK
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.platform import platform_plan
from stacks.programs import StackPrograms

PROJECT_FOLDER = Path(__file__).parents[1]


def declare(stack: str, *, estate: Estate) -> None:
    """Declare the stack ``stack`` of ``estate``. Raises InvalidDescriptor or NotFound."""
    if stack == PLATFORM_STACK:
        platform = load_platform(estate)
        StackPrograms().declaring(platform_plan(platform), platform=platform)()
        return
    own = (estate.charts,) if estate.charts.is_dir() else ()
    catalogue = load_catalogue(shipped_charts(), *own)
    platform, (cooperative,) = load_estate(estate, catalogue_names=catalogue.names, names=(stack,))
    images = images_lock.read(estate.images_lock)
    plan = cooperative_plan(cooperative, platform=platform, catalogue=catalogue, images=images)
    StackPrograms().declaring(plan, platform=platform)()


if __name__ == "__main__":
    named = pulumi.Config("coopctl").get("estate")
    declare(pulumi.get_stack(), estate=find_estate(PROJECT_FOLDER / named if named else None, start=Path.cwd()))
