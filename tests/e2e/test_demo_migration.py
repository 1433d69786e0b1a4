"""`make demo-migration`, with an application in a real pod, and where nodes are simulated: every promise is kept.

How long the application waited is printed and judged by the demo itself. Here other tests share the machine's cores, so
its being above a second is forgiven, and nothing else.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.wiring import image_cache
from examples.application import build_image
from examples.move_checks import OUTAGE_SECONDS
from provisioner.descriptor.estate import Estate
from provisioner.embedded import platform
from provisioner.toolchain import Toolchain
from tests.conftest import open_temporary_folder
from tests.e2e.conftest import DemoRun, run_demo
from tests.network_namespace import NetworkNamespace
from tests.portal_pilots import build_images, copy_pilots, copy_portal_pilots

MODULE = "examples.demo_migration"
# With the machine's cores shared between tests.
GAP_SECONDS = 10.0
PROMISE = re.compile(r"^ {2}(ok|BROKEN) +(\S.*)\n +(\S.*)$", flags=re.MULTILINE)
WAYS = ("There, PostgreSQL 15 -> PostgreSQL 18", "And back, PostgreSQL 18 -> PostgreSQL 15", "There for good, ")


@contextmanager
def estate_in_a_folder() -> Iterator[Path]:
    """Where the demo makes its estate; what it started is taken away."""
    with open_temporary_folder() as folder:
        root = folder / "데모 이사"
        try:
            yield root
        finally:
            platform.down(Estate(root=root), delete=True, report=print)


def assert_promises_are_kept(run: DemoRun) -> None:
    """Four promises on each of three ways; the last table has all of them."""
    assert run.code in {0, 1}, run.stdout[-4000:] + run.stderr[-4000:]
    last = run.stdout[run.stdout.rindex(WAYS[0]) :]
    assert [last.index(way) for way in WAYS] == sorted(last.index(way) for way in WAYS)
    promises = PROMISE.findall(last)
    assert len(promises) == 12, last
    outage = f"the longest gap between acknowledged commits is below {OUTAGE_SECONDS:g} s"
    assert [claim for kept, claim, _ in promises if kept == "BROKEN" and claim != outage] == [], last
    gaps = [float(seen.split()[0]) for _, claim, seen in promises if claim == outage]
    assert len(gaps) == 3
    assert max(gaps) < GAP_SECONDS, last
    kept = sum(kept == "ok" for kept, _, _ in promises)
    assert f"{kept} of 12 promises were kept; " in last
    assert run.code == (0 if kept == 12 else 1)


@pytest.mark.node
@pytest.mark.long(seconds=600)
@pytest.mark.timeout(7200)
def test_a_cooperative_with_its_solutions_and_an_application_in_a_pod_goes_to_18_and_back_and_there_for_good(
    network: NetworkNamespace, toolchain: Toolchain
) -> None:
    toolchain.ensure(toolchain.names, report=print)
    with open_temporary_folder() as folder:
        build_images(copy_pilots(folder / "images"))
        build_image(cache=image_cache())
    with network.inside(), estate_in_a_folder() as estate:
        run = run_demo(estate, module=MODULE)
    assert_promises_are_kept(run)
    assert "The application writes in a pod of rice-processing-apps, by the Service postgres" in run.stdout


@pytest.mark.cluster
@pytest.mark.long(seconds=200)
@pytest.mark.timeout(1800)
def test_where_nodes_are_simulated_the_application_follows_the_endpoints_and_it_says_so() -> None:
    with estate_in_a_folder() as estate:
        run = run_demo(copy_portal_pilots(estate), "--node", "simulated", module=MODULE)
    assert_promises_are_kept(run)
    assert "# no pod really runs: the node is simulated, because it was asked for" in run.stdout
    assert "since no pod runs, by what the EndpointSlice postgres of rice-processing-data says" in run.stdout
