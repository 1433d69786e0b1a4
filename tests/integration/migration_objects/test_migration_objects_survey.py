"""The survey tells what a bucket holds; the target's rights are tried, and what is missing has a remedy."""

import json

import pytest

from provisioner.migration.objects_bucket import open_bucket_as
from provisioner.migration.objects_survey import fact_findings, survey_bucket, target_findings
from tests.data_stores import client, objects_access_of
from tests.integration.migration_objects.worlds import Move

pytestmark = pytest.mark.servers


def test_the_facts_of_a_bucket(move: Move) -> None:
    move.source.put("a", b"12345")
    move.source.put("a", b"123")
    move.source.put("b", b"1")
    move.source.delete("b")
    move.source.s3.create_multipart_upload(Bucket=move.source.name, Key="half")
    facts = survey_bucket(move.source.admin)
    assert (facts.versioning, facts.object_lock, facts.uploads) == ("Enabled", False, 1)
    assert (facts.keys, facts.versions, facts.delete_markers, facts.size_bytes) == (2, 3, 1, 9)
    assert (facts.largest_key, facts.largest_bytes) == ("a", 5)


def test_an_empty_bucket_is_ready(move: Move) -> None:
    source, target = survey_bucket(move.source.admin), survey_bucket(move.target.admin)
    assert list(fact_findings(source, target)) == []
    assert list(target_findings(move.target.admin, versions=True)) == []
    assert move.target.bodies() == {}, "the trial left nothing"


def test_a_target_that_holds_something_or_keeps_versions_is_not(plain: Move) -> None:
    plain.target.put("theirs", b"x")
    plain.target.admin.set_versioning("Enabled")
    found = list(fact_findings(survey_bucket(plain.source.admin), survey_bucket(plain.target.admin)))
    assert [one.what for one in found] == [
        f"{plain.target.admin} is not empty: it holds 1 keys",
        f"{plain.target.admin} keeps versions (Enabled), {plain.source.admin} does not",
    ]
    assert all(one.remedy and one.consequence for one in found)


@pytest.mark.parametrize(
    ("action", "remedy"),
    [
        ("s3:PutObject", "s3:PutObject"),
        ("s3:ListBucketVersions", "s3:ListBucketVersions"),
        ("s3:GetObjectVersion", "s3:GetObjectVersion"),
        ("s3:DeleteObjectVersion", "s3:DeleteObjectVersion"),
    ],
)
def test_a_right_that_is_missing_is_named_with_its_remedy(move: Move, action: str, remedy: str) -> None:
    """An identity that may do all but one thing."""
    s3 = client(move.target.servers, "s3")
    policy = json.loads(s3.get_bucket_policy(Bucket=move.target.name)["Policy"])
    resources = [f"arn:aws:s3:::{move.target.name}", f"arn:aws:s3:::{move.target.name}/*"]
    condition = {"StringEquals": {"aws:username": move.target.identity}}
    policy["Statement"] = [
        *(policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]),
        {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resources, "Condition": condition},
    ]
    s3.put_bucket_policy(Bucket=move.target.name, Policy=json.dumps(policy))
    as_identity = open_bucket_as(move.target.name, objects_access_of(move.target.servers), key=move.target.key)
    found = list(target_findings(as_identity, versions=False))
    assert len(found) == 1
    assert remedy in found[0].remedy
