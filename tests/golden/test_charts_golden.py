"""The manifests of the shipped solutions, word for word, for a tenant with two replicas.

After a change that is meant: COOPCTL_WRITE_GOLDEN=1 pytest tests/golden/test_charts_golden.py, then read the diff.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from provisioner.descriptor.cooperative import SolutionChoice
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifests import charts_rendered_by
from provisioner.plan.resources import SolutionChart
from provisioner.plan.solution_layouts import needed_layout
from provisioner.toolchain import Toolchain
from tests.unit.plan import builders

FOLDER = Path(__file__).parent / "plan"
CHOSEN = {"portal": ("portal",), "ledger": ("ledger", "lot-tracing", "trade"), "member-files": ("member-files",)}


@pytest.mark.parametrize("name", CHOSEN)
def test_the_manifests_are_as_recorded(name: str) -> None:
    catalogue = builders.catalogue()
    cooperative = builders.cooperative(solutions=tuple(SolutionChoice(name=chosen) for chosen in CHOSEN[name]))
    layout = needed_layout(CHOSEN[name], catalogue=catalogue) or cooperative.postgres.member_layout
    plan = cooperative_plan(
        replace(cooperative, postgres=replace(cooperative.postgres, member_layout=layout)),
        platform=builders.platform(),
        catalogue=catalogue,
        images=builders.fake_lock(),
    )
    render = charts_rendered_by(Toolchain().ensure(["helm-render"], report=print)["helm-render"])
    made = [item for one in plan.resources if isinstance(one, SolutionChart) for item in render(one)]
    written = yaml.safe_dump_all(made, allow_unicode=True, sort_keys=False, width=120)
    file = FOLDER / f"{name}.yaml"
    if os.environ.get("COOPCTL_WRITE_GOLDEN"):
        file.write_text(written, encoding="utf-8")
    assert written == file.read_text(encoding="utf-8")
