"""Whole plans, word for word: a change of any name, number or order shows as a change of these files.

After a change that is meant: COOPCTL_WRITE_GOLDEN=1 pytest tests/golden/test_plan_golden.py, then read the diff.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.plan.explaining import as_document
from provisioner.plan.platform import platform_plan
from provisioner.plan.resources import StackPlan
from tests.unit.plan.pilots import load_pilots, pilot_plan, resized

FOLDER = Path(__file__).parent / "plan"


def small(folder: Path) -> StackPlan:
    """A small pilot."""
    platform, pilots = load_pilots()
    return pilot_plan(pilots["jangrim-plating"], platform=platform)


def large(folder: Path) -> StackPlan:
    """The pilot with the most users, in the largest size."""
    platform, cooperative = resized("rice-processing", size="large", folder=folder)
    return pilot_plan(cooperative, platform=platform)


def platform_wide(folder: Path) -> StackPlan:
    """What is cluster-wide."""
    return platform_plan(load_pilots()[0])


PLANS: dict[str, Callable[[Path], StackPlan]] = {"small": small, "large": large, "platform": platform_wide}


@pytest.mark.parametrize("name", PLANS)
def test_the_plan_is_as_recorded(name: str, tmp_path: Path) -> None:
    written = json.dumps(as_document(PLANS[name](tmp_path)), ensure_ascii=False, indent=1) + "\n"
    file = FOLDER / f"{name}.json"
    if os.environ.get("COOPCTL_WRITE_GOLDEN"):
        file.write_text(written, encoding="utf-8")
    assert written == file.read_text(encoding="utf-8")
