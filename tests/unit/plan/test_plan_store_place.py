"""The plan of a cooperative whose data store lives elsewhere: everything leads there, and the old one stays fenced."""

from dataclasses import replace

from provisioner.descriptor.platform import Endpoint
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.resources import (
    CooperativePlan,
    CredentialsSecret,
    KubernetesObject,
    ObjectsBucket,
    ObjectsIdentity,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
    RoleKind,
    SolutionChart,
)
from provisioner.plan.store_place import StorePlace
from tests.unit.plan import builders

AWAY = StorePlace(postgres=Endpoint(host="203.0.113.10", port=5433), objects=Endpoint(host="203.0.113.20", port=9000))


def _plan(moved_to: StorePlace | None) -> CooperativePlan:
    return cooperative_plan(
        builders.cooperative(),
        platform=builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
        moved_to=moved_to,
    )


def _objects(made: CooperativePlan, kind: str) -> dict[str, dict[str, object]]:
    found = [one.manifest for one in made.resources if isinstance(one, KubernetesObject)]
    return {
        f"{one['metadata']['namespace']}/{one['metadata']['name']}": dict(one) for one in found if one["kind"] == kind
    }


def test_services_and_policies_lead_to_the_new_place_under_the_same_names() -> None:
    before, after = _plan(None), _plan(AWAY)
    slices = _objects(after, "EndpointSlice")
    assert set(slices) == set(_objects(before, "EndpointSlice"))
    [postgres] = [one for name, one in slices.items() if name.endswith("/postgres-coopctl")]
    assert postgres["endpoints"] == [{"addresses": ["203.0.113.10"], "conditions": {"ready": True}}]
    assert postgres["ports"] == [{"name": "postgres", "protocol": "TCP", "port": 5433}]
    ways = {
        str(one["spec"])
        for name, one in _objects(after, "NetworkPolicy").items()
        if name.endswith(("/to-postgres", "/to-objects"))
    }
    assert all("203.0.113.10/32" in way or "203.0.113.20/32" in way for way in ways)


def test_the_applications_secret_stays_as_it_is_so_that_no_pod_restarts() -> None:
    secrets = [
        [one for one in made.resources if isinstance(one, CredentialsSecret)] for made in (_plan(None), _plan(AWAY))
    ]
    assert secrets[0] == secrets[1]


def test_the_store_that_was_left_stays_fenced() -> None:
    roles = {one.kind: one for one in _plan(AWAY).resources if isinstance(one, PostgresRole)}
    assert {kind: one.fenced for kind, one in roles.items()} == {
        RoleKind.OWNER: False,
        RoleKind.APPLICATION: True,
        RoleKind.READER: True,
        RoleKind.MIGRATION: True,
    }
    assert roles[RoleKind.APPLICATION].login, "its password is kept"
    assert [one.fenced for one in _plan(AWAY).resources if isinstance(one, ObjectsBucket)] == [True]
    assert not any(one.fenced for one in _plan(None).resources if isinstance(one, PostgresRole | ObjectsBucket))


def test_once_the_way_back_is_given_up_credentials_and_pods_are_other_ones() -> None:
    before, after = _plan(AWAY), _plan(replace(AWAY, rotation=1))
    roles = {one.kind: one.rotation for one in after.resources if isinstance(one, PostgresRole)}
    assert roles == {kind: int(kind is not RoleKind.OWNER) for kind in RoleKind}
    [identity] = [one for one in after.resources if isinstance(one, ObjectsIdentity)]
    [bucket] = [one for one in after.resources if isinstance(one, ObjectsBucket)]
    assert (identity.rotation, bucket.identity) == (1, "")
    charts = [[one for one in made.resources if isinstance(one, SolutionChart)] for made in (before, after)]
    assert ["rotation" in one.values["coopctl"] for one in charts[0]] == [False] * len(charts[0])
    assert [one.values["coopctl"]["rotation"] for one in charts[1]] == [1] * len(charts[0])


def test_what_was_erased_is_planned_no_more_and_nothing_waits_for_it() -> None:
    made = _plan(replace(AWAY, rotation=1, erased=True))
    gone = PostgresDatabase | PostgresGrants | PostgresMembers | ObjectsBucket
    assert not [one for one in made.resources if isinstance(one, gone)]
    roles = {one.kind: one.erased for one in made.resources if isinstance(one, PostgresRole)}
    assert roles == {RoleKind.APPLICATION: True, RoleKind.READER: True, RoleKind.MIGRATION: True}
    keys = {one.key for one in made.resources}
    assert all(keys.issuperset(one.depends_on) for one in made.resources)
    secrets = [
        [one.values for one in plan.resources if isinstance(one, CredentialsSecret)] for plan in (_plan(AWAY), made)
    ]
    assert secrets[0] == secrets[1], "the applications find the same under the same names"


def test_buckets_that_came_from_another_platform_keep_its_id_and_nothing_else_does() -> None:
    platform = builders.platform()
    there = replace(platform, objects=replace(platform.objects, bucket_prefix="elsewhere"))
    made = cooperative_plan(
        builders.cooperative(), platform=there, catalogue=builders.catalogue(), images=builders.fake_lock()
    )
    [bucket] = [one for one in made.resources if isinstance(one, ObjectsBucket)]
    [identity] = [one for one in made.resources if isinstance(one, ObjectsIdentity)]
    assert (bucket.name, bucket.identity) == ("elsewhere-rice-processing", "elsewhere-rice-processing")
    assert (identity.name, identity.bucket) == (bucket.identity, bucket.name)
    assert "elsewhere-rice-processing" in str([one for one in made.resources if isinstance(one, CredentialsSecret)])
    assert (made.uid, made.cluster) == (_plan(None).uid, platform.cluster.id)
