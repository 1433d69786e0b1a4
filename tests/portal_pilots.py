"""Copies of the pilot estate: with the portal alone for tests that are not about solutions, as it is for the others."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.running_estate import COOPCTL

PILOT = Path(__file__).parents[1] / "examples" / "pilot"
CHOSEN = re.compile(r"^  solutions:\n(?:    .*\n)+", flags=re.MULTILINE)
PORTAL = "  solutions:\n    - {name: portal}\n"


def copy_pilots(folder: Path) -> Path:
    """Copy the pilot estate to ``folder``, without what belongs to a machine; as it is, with all its solutions."""
    shutil.copytree(PILOT, folder, ignore=shutil.ignore_patterns(".coopctl", "images.lock"))
    return folder


def copy_portal_pilots(folder: Path) -> Path:
    """Copy the pilot estate to ``folder``; every cooperative there has chosen the portal, and nothing else."""
    for descriptor in sorted((copy_pilots(folder) / "cooperatives").glob("*.yaml")):
        text, replaced = CHOSEN.subn(PORTAL, descriptor.read_text(encoding="utf-8"))
        assert replaced == 1, descriptor
        descriptor.write_text(text, encoding="utf-8")
    return folder


def build_images(estate: Path) -> None:
    """Build the images once with the machine's network: inside a namespace of its own there is none, nor need be."""
    subprocess.run([COOPCTL, "images", "build", "--used", "--estate", estate], check=True, capture_output=True)
