"""Applying cooperatives to real servers: complete, repeatable, and only what changed."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.descriptor.cooperative import Cooperative
from provisioner.engine.changes import Changes
from provisioner.engine.events import Operation
from provisioner.errors import CoopctlError, NotOurs, UsageError
from provisioner.naming import LABEL_COOPERATIVE
from provisioner.operations.planning import FleetOptions, FleetPlan, plan_fleet, targets_of
from provisioner.operations.site import Site
from tests.integration.engine.conftest import PASSPHRASE, SiteMaker, World, apply, new_maker, tenant

pytestmark = [pytest.mark.cluster, pytest.mark.servers]


def plan(site: Site, *names: str, refresh: bool = True) -> FleetPlan:
    """Plan; a failure is raised."""
    events: list[Any] = []
    planned = plan_fleet(site, targets_of(site, names), refresh=refresh, options=FleetOptions(), report=events.append)
    for outcome in planned.outcomes:
        if outcome.failure is not None:
            raise outcome.failure
    return planned


@dataclass(frozen=True, kw_only=True)
class Applied:
    """An estate with one cooperative, and what its first apply changed."""

    maker: SiteMaker
    site: Site
    changes: Mapping[str, Changes]


@pytest.fixture(scope="module")
def applied(world: World, open_folder: Path, request: pytest.FixtureRequest) -> Applied:
    """One for the module: what tests do with it changes nothing."""
    maker = new_maker(world, open_folder, nodeid=request.node.nodeid)
    site = maker.site(tenant("applied"))
    return Applied(maker=maker, site=site, changes=apply(site, "applied"))


def test_the_platform_is_applied_first_and_a_second_apply_changes_nothing(applied: Applied) -> None:
    second = apply(applied.site, "applied")

    assert list(applied.changes) == ["platform", "applied"]
    assert applied.changes["platform"].counts[Operation.CREATE] > 30
    assert applied.changes["applied"].counts[Operation.CREATE] > 30
    assert list(second) == ["applied"]
    assert not second["applied"].any, second["applied"].resources


def test_the_platform_s_objects_are_kept_as_they_were_applied(applied: Applied) -> None:
    """The API server adds defaults to admission policies, and a controller their status: neither is a change."""
    assert not plan(applied.site, "platform").any


def test_planning_writes_no_state_and_says_what_would_be_made(maker: SiteMaker) -> None:
    site = maker.site(tenant("planned-only"))

    planned = plan(site, "planned-only")

    assert planned.any
    assert site.engine.stacks() == ()


def test_an_unchanged_cooperative_is_recognised_without_starting_pulumi(applied: Applied) -> None:
    site, missing = applied.site, applied.maker.estate.root / "missing"
    unusable = replace(site.engine, settings=replace(site.engine.settings, pulumi=missing))

    planned = plan(replace(site, engine=unusable), "applied", refresh=False)

    assert not planned.any
    assert not planned.changes[0].compared_with_world


@pytest.mark.long(seconds=25)
def test_a_lost_working_directory_is_made_anew_from_the_state(maker: SiteMaker) -> None:
    site = maker.site(tenant("mislaid"))
    apply(site, "mislaid")
    salt = (site.folder("mislaid") / "Pulumi.mislaid.yaml").read_text()

    shutil.rmtree(maker.estate.local / "engine")

    assert not apply(maker.site(tenant("mislaid")), "mislaid")["mislaid"].any
    assert (site.folder("mislaid") / "Pulumi.mislaid.yaml").read_text().split() == [
        part if part.endswith(":") else f'"{part}"' for part in salt.split()
    ]


def test_another_passphrase_is_refused_with_the_remedy(applied: Applied) -> None:
    passphrase = applied.maker.estate.root / "passphrase"
    passphrase.write_text("another")

    try:
        with pytest.raises(CoopctlError, match="passphrase does not fit") as refused:
            apply(applied.site, "applied")
    finally:
        passphrase.write_text(PASSPHRASE)

    assert "another" not in str(refused.value.why)


def test_a_namespace_of_somebody_elses_is_never_taken_over(maker: SiteMaker) -> None:
    maker.world.kubectl("create", "namespace", "foreign-apps")
    site = maker.site(tenant("foreign"))

    with pytest.raises(NotOurs, match="foreign-apps"):
        apply(site, "foreign")

    labels = maker.world.kubectl("get", "namespace", "foreign-apps", "-o", "jsonpath={.metadata.labels}")
    assert LABEL_COOPERATIVE not in labels
    assert site.engine.stacks() == ()


def test_a_renamed_cooperative_is_refused_before_anything_changes(applied: Applied) -> None:
    renamed = applied.maker.site(_with_domain(tenant("new-name"), "applied.example.kr"))

    with pytest.raises(UsageError, match="applied") as refused:
        apply(renamed, "new-name")

    assert "destroy applied" in str(refused.value.hint)
    assert set(renamed.engine.stacks()) == {"platform", "applied"}


def _with_domain(cooperative: Cooperative, domain: str) -> Cooperative:
    return replace(cooperative, network=replace(cooperative.network, domain=domain))
