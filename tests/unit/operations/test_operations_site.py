"""What a stack's fingerprint covers besides its plan."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from provisioner.descriptor.estate import Estate
from provisioner.descriptor.platform import Platform
from provisioner.naming import PLATFORM_STACK
from provisioner.operations.site import Site
from provisioner.plan.platform import platform_plan
from stacks.programs import StackPrograms
from tests.unit.plan import builders

if TYPE_CHECKING:
    from provisioner.engine.engine import Engine


def _fingerprint(platform: Platform) -> str:
    site = Site(
        estate=Estate(root=Path("/nowhere")),
        platform=platform,
        cooperatives={},
        described=frozenset(),
        plan_cooperative=lambda cooperative: (_ for _ in ()).throw(AssertionError(cooperative)),
        plan_platform=partial(platform_plan, platform),
        programs=StackPrograms(),
        # A fingerprint starts nothing.
        engine=cast("Engine", None),
        plugins=(),
        policing=builders.policing(platform=platform),
    )
    return site.target(PLATFORM_STACK).fingerprint


def test_a_cluster_made_anew_at_the_same_address_is_compared_with_the_world(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    platform = builders.platform()
    platform = replace(platform, cluster=replace(platform.cluster, kubeconfig=kubeconfig))

    kubeconfig.write_text("certificate-authority-data: first")
    first, again = _fingerprint(platform), _fingerprint(platform)
    kubeconfig.write_text("certificate-authority-data: second")

    assert first == again
    assert _fingerprint(platform) != first
