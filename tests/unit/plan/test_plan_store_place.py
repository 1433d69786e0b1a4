"""The plan of a cooperative whose data store lives elsewhere: everything leads there, and the old one stays fenced."""

from provisioner.descriptor.platform import Endpoint
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.resources import (
    CooperativePlan,
    CredentialsSecret,
    KubernetesObject,
    ObjectsBucket,
    PostgresRole,
    RoleKind,
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
