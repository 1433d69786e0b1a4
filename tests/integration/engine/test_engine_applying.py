"""Applying cooperatives to real servers: complete, repeatable, and only what changed."""

import shutil
from dataclasses import replace
from typing import Any

import pytest

from provisioner.descriptor.cooperative import Cooperative
from provisioner.engine.events import Operation
from provisioner.errors import CoopctlError, NotOurs, UsageError
from provisioner.naming import LABEL_COOPERATIVE
from provisioner.operations.planning import FleetOptions, FleetPlan, plan_fleet, targets_of
from provisioner.operations.site import Site
from tests.integration.engine.conftest import SiteMaker, apply, tenant

pytestmark = [pytest.mark.cluster, pytest.mark.servers]


def plan(site: Site, *names: str, refresh: bool = True) -> FleetPlan:
    """Plan; a failure is raised."""
    events: list[Any] = []
    planned = plan_fleet(site, targets_of(site, names), refresh=refresh, options=FleetOptions(), report=events.append)
    for outcome in planned.outcomes:
        if outcome.failure is not None:
            raise outcome.failure
    return planned


def test_second_apply_changes_nothing_and_the_platform_is_applied_first(maker: SiteMaker) -> None:
    site = maker.site(tenant("twice-applied"))

    first = apply(site, "twice-applied")
    second = apply(site, "twice-applied")

    assert list(first) == ["platform", "twice-applied"]
    assert first["twice-applied"].counts[Operation.CREATE] > 30
    assert list(second) == ["twice-applied"]
    assert not second["twice-applied"].any, second["twice-applied"].resources


def test_the_platform_s_objects_are_kept_as_they_were_applied(maker: SiteMaker) -> None:
    """The API server adds defaults to admission policies, and a controller their status: neither is a change."""
    site = maker.site()
    first = apply(site, "platform")["platform"]

    assert first.counts[Operation.CREATE] > 30
    assert not plan(site, "platform").any


def test_planning_writes_no_state_and_says_what_would_be_made(maker: SiteMaker) -> None:
    site = maker.site(tenant("planned-only"))

    planned = plan(site, "planned-only")

    assert planned.any
    assert site.engine.stacks() == ()


def test_an_unchanged_cooperative_is_recognised_without_starting_pulumi(maker: SiteMaker) -> None:
    site = maker.site(tenant("unchanged"))
    apply(site, "unchanged")
    unusable = replace(site.engine, settings=replace(site.engine.settings, pulumi=maker.estate.root / "missing"))

    planned = plan(replace(site, engine=unusable), "unchanged", refresh=False)

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


def test_another_passphrase_is_refused_with_the_remedy(maker: SiteMaker) -> None:
    site = maker.site(tenant("locked-out"))
    apply(site, "locked-out")
    (maker.estate.root / "passphrase").write_text("another")

    with pytest.raises(CoopctlError, match="passphrase does not fit") as refused:
        apply(site, "locked-out")

    assert "another" not in str(refused.value.why)


def test_a_namespace_of_somebody_elses_is_never_taken_over(maker: SiteMaker) -> None:
    maker.world.kubectl("create", "namespace", "foreign-apps")
    site = maker.site(tenant("foreign"))

    with pytest.raises(NotOurs, match="foreign-apps"):
        apply(site, "foreign")

    labels = maker.world.kubectl("get", "namespace", "foreign-apps", "-o", "jsonpath={.metadata.labels}")
    assert LABEL_COOPERATIVE not in labels
    assert site.engine.stacks() == ()


def test_a_renamed_cooperative_is_refused_before_anything_changes(maker: SiteMaker) -> None:
    apply(maker.site(tenant("old-name")), "old-name")
    renamed = _with_domain(tenant("new-name"), "old-name.example.kr")

    with pytest.raises(UsageError, match="old-name") as refused:
        apply(maker.site(renamed), "new-name")

    assert "destroy old-name" in str(refused.value.hint)
    assert "new-name" not in maker.site(renamed).engine.stacks()


def _with_domain(cooperative: Cooperative, domain: str) -> Cooperative:
    return replace(cooperative, network=replace(cooperative.network, domain=domain))
