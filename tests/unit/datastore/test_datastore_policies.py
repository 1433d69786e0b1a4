"""The policy documents of buckets and identities."""

from typing import Any

import pytest

from provisioner.datastore.objects_policies import bucket_policy, identity_policy, same_policy


def statements(*, stop_writes: bool) -> list[dict[str, Any]]:
    policy = bucket_policy("kr1-rice", identity="kr1-rice", administrator="admin", stop_writes=stop_writes)
    found: list[dict[str, Any]] = policy["Statement"]
    return found


def test_everybody_but_tenant_and_administrator_is_denied() -> None:
    (only,) = statements(stop_writes=False)
    assert (only["Effect"], only["Principal"]) == ("Deny", "*")
    assert only["Condition"] == {"StringNotEquals": {"aws:username": ["admin", "kr1-rice"]}}


def test_past_the_quota_the_tenant_may_read_and_delete_only() -> None:
    quota = statements(stop_writes=True)[1]
    assert quota["Action"] == ["s3:PutObject", "s3:PutObjectTagging"]
    assert quota["Condition"] == {"StringNotEquals": {"aws:username": ["admin"]}}


@pytest.mark.parametrize("stop_writes", [False, True])
def test_no_policy_denies_the_management_of_the_bucket(stop_writes: bool) -> None:
    # A policy that denies that could never be taken back.
    denied = [action for one in statements(stop_writes=stop_writes) for action in one["Action"]]
    assert not [one for one in denied if "Policy" in one or "*" in one or one == "s3:DeleteBucket"]


def test_an_identity_may_not_change_its_bucket() -> None:
    allowed = identity_policy("kr1-rice")["Statement"][0]["Action"]
    assert not [one for one in allowed if one.startswith(("s3:PutBucket", "s3:DeleteBucket", "s3:CreateBucket"))]
    assert "s3:PutObjectAcl" not in allowed


def test_order_and_scalars_make_no_difference() -> None:
    one = {"Version": "v", "Statement": [{"Action": ["a"], "Resource": ["x", "y"], "Principal": "*"}]}
    other = {"Statement": {"Resource": ["y", "x"], "Action": "a", "Principal": {"AWS": "*"}}, "Version": "v"}
    assert same_policy(one, other)
    assert not same_policy(one, {**one, "Version": "w"})
    assert not same_policy(None, one)
