"""The demo on a real node: what `make demo` leaves running, in a network namespace of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.descriptor.estate import Estate
from provisioner.embedded import platform
from provisioner.toolchain import Toolchain
from tests.conftest import open_temporary_folder
from tests.e2e.flows import Flows, try_flows
from tests.e2e.probe_image import build_probe_image
from tests.integration.node.conftest import probe
from tests.machine_traces import Traces, traces
from tests.network_namespace import NetworkNamespace, new_network_namespace
from tests.outside_world import network_behind_the_host
from tests.portal_pilots import build_images, copy_portal_pilots
from tests.running_estate import RunningEstate, processor_seconds

__all__ = ["probe"]  # a fixture, used by its name
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class DemoRun:
    """One run of the demo: what it printed, how long it took, and how long processors worked for it."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    processor_seconds: float

    def must_hold(self) -> "DemoRun":
        """The run itself, if it ended well."""
        assert self.code == 0, self.stdout[-4000:] + self.stderr[-4000:]
        return self


def run_demo(estate: Path, *arguments: str, path: str | None = None, module: str = "examples.demo") -> DemoRun:
    """Run a demo as `make demo` does, its estate in ``estate``; ``path`` stands for PATH."""
    environment = {**os.environ, "COOPCTL_DEMO": str(estate), "COOPCTL_DEMO_MIGRATION": str(estate)}
    began, worked = time.monotonic(), processor_seconds()
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**environment, "PATH": path} if path is not None else environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return DemoRun(
        code=done.returncode,
        stdout=done.stdout,
        stderr=done.stderr,
        seconds=time.monotonic() - began,
        processor_seconds=processor_seconds() - worked,
    )


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The demo's estate after its first run, and the machine's traces from before it."""

    estate: RunningEstate
    first: DemoRun
    before: Traces


@pytest.fixture(scope="module")
def network() -> NetworkNamespace:
    """The module's network namespace; where a real node runs."""
    return new_network_namespace()


@pytest.fixture
def inside(network: NetworkNamespace) -> Iterator[None]:
    """The test is where the node is."""
    with network.inside():
        yield


@contextmanager
def estate_inside(
    network: NetworkNamespace,
    *,
    toolchain: Toolchain,
    copied: Callable[[Path], Path],
    images: Callable[[Path], None] = build_images,
) -> Iterator[RunningEstate]:
    """The copy of an estate that ``copied`` makes, inside ``network`` with a world behind it, to run a real node.

    ``images`` builds those that it needs with the machine's own network, as there is none inside. All that was started
    is taken away afterwards.
    """
    toolchain.ensure(toolchain.names, report=print)
    with open_temporary_folder() as folder:
        images(copied(folder / "images"))
        root = copied(folder / "데모 estate")
        try:
            with network.inside(), network_behind_the_host():
                yield RunningEstate(root=root)
        finally:
            with network.inside():
                platform.down(Estate(root=root), delete=True, report=print)


@contextmanager
def demo_in(
    network: NetworkNamespace, *, toolchain: Toolchain, pilots: Callable[[Path], Path] = copy_portal_pilots
) -> Iterator[Demo]:
    """Run the demo for the first time inside ``network``.

    Its estate is the copy that ``pilots`` makes: by default one whose cooperatives have chosen the portal alone.
    """
    with estate_inside(network, toolchain=toolchain, copied=pilots) as estate:
        before = traces(estate.root)
        yield Demo(estate=estate, first=run_demo(estate.root), before=before)


@pytest.fixture(scope="module")
def demo(network: NetworkNamespace, toolchain: Toolchain) -> Iterator[Demo]:
    """The demo after its first run."""
    with demo_in(network, toolchain=toolchain) as made:
        yield made


@pytest.fixture(scope="module")
def flows(demo: Demo, network: NetworkNamespace, probe: Path, tmp_path_factory: pytest.TempPathFactory) -> Flows:
    """Probe pods among the demo's tenants."""
    demo.first.must_hold()
    with network.outside():
        image = build_probe_image(probe, cache=tmp_path_factory.mktemp("images"))
    return try_flows(demo.estate, image=image)
