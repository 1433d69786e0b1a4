"""A machine that lacks a program: coopctl works without it, or says what to do. Real commands on a real machine.

PATH holds links to everything but the program. coopctl looks into the system's own folders too, so a program that lies
there is hidden from the command besides: in a mount namespace of its own, an empty file lies over it.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.descriptor.estate import Estate
from provisioner.embedded import platform
from provisioner.embedded.node.commands import SYSTEM_FOLDERS
from provisioner.errors import ExitCode
from provisioner.toolchain import Toolchain
from provisioner.toolchain.machine import DEBIAN_POSTGRES
from tests.conftest import open_temporary_folder

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
COOPCTL = Path(sys.executable).with_name("coopctl")
PINNED = ("go", "gofmt", "pulumi", "kubectl", "etcd", "kube-apiserver", "weed")
FOR_A_NODE = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nginx": "nginx-light",
}


class Machine:
    """This machine, as if it lacked some programs."""

    def __init__(self, folder: Path, *, without: tuple[str, ...]) -> None:
        self.path = folder / "bin"
        self.path.mkdir()
        self.estate = folder / "estate"
        self.estate.mkdir()
        (self.estate / "platform.yaml").write_text((ROOT / "examples" / "pilot" / "platform.yaml").read_text())
        self._covers: list[str] = []
        for place in reversed([*os.environ["PATH"].split(os.pathsep), *SYSTEM_FOLDERS]):
            for file in Path(place).glob("*"):
                if file.name in without:
                    self._hide(file)
                else:
                    (self.path / file.name).unlink(missing_ok=True)
                    (self.path / file.name).symlink_to(file)

    def hide_postgres(self) -> None:
        """Hide PostgreSQL's servers, which lie outside of PATH."""
        self._covers.append(f"mount -t tmpfs tmpfs {DEBIAN_POSTGRES}")

    def _hide(self, file: Path) -> None:
        real = file.resolve()
        if any(real.is_relative_to(Path(folder).resolve()) for folder in SYSTEM_FOLDERS):
            self._covers.append(f"mount --bind /dev/null {shlex.quote(str(real))}")

    def coopctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run coopctl there."""
        command = shlex.join([str(COOPCTL), *arguments, "--estate", str(self.estate)])
        lines = [*dict.fromkeys(self._covers), f"PATH={shlex.quote(str(self.path))} exec {command}"]
        return subprocess.run(
            ["unshare", "--mount", "/bin/sh", "-ec", "\n".join(lines)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def findings(self) -> dict[str, dict[str, str]]:
        """What `coopctl doctor` finds there, by subject."""
        done = self.coopctl("doctor", "--output", "json")
        return {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}


@pytest.fixture
def folder(toolchain: Toolchain) -> Iterator[Path]:
    """Where the test's machine is described; what it started is taken away."""
    if os.geteuid() != 0:
        pytest.skip("needs root: programs of the system are hidden by mounts")
    toolchain.ensure(toolchain.names, report=print)
    with open_temporary_folder() as made:
        yield made
        platform.down(Estate(root=made / "estate"), delete=True, report=print)


@pytest.mark.long(seconds=25)
def test_without_the_pinned_tools_on_path_the_cache_has_them(folder: Path) -> None:
    machine = Machine(folder, without=PINNED)

    up = machine.coopctl("dev", "up", "--node", "simulated")
    found = machine.findings()

    assert up.returncode == 0, up.stderr
    assert found["Go"]["level"] == "fine"
    assert found["Go"]["found"].startswith("none on PATH; it is installed by itself")
    assert {found[name]["level"] for name in ("pulumi", "kubectl", "etcd", "weed")} == {"fine"}


@pytest.mark.long(seconds=20)
def test_without_containerd_nodes_are_simulated_and_the_remedy_is_told(folder: Path) -> None:
    machine = Machine(folder, without=("containerd",))

    up = machine.coopctl("dev", "up")
    status = json.loads(machine.coopctl("dev", "status", "--output", "json").stdout)

    assert up.returncode == 0, up.stderr
    assert status["node"]["kind"] == "simulated"
    assert "programs are missing: containerd (`apt-get install containerd`)" in status["node"]["reason"]


@pytest.mark.parametrize(
    "programs",
    [
        pytest.param(tuple(FOR_A_NODE), id="all"),
        *(pytest.param((name,), id=name, marks=pytest.mark.long(seconds=6)) for name in FOR_A_NODE),
    ],
)
def test_what_a_real_node_needs_is_asked_for_by_its_package(folder: Path, programs: tuple[str, ...]) -> None:
    machine = Machine(folder, without=programs)

    up = machine.coopctl("dev", "up", "--node", "real")
    found = machine.findings()

    assert up.returncode == ExitCode.FAILED
    for program in programs:
        package = FOR_A_NODE[program]
        assert f"{program} (`apt-get install {package}`)" in up.stderr
        assert found[program]["level"] == "nodes will be simulated"
        assert found[program]["remedy"] == f"apt-get install {package}"


def test_without_postgres_nothing_is_started_and_the_remedy_is_told(folder: Path) -> None:
    machine = Machine(folder, without=("initdb", "postgres", "pg_isready"))
    machine.hide_postgres()

    up = machine.coopctl("dev", "up", "--node", "simulated")
    found = machine.findings()["PostgreSQL"]

    assert up.returncode == ExitCode.NOT_FOUND
    assert "PostgreSQL 13 or newer is not installed" in up.stderr
    assert "apt-get install postgresql-15" in up.stderr
    assert (found["level"], found["remedy"]) == ("problem", "apt-get install postgresql-15")


def test_without_skopeo_images_are_not_pushed_and_the_remedy_is_told(folder: Path) -> None:
    machine = Machine(folder, without=("skopeo",))

    pushed = machine.coopctl("images", "build", "portal", "--push")
    found = machine.findings()["skopeo"]

    assert pushed.returncode == ExitCode.NOT_FOUND
    assert "Debian's package skopeo" in pushed.stderr
    assert (found["level"], found["remedy"]) == ("problem", "apt-get install skopeo")
