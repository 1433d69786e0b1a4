"""Checkov, a static checker of somebody else's, finds nothing in the rendered manifests of any pilot.

It lives in a virtual environment of its own in the user's cache, made once for each state of requirements/checkov.txt.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.descriptor.estate import Estate
from provisioner.plan.manifest import Manifest
from provisioner.plan.manifests import charts_rendered_by, manifests
from provisioner.plan.platform import platform_plan
from provisioner.plan.resources import StackPlan
from provisioner.toolchain import Toolchain
from tests.unit.plan import builders
from tests.unit.plan.pilots import NAMES, load_pilots, pilot_plan

pytestmark = pytest.mark.long(seconds=240)
LABORATORIES = Estate(root=builders.ROOT / "examples" / "laboratories")
SERVERS = ("ledger", "member-files")
SECRETS_AS_FILES = "CKV_K8S_35 "
REQUIREMENTS = builders.ROOT / "requirements" / "checkov.txt"


@pytest.fixture(scope="session")
def checkov() -> Path:
    """The interpreter that has checkov."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coopctl" / "checkov"
    folder = base / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    base.mkdir(parents=True, exist_ok=True)
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            install = ["-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes", "-r", str(REQUIREMENTS)]
            subprocess.run([str(folder / "bin" / "python"), *install], check=True)
            (folder / "complete").touch()
    return folder / "bin" / "python"


def rendered(plan: StackPlan) -> list[Manifest]:
    """The Kubernetes objects of a plan."""
    render = charts_rendered_by(Toolchain().ensure(["helm-render"], report=print)["helm-render"])
    return [one for one in manifests(plan, render=render) if not str(one["apiVersion"]).startswith("coopctl.dev/")]


def failed_and_passed(checkov: Path, folder: Path) -> tuple[list[str], int]:
    """What checkov finds in the manifests of ``folder``, as `check: resource`, and how many checks pass."""
    arguments = ["--directory", str(folder), "--framework", "kubernetes", "--skip-download", "--output", "json"]
    # Without the variables of this environment: checkov must not find our packages, nor ask a server.
    done = subprocess.run(
        [str(checkov), "-m", "checkov.main", *arguments],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )
    assert done.returncode in {0, 1}, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    results = report["results"]
    assert not results["skipped_checks"]
    assert not report["summary"]["parsing_errors"]
    failed = [f"{one['check_id']} ({one['check_name']}): {one['resource']}" for one in results["failed_checks"]]
    return failed, report["summary"]["passed"]


def write(folder: Path, name: str, of: Sequence[Manifest]) -> None:
    """Write manifests as checkov reads them."""
    (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(of, allow_unicode=True), encoding="utf-8")


@pytest.fixture
def plans() -> dict[str, StackPlan]:
    """The plans of the platform, of all pilots, and of the laboratories, whose solution no pilot has."""
    platform, pilots = load_pilots()
    another, laboratories = load_pilots(LABORATORIES)
    return {
        "platform": platform_plan(platform),
        **{name: pilot_plan(pilots[name], platform=platform) for name in NAMES},
        **{name: pilot_plan(one, platform=another) for name, one in laboratories.items()},
    }


def unaccepted(failed: Sequence[str]) -> list[str]:
    """What failed but for the one check that docs/explanation/threat-model.md answers for: the servers' variables."""
    return [
        one
        for one in failed
        if not (one.startswith(SECRETS_AS_FILES) and any(name in one.rpartition(": ")[2] for name in SERVERS))
    ]


def test_no_check_fails_on_any_pilot_or_the_platform(
    checkov: Path, plans: dict[str, StackPlan], tmp_path: Path
) -> None:
    for name, plan in plans.items():
        write(tmp_path, name, rendered(plan))
    failed, passed = failed_and_passed(checkov, tmp_path)
    assert unaccepted(failed) == []
    assert passed > 100 * len(NAMES), "the manifests were not read"


def test_a_weakened_pod_is_found(checkov: Path, plans: dict[str, StackPlan], tmp_path: Path) -> None:
    """The control: checkov does look at what is rendered."""
    made = rendered(plans[NAMES[0]])
    deployment = next(one for one in made if one["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    write(tmp_path, "weakened", made)
    failed, _ = failed_and_passed(checkov, tmp_path)
    assert [one.partition(" ")[0] for one in unaccepted(failed)] == ["CKV_K8S_20"]
