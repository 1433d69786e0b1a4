"""The pilot estate as plans see it: on the embedded platform with its default ports, images from a fixed lock."""

import re
import shutil
from pathlib import Path

from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.endpoints import EmbeddedEndpoints
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_estate
from provisioner.descriptor.platform import Platform
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.resources import CooperativePlan
from tests.unit.plan import builders

PILOT = Estate(root=builders.ROOT / "examples" / "pilot")
NAMES = tuple(sorted(file.stem for file in PILOT.cooperatives.glob("*.yaml")))


def load_pilots(estate: Estate = PILOT) -> tuple[Platform, dict[str, Cooperative]]:
    """The platform and the seven cooperatives by name."""
    catalogue = builders.catalogue()
    platform, cooperatives = load_estate(estate, catalogue_names=catalogue.names, endpoints=EmbeddedEndpoints())
    return platform, {str(cooperative.name): cooperative for cooperative in cooperatives}


def resized(name: str, *, size: str, folder: Path) -> tuple[Platform, Cooperative]:
    """The pilot ``name`` after its descriptor's size was changed, in a copy of the estate below ``folder``."""
    estate = Estate(root=folder / "estate")
    shutil.copytree(PILOT.root, estate.root, ignore=shutil.ignore_patterns(".coopctl"))
    file = estate.cooperatives / f"{name}.yaml"
    file.write_text(re.sub(r"^  size: \w+$", f"  size: {size}", file.read_text(), flags=re.MULTILINE))
    platform, pilots = load_pilots(estate)
    return platform, pilots[name]


def pilot_plan(cooperative: Cooperative, *, platform: Platform) -> CooperativePlan:
    """The plan of a pilot."""
    return cooperative_plan(cooperative, platform=platform, catalogue=builders.catalogue(), images=builders.fake_lock())
