"""Every edit of a guard by somebody else shows in status and plan, and apply mends it: also items of lists."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from provisioner.engine.changes import Changes
from provisioner.operations.planning import FleetOptions, plan_fleet, targets_of
from provisioner.operations.site import Site
from tests.integration.engine.conftest import SiteMaker, apply, tenant
from tests.integration.engine.test_engine_mending import look

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
APPS, DATA = "edited-apps", "edited-data"
USER = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}
EVERYWHERE = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A JSON patch (RFC 6902) of one guard, and the field in which it must show."""

    namespace: str
    thing: str
    op: str
    pointer: str
    resource: str
    field: str
    value: Any = None


def edit(namespace: str, thing: str, op: str, pointer: str, resource: str, field: str, value: Any = None) -> Edit:
    """A row of the table."""
    return Edit(namespace=namespace, thing=thing, op=op, pointer=pointer, resource=resource, field=field, value=value)


EDITS = (
    edit(APPS, "networkpolicy/dns", "add", "/spec/egress/-", "apps-networkpolicy-dns", "spec.egress", EVERYWHERE),
    edit(
        APPS,
        "networkpolicy/default-deny",
        "add",
        "/spec/egress",
        "apps-networkpolicy-default-deny",
        "spec.egress",
        [{}],
    ),
    edit(
        DATA,
        "service/postgres",
        "add",
        "/spec/ports/-",
        "data-service-postgres",
        "spec.ports",
        {"name": "x", "port": 9999, "protocol": "TCP"},
    ),
    edit(DATA, "service/objects", "replace", "/spec/ports/0/targetPort", "data-service-objects", "spec.ports", 777),
    edit(APPS, "rolebinding/operators", "add", "/subjects/-", "apps-rolebinding-operators", "subjects", USER),
    edit(DATA, "rolebinding/operators", "replace", "/subjects/0/name", "data-rolebinding-operators", "subjects", "me"),
    edit(
        APPS,
        "quota/tenant",
        "add",
        "/spec/hard/count~1x.example",
        "apps-resourcequota-tenant",
        'spec.hard["count/x.example"]',
        "5",
    ),
    edit(DATA, "quota/tenant", "replace", "/spec/hard/pods", "data-resourcequota-tenant", "spec.hard.pods", "999"),
    edit("", f"namespace/{APPS}", "add", "/metadata/labels/mallory", "apps-namespace", "metadata.labels.mallory", "x"),
    edit(
        "",
        f"namespace/{DATA}",
        "remove",
        "/metadata/labels/pod-security.kubernetes.io~1warn",
        "data-namespace",
        'metadata.labels["pod-security.kubernetes.io/warn"]',
    ),
    edit(
        APPS,
        "role/operators",
        "add",
        "/rules/-",
        "apps-role-operators",
        "rules",
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
    ),
    edit(DATA, "role/operators", "remove", "/rules/0", "data-role-operators", "rules"),
    edit(
        APPS,
        "limitrange/tenant",
        "replace",
        "/spec/limits/0/max/cpu",
        "apps-limitrange-tenant",
        "spec.limits",
        "99",
    ),
    edit(
        APPS,
        "serviceaccount/default",
        "add",
        "/imagePullSecrets",
        "apps-serviceaccount-default",
        "imagePullSecrets",
        [{"name": "mallory"}],
    ),
    edit(
        DATA,
        "endpointslice/postgres-coopctl",
        "add",
        "/endpoints/0/addresses/-",
        "data-endpointslice-postgres-coopctl",
        "endpoints",
        "203.0.113.9",
    ),
)


def read(maker: SiteMaker, one: Edit) -> Mapping[str, Any]:
    """The object as it is, without what the API server counts."""
    where = ("-n", one.namespace) if one.namespace else ()
    found: dict[str, Any] = json.loads(maker.world.kubectl(*where, "get", one.thing, "-o", "json"))
    about = {key: found["metadata"].get(key) for key in ("labels", "annotations")}
    return {**{key: value for key, value in found.items() if key not in {"metadata", "status"}}, "metadata": about}


def make(maker: SiteMaker, one: Edit) -> None:
    """Make the edit as the field manager `mallory`."""
    where = ("-n", one.namespace) if one.namespace else ()
    value = {} if one.op == "remove" else {"value": one.value}
    patch = json.dumps([{"op": one.op, "path": one.pointer, **value}])
    maker.world.kubectl(*where, "patch", one.thing, "--type=json", "--field-manager=mallory", "-p", patch)


def fields(changes: Changes) -> set[tuple[str, str]]:
    """Resources with the fields in which they change."""
    return {(change.resource, field.path) for change in changes.resources for field in change.fields}


def planned(site: Site, name: str) -> Changes:
    """What apply would change."""
    events: list[Any] = []
    found = plan_fleet(site, targets_of(site, (name,)), refresh=True, options=FleetOptions(), report=events.append)
    return next(changes for changes in found.changes if changes.stack == name)


@pytest.mark.long(seconds=80)
def test_every_edit_of_a_guard_is_shown_and_mended(maker: SiteMaker) -> None:
    site = maker.site(tenant("edited"))
    apply(site, "edited")
    assert look(maker, site, "edited").is_well
    before = [read(maker, one) for one in EDITS]
    for one in EDITS:
        make(maker, one)
    wanted = {(one.resource, one.field) for one in EDITS}

    drift = look(maker, site, "edited").drift
    plan = planned(site, "edited")
    applied = apply(site, "edited")["edited"]

    assert fields(drift) == wanted
    assert fields(plan) == wanted
    assert fields(applied) == wanted
    owned = [(field.path, field.by) for change in drift.resources for field in change.fields]
    # Who took a label away owns nothing.
    assert {by for path, by in owned if "pod-security" not in path} == {"mallory"}
    assert [read(maker, one) for one in EDITS] == before
    assert look(maker, site, "edited").is_well, look(maker, site, "edited").drift

    grown = maker.site(tenant("edited", pods=40))
    again = apply(grown, "edited")["edited"]

    # What was mended is ours as before: another plan changes what it says and finds nothing else to do.
    assert {change.type.rpartition(":")[2] for change in again.resources} == {"ResourceQuota"}
    assert look(maker, grown, "edited").is_well, look(maker, grown, "edited").drift
