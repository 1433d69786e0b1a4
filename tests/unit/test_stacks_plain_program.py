"""`stacks/__main__.py`, as a Pulumi of one's own runs it, under Pulumi's mocks.

In a process of its own, because Pulumi's mocks are global to a process.
"""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue import images_lock, load_catalogue, shipped_charts
from provisioner.datastore.records import open_records
from provisioner.datastore.store_places import StoreRecord, write_place
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_estate, load_platform
from provisioner.descriptor.platform import Endpoint
from provisioner.naming import ANNOTATION_EXCEPTIONS
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.platform import platform_plan
from provisioner.plan.store_place import StorePlace
from tests.unit.plan import builders

ROOT = Path(__file__).parents[2]
RUN_UNDER_MOCKS = """
import json, runpy, sys
import pulumi.runtime
from pulumi.runtime import mocks

class Recorder(mocks.Mocks):
    declared = {}
    def new_resource(self, args):
        self.declared[args.name] = args.inputs
        made = {"password": "p", "accessKeyId": "a", "secretAccessKey": "s"}
        return f"{args.name}-id", {**args.inputs, **made}
    def call(self, args):
        raise AssertionError(args.token)

estate, stack = sys.argv[1:]
mocks.set_mocks(Recorder(), project="coopctl", stack=stack, preview=False)
pulumi.runtime.set_config("coopctl:estate", estate)
pulumi.runtime.test(lambda: runpy.run_module("stacks", run_name="__main__") and None)()
print(json.dumps(Recorder.declared, default=str))
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


def _declared(estate: Estate, *, stack: str) -> dict[str, Any]:
    """What is declared, by name: the inputs of each resource."""
    done = _run(estate, stack=stack)
    assert done.returncode == 0, done.stderr
    declared: dict[str, Any] = json.loads(done.stdout)
    return declared


def test_a_cooperatives_stack_declares_every_resource_of_its_plan(estate: Estate) -> None:
    catalogue = load_catalogue(shipped_charts())
    platform, (plastics,) = load_estate(estate, catalogue_names=catalogue.names, names=("plastics",))
    plan = cooperative_plan(
        plastics, platform=platform, catalogue=catalogue, images=images_lock.read(estate.images_lock)
    )
    assert {resource.key for resource in plan.resources} <= set(_declared(estate, stack="plastics"))


EXCEPTION = """\
apiVersion: coopctl.dev/v1
kind: PolicyException
metadata: {{name: {name}}}
spec: {{rule: {rule}, cooperative: plastics, who: 플랫폼 운영팀, why: the registry is being moved, until: {until}}}
"""


def test_exceptions_that_hold_are_declared_and_those_that_have_run_out_are_not(estate: Estate) -> None:
    folder = estate.root / "exceptions"
    folder.mkdir()
    for name, rule, until in (("held", "image-pull", "2999-01-31"), ("over", "image-digest", "2001-01-31")):
        (folder / f"{name}.yaml").write_text(EXCEPTION.format(name=name, rule=rule, until=until))
    annotations = _declared(estate, stack="plastics")["apps-namespace"]["metadata"]["annotations"]
    assert annotations[ANNOTATION_EXCEPTIONS] == "image-pull"


def _store(estate: Estate, *, moving: bool) -> None:
    place = StorePlace(postgres=Endpoint(host="203.0.113.10", port=5433), objects=Endpoint(host="203.0.113.20", port=1))
    since = datetime(2026, 12, 5, tzinfo=UTC)
    record = StoreRecord(migration="out", place=place, moved=not moving, moving=moving, since=since)
    write_place(open_records(load_platform(estate).state.url), "plastics", record)


def test_where_a_data_store_has_moved_to_its_services_still_lead(estate: Estate) -> None:
    here = _declared(estate, stack="plastics")["data-endpointslice-postgres-coopctl"]
    _store(estate, moving=False)
    there = _declared(estate, stack="plastics")["data-endpointslice-postgres-coopctl"]
    assert (there["endpoints"][0]["addresses"], there["ports"][0]["port"]) == (["203.0.113.10"], 5433)
    assert here["endpoints"] != there["endpoints"]


def test_while_a_data_store_moves_nothing_is_declared(estate: Estate) -> None:
    _store(estate, moving=True)
    done = _run(estate, stack="plastics")
    assert done.returncode != 0
    assert "its data store is on its way by the migration out" in done.stderr
    assert done.stdout == ""


def test_the_platforms_stack_declares_what_the_cluster_holds_for_all(estate: Estate) -> None:
    platform, _ = load_estate(estate, names=())
    keys = {resource.key for resource in platform_plan(platform).resources}
    assert keys
    assert keys <= set(_declared(estate, stack="platform"))


def test_a_stack_that_no_descriptor_describes_is_refused(estate: Estate) -> None:
    done = _run(estate, stack="nobody")
    assert done.returncode != 0
    assert "nobody" in done.stderr
