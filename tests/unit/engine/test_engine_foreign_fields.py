"""What somebody changed on a guard is found by who owns it, and by comparing what the plan states."""

from collections.abc import Mapping
from typing import Any

import pytest
from pulumi.automation import EngineEvent

from provisioner.engine.changes import HIDDEN, FieldChange
from provisioner.engine.events import Operation, unheard
from provisioner.engine.foreign import foreign_fields
from provisioner.engine.listening import Listener
from provisioner.operations.mending import merge_patch

POLICY: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny", "namespace": "rice-apps", "annotations": {"pulumi.com/patchForce": "true"}},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}
PORT = {"name": "postgres", "port": 5432, "protocol": "TCP", "targetPort": 15432}
SERVICE: dict[str, Any] = {**POLICY, "kind": "Service", "spec": {"type": "ClusterIP", "ports": [PORT]}}
OWN_PORT = 'k:{"port":5432,"protocol":"TCP"}'
NEW_PORT = 'k:{"port":9999,"protocol":"TCP"}'
SUBJECTS = [{"kind": "User", "name": "rice-operator"}]
BINDING: dict[str, Any] = {**POLICY, "kind": "RoleBinding", "subjects": SUBJECTS}
SLICE = {**POLICY, "kind": "EndpointSlice", "endpoints": [{"addresses": ["10.0.0.1"]}]}
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}


def test_a_rule_that_another_manager_added_is_foreign() -> None:
    live = changed(POLICY, {"spec": {**POLICY["spec"], "egress": [{}]}}, owned={"f:spec": {"f:egress": {}}})

    assert drift(POLICY, live) == (FieldChange(path="spec.egress", before=None, after="[{}]", by="mallory"),)


def test_a_label_that_another_manager_added_is_foreign_and_an_annotation_is_not() -> None:
    metadata = {**POLICY["metadata"], "labels": {"x": "1"}}
    metadata["annotations"] = {**metadata["annotations"], "y": "1"}
    live = changed(
        POLICY, {"metadata": metadata}, owned={"f:metadata": {"f:labels": {"f:x": {}}, "f:annotations": {"f:y": {}}}}
    )

    assert [change.path for change in drift(POLICY, live)] == ["metadata.labels.x"]


@pytest.mark.parametrize(
    ("declared", "change", "owned", "path"),
    [
        # A list whose items are told apart by a key: the new item has an owner of its own.
        (
            SERVICE,
            {"spec": {"type": "ClusterIP", "ports": [PORT, {**PORT, "name": "x", "port": 9999}]}},
            {"f:spec": {"f:ports": {NEW_PORT: {".": {}, "f:port": {}}}}},
            "spec.ports",
        ),
        # A field of an item of ours.
        (
            SERVICE,
            {"spec": {"type": "ClusterIP", "ports": [{**PORT, "targetPort": 1}]}},
            {"f:spec": {"f:ports": {OWN_PORT: {"f:targetPort": {}}}}},
            "spec.ports",
        ),
        # A list that is owned as a whole: its owner is now another.
        (
            BINDING,
            {"subjects": [*SUBJECTS, {"kind": "User", "name": "mallory"}]},
            {"f:subjects": {}},
            "subjects",
        ),
        # An item fewer.
        (BINDING, {"subjects": []}, {"f:subjects": {}}, "subjects"),
        # A set of values inside a list that is owned as a whole.
        (SLICE, {"endpoints": [{"addresses": ["10.0.0.1", "6.6.6.6"]}]}, {"f:endpoints": {}}, "endpoints"),
    ],
    ids=["keyed item", "field of an item", "whole list", "fewer items", "set"],
)
def test_a_list_that_somebody_changed_is_foreign_and_goes_back_as_a_whole(
    declared: dict[str, Any], change: dict[str, Any], owned: dict[str, Any], path: str
) -> None:
    found = foreign_fields(declared, live=changed(declared, change, owned=owned))

    assert found is not None
    assert [(each.path, each.by) for each in found.drift] == [(path, "mallory")]
    first, _, last = path.rpartition(".")
    stated = declared[first][last] if first else declared[last]
    assert merge_patch(found.wanted) == ({first: {last: stated}} if first else {last: stated})


def test_a_set_that_the_plan_does_not_state_is_foreign() -> None:
    live = changed(
        POLICY,
        {"metadata": POLICY["metadata"], "finalizers": ["x"]},
        owned={"f:finalizers": {".": {}, 'v:"x"': {}}},
    )

    assert [change.path for change in drift(POLICY, live)] == ["finalizers"]


def test_what_differs_is_shown_also_where_nobody_owns_it_any_more() -> None:
    live = changed(BINDING, {"subjects": []}, owned={})

    assert drift(BINDING, live) == (
        FieldChange(path="subjects", before='[{"kind": "User", "name": "rice-operator"}]', after="[]", by=None),
    )


def test_a_field_that_was_added_in_our_name_by_hand_is_foreign() -> None:
    live = changed(POLICY, {"spec": {**POLICY["spec"], "egress": [{}]}}, owned={"f:spec": {"f:egress": {}}})
    live["metadata"]["managedFields"][-1] |= {"manager": "coopctl", "operation": "Update"}

    assert [(change.path, change.by) for change in drift(POLICY, live)] == [("spec.egress", "coopctl")]


