"""The bucket, its policy and its identity, weakened by themselves: the proof reports it, by a look or by a call."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from provisioner.datastore.objects import objects_access
from provisioner.datastore.objects_clients import Clients, open_clients
from provisioner.datastore.objects_identities import POLICY_NAME
from provisioner.proof.proving import prove_bucket
from provisioner.proof.verdicts import Ending, Finding, problems, settled
from tests.integration.proof.conftest import ProvedWorld
from tests.proof_mutations import CLUSTER, NEIGHBOUR, OWN, sampled

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
BUCKET, FOREIGN = (f"{CLUSTER}-{name}" for name in (OWN, NEIGHBOUR))
PARTS = ("objects-bucket", "objects-identity")
SEEN = {Ending.GOT_THROUGH, Ending.FAILED_CONTROL}


def statement(effect: str, *actions: str, bucket: str = "*", **more: Any) -> dict[str, Any]:
    """One statement of a policy, about a bucket and all that is in it."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"] if bucket != "*" else ["*"]
    return {"Effect": effect, "Action": list(actions), "Resource": resources, **more}


def policy(*statements: dict[str, Any]) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def open_to_all(name: str) -> str:
    """A bucket's policy that lets everybody do everything."""
    return policy(statement("Allow", "s3:*", bucket=name, Principal="*"))


def for_reading(clients: Clients) -> None:
    """Everybody may read, by a policy that forbids others to write."""
    names = {"StringNotEquals": {"aws:username": [BUCKET, clients.administrator]}}
    denied = statement("Deny", "s3:PutObject", "s3:DeleteObject", bucket=BUCKET, Principal="*", Condition=names)
    clients.s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(denied))


def give(clients: Clients, *statements: dict[str, Any], name: str = POLICY_NAME) -> None:
    """Give the identity a policy."""
    clients.iam.put_user_policy(UserName=BUCKET, PolicyName=name, PolicyDocument=policy(*statements))


@dataclass(frozen=True, kw_only=True)
class Weakening:
    """What an administrator does; ``through``: a call must get through, a look alone is not enough."""

    do: Callable[[Clients], Any]
    through: bool = False


WEAKENINGS = {
    "the bucket's policy is gone": Weakening(do=lambda c: c.s3.delete_bucket_policy(Bucket=BUCKET)),
    "the bucket is open to everybody": Weakening(
        do=lambda c: c.s3.put_bucket_policy(Bucket=BUCKET, Policy=open_to_all(BUCKET)), through=True
    ),
    "the bucket's policy forbids others to write alone": Weakening(do=for_reading),
    "the bucket's list is public": Weakening(do=lambda c: c.s3.put_bucket_acl(Bucket=BUCKET, ACL="public-read")),
    "the bucket keeps no versions": Weakening(
        do=lambda c: c.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    ),
    "the identity may do everything": Weakening(do=lambda c: give(c, statement("Allow", "s3:*"))),
    "the identity manages its bucket": Weakening(
        do=lambda c: give(c, statement("Allow", "s3:*", bucket=BUCKET)), through=True
    ),
    "the identity manages identities": Weakening(do=lambda c: give(c, statement("Allow", "iam:*", "s3:*"))),
    "the identity has one policy more": Weakening(do=lambda c: give(c, statement("Allow", "s3:*"), name="more")),
    "the identity has one key more": Weakening(do=lambda c: c.iam.create_access_key(UserName=BUCKET)),
    "the identity has no rights": Weakening(
        do=lambda c: c.iam.delete_user_policy(UserName=BUCKET, PolicyName=POLICY_NAME)
    ),
    "another's bucket is open to everybody": Weakening(
        do=lambda c: c.s3.put_bucket_policy(Bucket=FOREIGN, Policy=open_to_all(FOREIGN)), through=True
    ),
}


class Bucket:
    """The tenant's bucket, to be weakened and mended."""

    def __init__(self, world: ProvedWorld) -> None:
        cluster = world.cluster()
        self.world, self.target, self.means = world, world.target(cluster), world.means(cluster)
        self.clients = open_clients(objects_access(world.platform.objects), environment=os.environ)

    def problems(self) -> list[Finding]:
        """What the bucket's part of a proof finds that shows no isolation."""
        return list(problems(settled(prove_bucket(self.target, means=self.means))))

    def endings(self) -> set[Ending]:
        """How these end."""
        return {one.verdict.ending for one in self.problems()}

    def mend(self) -> None:
        """Apply again: this tenant's, and the neighbour's."""
        for name in (OWN, NEIGHBOUR):
            self.world.mend(*PARTS, name=name)


@pytest.fixture(scope="module")
def bucket(proved: ProvedWorld) -> Bucket:
    """The tenant's bucket."""
    return Bucket(proved)


@pytest.mark.parametrize("what", sampled(WEAKENINGS, every=4, seconds=4))
def test_a_bucket_that_is_weakened_is_reported(bucket: Bucket, what: str) -> None:
    weakening = WEAKENINGS[what]
    try:
        weakening.do(bucket.clients)
        found = bucket.endings()
    finally:
        bucket.mend()
    assert found & SEEN
    assert Ending.GOT_THROUGH in found or not weakening.through


def test_an_identity_with_wide_rights_reaches_another_s_bucket_whose_policy_is_gone(bucket: Bucket) -> None:
    """Two guards stand in the way; with both gone the attack itself gets through."""
    try:
        give(bucket.clients, statement("Allow", "s3:*"))
        bucket.clients.s3.delete_bucket_policy(Bucket=FOREIGN)
        through = {one.about.id for one in bucket.problems() if one.verdict.ending is Ending.GOT_THROUGH}
    finally:
        bucket.mend()
    assert f"bucket/identity/lists {FOREIGN}" in through
    assert f"bucket/identity/puts into {FOREIGN}" in through


def test_a_bucket_whose_mark_is_gone_is_reported(bucket: Bucket) -> None:
    tags = bucket.clients.s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]
    try:
        others = [tag for tag in tags if "owner" not in tag["Key"]]
        bucket.clients.s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": others})
        assert Ending.FAILED_CONTROL in bucket.endings()
    finally:
        bucket.clients.s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": tags})
    assert bucket.problems() == []
