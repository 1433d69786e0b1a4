"""`stacks/__main__.py`, as a Pulumi of one's own runs it, under Pulumi's mocks.

In a process of its own, because Pulumi's mocks are global to a process.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.catalogue import images_lock, load_catalogue, shipped_charts
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_estate
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.platform import platform_plan
from tests.unit.plan import builders

ROOT = Path(__file__).parents[2]
RUN_UNDER_MOCKS = """
import json, runpy, sys
import pulumi.runtime
from pulumi.runtime import mocks

class Recorder(mocks.Mocks):
    declared = []
    def new_resource(self, args):
        self.declared.append(args.name)
        made = {"password": "p", "accessKeyId": "a", "secretAccessKey": "s"}
        return f"{args.name}-id", {**args.inputs, **made}
    def call(self, args):
        raise AssertionError(args.token)

estate, stack = sys.argv[1:]
mocks.set_mocks(Recorder(), project="coopctl", stack=stack, preview=False)
pulumi.runtime.set_config("coopctl:estate", estate)
pulumi.runtime.test(lambda: runpy.run_module("stacks", run_name="__main__") and None)()
print(json.dumps(Recorder.declared))
"""


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    """The pilot estate with a lock of images."""
    root = tmp_path / "pilot"
    shutil.copytree(ROOT / "examples" / "pilot", root, ignore=shutil.ignore_patterns(".coopctl", "images.lock"))
    images_lock.write(images_lock.ImagesLock(source=root / "images.lock", images=builders.fake_lock().images))
    return Estate(root=root)


def _run(estate: Estate, *, stack: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN_UNDER_MOCKS, str(estate.root), stack]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def _declared(estate: Estate, *, stack: str) -> set[str]:
    done = _run(estate, stack=stack)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_a_cooperatives_stack_declares_every_resource_of_its_plan(estate: Estate) -> None:
    catalogue = load_catalogue(shipped_charts())
    platform, (plastics,) = load_estate(estate, catalogue_names=catalogue.names, names=("plastics",))
    plan = cooperative_plan(
        plastics, platform=platform, catalogue=catalogue, images=images_lock.read(estate.images_lock)
    )
    assert {resource.key for resource in plan.resources} <= _declared(estate, stack="plastics")


def test_the_platforms_stack_declares_what_the_cluster_holds_for_all(estate: Estate) -> None:
    platform, _ = load_estate(estate, names=())
    keys = {resource.key for resource in platform_plan(platform).resources}
    assert keys
    assert keys <= _declared(estate, stack="platform")


def test_a_stack_that_no_descriptor_describes_is_refused(estate: Estate) -> None:
    done = _run(estate, stack="nobody")
    assert done.returncode != 0
    assert "nobody" in done.stderr
