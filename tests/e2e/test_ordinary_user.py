"""Everything as a user who is not root, with a home folder of its own: the demo, the doctor, the tests."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import ExitCode
from provisioner.toolchain import Toolchain
from tests.conftest import open_temporary_folder
from tests.e2e.ordinary_user import OrdinaryUser, settle

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def user(toolchain: Toolchain) -> Iterator[OrdinaryUser]:
    """The user; what it started is taken away."""
    if os.geteuid() != 0:
        pytest.skip("needs root: only root can be another user; as this one, the other tests show the same")
    toolchain.ensure(toolchain.names, report=print)
    with open_temporary_folder() as folder:
        made = settle(folder / "home", toolchain=toolchain)
        try:
            yield made
        finally:
            made.run("coopctl", "dev", "down", "--delete", "--yes", "--estate", _estate(made))


def _estate(user: OrdinaryUser) -> Path:
    return user.home / ".local" / "share" / "coopctl" / "demo"


@pytest.fixture(scope="module")
def demo(user: OrdinaryUser) -> subprocess.CompletedProcess[str]:
    """The demo, run by the user; the cooperatives have the portal alone, as nobody has Tryton's image in a cache."""
    estate = f"from tests.portal_pilots import *; copy_portal_pilots(Path({str(_estate(user))!r}))"
    copied = user.run(user.python, "-c", estate)
    assert copied.returncode == 0, copied.stderr
    return user.run(user.python, "-m", "examples.demo")


@pytest.mark.long(seconds=120)
def test_the_demo_runs_with_simulated_nodes_and_says_why(
    user: OrdinaryUser, demo: subprocess.CompletedProcess[str]
) -> None:
    assert demo.returncode == 0, demo.stdout[-3000:] + demo.stderr[-3000:]
    assert "4 of 4 claims hold, 2 are left out;" in demo.stdout
    assert demo.stdout.count("because it needs root; to have a real node: run coopctl as root") == 2
    assert str(_estate(user)) in demo.stdout


def test_a_real_node_is_refused_with_the_remedy(user: OrdinaryUser) -> None:
    estate = user.home / "estate"
    made = user.run("coopctl", "init", estate)
    done = user.run("coopctl", "dev", "up", "--node", "real", "--estate", estate)

    assert made.returncode == 0, made.stderr
    assert done.returncode == ExitCode.NOT_PERMITTED
    assert "run coopctl as root" in done.stderr


@pytest.mark.long(seconds=120)
@pytest.mark.usefixtures("demo")
def test_the_doctor_finds_nothing_that_hinders_but_the_real_node(user: OrdinaryUser) -> None:
    done = user.run("coopctl", "doctor", "--estate", _estate(user), "--output", "json")

    document = json.loads(done.stdout)
    assert "findings" in document, document
    findings = {finding["subject"]: finding for finding in document["findings"]}
    assert findings["root"]["remedy"] == "run coopctl as root"
    assert [name for name, finding in findings.items() if finding["level"] == "problem"] == []


def test_a_cache_of_somebody_else_is_told_with_the_remedy(user: OrdinaryUser) -> None:
    closed = user.home.parent / "closed"
    closed.mkdir(mode=0o700)

    done = user.run("coopctl", "doctor", "--output", "json", XDG_CACHE_HOME=str(closed))
    refused = user.run("coopctl", "toolchain", "install", XDG_CACHE_HOME=str(closed))

    assert done.returncode == ExitCode.PROBLEMS, done.stderr
    remedies = {finding["found"]: finding["remedy"] for finding in json.loads(done.stdout)["findings"]}
    remedy = remedies[f"{closed}/coopctl/toolchain cannot be written"]
    assert remedy == "set XDG_CACHE_HOME to a folder of your own that can be written"
    assert refused.returncode == ExitCode.NOT_PERMITTED
    assert "set XDG_CACHE_HOME to a folder of your own" in refused.stderr


@pytest.mark.long(seconds=30)
def test_tests_that_need_root_are_left_out_with_the_reason(user: OrdinaryUser) -> None:
    options = ("-p", "no:cacheprovider", "-q", "-rs")
    tests = ("tests/integration/node/test_node_policies.py", "tests/integration/test_embedded_real_platform.py")

    done = user.run(user.python, "-m", "pytest", *options, *tests, "tests/e2e/test_demo.py")

    assert done.returncode == 0, done.stdout[-3000:]
    assert "needs root: a real node makes interfaces, mounts and packet filter rules" in done.stdout
    assert "passed" not in done.stdout