@pytest.mark.parametrize(
    "owned", [{"f:status": {"f:used": {}}}, {"f:spec": {"f:podSelector": {}}}, {"f:metadata": {"f:finalizers": {}}}]
)
def test_what_the_cluster_itself_writes_and_what_others_own_as_it_is_declared_are_not_foreign(
    owned: dict[str, Any],
) -> None:
    live = changed(POLICY, {"status": {"used": {}}}, owned=owned)

    assert foreign_fields(POLICY, live=live) is None


def test_objects_that_are_no_guards_may_have_other_owners() -> None:
    plain = {**POLICY, "metadata": {"name": "deny"}}
    live = changed(plain, {"spec": {**POLICY["spec"], "egress": [{}]}}, owned={"f:spec": {"f:egress": {}}})

    assert foreign_fields(plain, live=live) is None


def test_secrets_are_neither_compared_nor_written() -> None:
    declared = {**POLICY, "kind": "Secret", "data": {"password": SECRET}}
    live = changed(
        declared, {"data": {"password": SECRET, "more": "aGk="}}, owned={"f:data": {"f:more": {}, "f:password": {}}}
    )

    found = foreign_fields(declared, live=live)

    assert found is not None
    assert found.drift == (FieldChange(path="data.more", before=None, after=HIDDEN, by="mallory"),)
    assert merge_patch(found.wanted) == {"data": {"more": None}}


def test_foreign_fields_are_taken_off_by_a_merge_patch() -> None:
    patch = merge_patch(
        {"spec.egress": None, 'metadata.labels["a.b/c"]': None, "metadata.labels.x": None, "subjects": [1]}
    )

    assert patch == {"spec": {"egress": None}, "metadata": {"labels": {"a.b/c": None, "x": None}}, "subjects": [1]}


def test_a_guard_goes_to_what_the_program_declares_now_not_to_what_was_applied_last() -> None:
    grown = {**BINDING, "subjects": [*SUBJECTS, {"kind": "User", "name": "second"}]}
    live = changed(BINDING, {"subjects": []}, owned={"f:subjects": {}})
    listener = Listener(stack="rice", report=unheard)

    listener(event("resOutputsEvent", "refresh", old=BINDING, new=BINDING, outputs=live))
    listener(event("resourcePreEvent", "update", old=BINDING, new=grown, outputs=live))

    (change,) = listener.changes().resources
    assert [(each.path, each.before) for each in change.fields] == [("subjects", "[]")]
    assert [merge_patch(guard.wanted) for guard in listener.foreign] == [{"subjects": grown["subjects"]}]


@pytest.mark.parametrize("operation", ["delete", "replace"])
def test_a_guard_that_goes_is_not_mended(operation: str) -> None:
    live = changed(BINDING, {"subjects": []}, owned={"f:subjects": {}})
    listener = Listener(stack="rice", report=unheard)

    listener(event("resOutputsEvent", "refresh", old=BINDING, new=BINDING, outputs=live))
    listener(event("resourcePreEvent", operation, old=BINDING, new=BINDING, outputs=live))

    assert listener.foreign == ()
    assert [str(change.operation) for change in listener.changes().resources] == [operation]


def test_what_pulumi_found_inside_a_foreign_field_is_not_told_twice() -> None:
    live = changed(SERVICE, {"spec": {"type": "ClusterIP", "ports": [{**PORT, "targetPort": 1}]}}, owned={})
    listener = Listener(stack="rice", report=unheard)
    found = {**SERVICE, "spec": live["spec"]}

    listener(
        event("resOutputsEvent", "refresh", old=SERVICE, new=found, outputs=live, differs="spec.ports[0].targetPort")
    )

    (change,) = listener.drift().resources
    assert change.operation is Operation.UPDATE
    assert [each.path for each in change.fields] == ["spec.ports"]


def drift(declared: Mapping[str, Any], live: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    found = foreign_fields(declared, live=live)
    return found.drift if found else ()


def changed(declared: Mapping[str, Any], change: Mapping[str, Any], *, owned: Mapping[str, Any]) -> dict[str, Any]:
    """The live object after ``change`` by mallory, who then owns ``owned``."""
    live: dict[str, Any] = {**declared, **change}
    ours = {"manager": "coopctl", "operation": "Apply", "fieldsV1": {"f:spec": {"f:podSelector": {}}}}
    controller = {
        "manager": "kcm",
        "operation": "Update",
        "subresource": "status",
        "fieldsV1": {"f:status": {"f:x": {}}},
    }
    mallory = {"manager": "mallory", "operation": "Update", "fieldsV1": owned}
    live["metadata"] = {**live["metadata"], "managedFields": [ours, controller, mallory]}
    return live


def event(
    kind: str,
    operation: str,
    *,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    outputs: Mapping[str, Any],
    differs: str | None = None,
) -> EngineEvent:
    """A step of Pulumi on the one guard."""
    about = "kubernetes:core/v1:Thing"
    metadata = {
        "op": operation,
        "urn": f"urn:pulumi:rice::coopctl::{about}::guard",
        "type": about,
        "old": {"inputs": old, "outputs": old},
        "new": {"inputs": new, "outputs": outputs},
        "detailedDiff": {differs: {"diffKind": "update", "inputDiff": True}} if differs else None,
    }
    return EngineEvent.from_json({kind: {"metadata": metadata}})
