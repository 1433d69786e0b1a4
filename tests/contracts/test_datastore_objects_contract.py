"""What every ObjectsAdmin promises: the in-memory one and the one for real servers alike."""

from dataclasses import replace
from typing import Protocol

import pytest

from provisioner.datastore.marks import Fate, Mark, to_tags
from provisioner.datastore.objects import BucketState, ObjectsAdmin
from provisioner.datastore.objects_memory import MemoryObjects
from provisioner.errors import NotOurs
from tests.conftest import Servers
from tests.data_stores import Tenant, client, foreign_mark, new_tenant, objects_of


class Hand(Protocol):
    """Somebody who changes things on the server past coopctl."""

    def put(self, tenant: Tenant, key: str, size: int) -> None: ...

    def remove(self, tenant: Tenant, key: str) -> None: ...

    def make_bucket(self, tenant: Tenant, *, mark: Mark | None, filled: bool) -> None: ...

    def make_identity(self, tenant: Tenant, *, mark: Mark | None, with_key: bool) -> None: ...

    def open_bucket(self, tenant: Tenant) -> None: ...

    def strip_identity(self, tenant: Tenant) -> None: ...

    def take_keys(self, tenant: Tenant) -> None: ...


class MemoryHand:
    def __init__(self, admin: MemoryObjects) -> None:
        self.admin = admin

    def put(self, tenant: Tenant, key: str, size: int) -> None:
        self.admin.contents[tenant.names.bucket][key] = size

    def remove(self, tenant: Tenant, key: str) -> None:
        del self.admin.contents[tenant.names.bucket][key]

    def make_bucket(self, tenant: Tenant, *, mark: Mark | None, filled: bool) -> None:
        name = tenant.names.bucket
        self.admin.buckets[name] = BucketState(name=name, versioning=False, quota_bytes=0, mark=mark)
        self.admin.contents[name] = {"theirs": 1} if filled else {}

    def make_identity(self, tenant: Tenant, *, mark: Mark | None, with_key: bool) -> None:
        name = tenant.names.objects_identity
        self.admin.ensure_identity(tenant.identity(), mark=foreign_mark(), key=None)
        self.admin.identities[name] = mark
        del self.admin.rights[name]
        if not with_key:
            self.admin.keys[name] = {}

    def open_bucket(self, tenant: Tenant) -> None:
        self.admin.open_buckets.add(tenant.names.bucket)

    def strip_identity(self, tenant: Tenant) -> None:
        del self.admin.rights[tenant.names.objects_identity]

    def take_keys(self, tenant: Tenant) -> None:
        self.admin.keys[tenant.names.objects_identity] = {}


class ServerHand:
    def __init__(self, servers: Servers) -> None:
        self.s3 = client(servers, "s3")
        self.iam = client(servers, "iam")

    def put(self, tenant: Tenant, key: str, size: int) -> None:
        self.s3.put_object(Bucket=tenant.names.bucket, Key=key, Body=b"x" * size)

    def remove(self, tenant: Tenant, key: str) -> None:
        for version in self.s3.list_object_versions(Bucket=tenant.names.bucket, Prefix=key)["Versions"]:
            self.s3.delete_object(Bucket=tenant.names.bucket, Key=key, VersionId=version["VersionId"])

    def make_bucket(self, tenant: Tenant, *, mark: Mark | None, filled: bool) -> None:
        name = tenant.names.bucket
        self.s3.create_bucket(Bucket=name)
        if mark:
            tags = [{"Key": key, "Value": value} for key, value in to_tags(mark).items()]
            self.s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
        if filled:
            self.put(tenant, "theirs", 1)

    def make_identity(self, tenant: Tenant, *, mark: Mark | None, with_key: bool) -> None:
        name = tenant.names.objects_identity
        self.iam.create_user(UserName=name)
        if mark:
            self.iam.tag_user(UserName=name, Tags=[{"Key": k, "Value": v} for k, v in to_tags(mark).items()])
        if with_key:
            self.iam.create_access_key(UserName=name)

    def open_bucket(self, tenant: Tenant) -> None:
        self.s3.delete_bucket_policy(Bucket=tenant.names.bucket)

    def strip_identity(self, tenant: Tenant) -> None:
        name = tenant.names.objects_identity
        for policy in self.iam.list_user_policies(UserName=name)["PolicyNames"]:
            self.iam.delete_user_policy(UserName=name, PolicyName=policy)

    def take_keys(self, tenant: Tenant) -> None:
        name = tenant.names.objects_identity
        for key in self.iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            self.iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])


@pytest.fixture(params=["memory", pytest.param("server", marks=pytest.mark.servers)])
def world(request: pytest.FixtureRequest) -> tuple[ObjectsAdmin, Hand]:
    """An administrator and a hand, both of memory or both of a real server."""
    if request.param == "memory":
        memory = MemoryObjects()
        return memory, MemoryHand(memory)
    servers: Servers = request.getfixturevalue("servers")
    return objects_of(servers), ServerHand(servers)


@pytest.fixture
def admin(world: tuple[ObjectsAdmin, Hand]) -> ObjectsAdmin:
    return world[0]


@pytest.fixture
def hand(world: tuple[ObjectsAdmin, Hand]) -> Hand:
    return world[1]


def bucket_of(admin: ObjectsAdmin, tenant: Tenant) -> BucketState:
    found = admin.read_bucket(tenant.bucket())
    assert found is not None
    return found


def identity_deviations(admin: ObjectsAdmin, tenant: Tenant, *, key: str | None) -> tuple[str, ...]:
    found = admin.read_identity(tenant.identity(), key=key)
    assert found is not None
    return found.deviations


def new_key(admin: ObjectsAdmin, tenant: Tenant) -> str:
    made = admin.ensure_identity(tenant.identity(), mark=tenant.mark, key=None)
    assert made is not None
    return made.id


def test_what_does_not_exist_reads_as_none(admin: ObjectsAdmin) -> None:
    tenant = new_tenant()
    assert admin.read_bucket(tenant.bucket()) is None
    assert admin.read_identity(tenant.identity(), key=None) is None
    assert admin.read_usage(tenant.names.bucket) is None
    assert admin.retire_bucket(tenant.names.bucket, mark=tenant.mark, delete_data=False) is Fate.ABSENT
    assert admin.drop_identity(tenant.names.objects_identity, mark=tenant.mark) is Fate.ABSENT


def test_a_bucket_reads_back_as_wanted_and_changes_in_place(admin: ObjectsAdmin) -> None:
    tenant = new_tenant()
    for _ in range(2):
        admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    expected = BucketState(name=tenant.names.bucket, versioning=True, quota_bytes=1000, mark=tenant.mark)
    assert bucket_of(admin, tenant) == expected
    admin.ensure_bucket(tenant.bucket(quota_bytes=5000, versioning=False), mark=tenant.mark)
    assert bucket_of(admin, tenant) == replace(expected, quota_bytes=5000, versioning=False)


def test_a_fenced_bucket_takes_no_writes_until_it_is_opened(admin: ObjectsAdmin) -> None:
    tenant = new_tenant()
    fenced = tenant.bucket(fenced=True)
    admin.ensure_bucket(fenced, mark=tenant.mark)
    found = admin.read_bucket(fenced)
    assert found is not None
    assert found.deviations == ()
    assert bucket_of(admin, tenant).deviations == ("the bucket policy differs",)
    assert admin.takes_writes(fenced) is False
    admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    assert admin.takes_writes(tenant.bucket()) is True


@pytest.mark.parametrize("mark", [None, foreign_mark()], ids=["unmarked", "foreign"])
def test_a_bucket_of_somebody_else_is_refused_and_untouched(admin: ObjectsAdmin, hand: Hand, mark: Mark | None) -> None:
    tenant = new_tenant()
    hand.make_bucket(tenant, mark=mark, filled=True)
    with pytest.raises(NotOurs, match=tenant.names.bucket):
        admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    with pytest.raises(NotOurs):
        admin.retire_bucket(tenant.names.bucket, mark=tenant.mark, delete_data=True)
    assert bucket_of(admin, tenant).mark == mark


def test_a_bucket_that_a_cut_off_creation_left_is_adopted(admin: ObjectsAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    hand.make_bucket(tenant, mark=None, filled=False)
    admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    assert bucket_of(admin, tenant).mark == tenant.mark


def test_a_bucket_without_its_policy_is_seen_and_mended(admin: ObjectsAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    hand.open_bucket(tenant)
    assert bucket_of(admin, tenant).deviations == ("the bucket policy is missing",)
    admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    assert bucket_of(admin, tenant).deviations == ()


def test_past_its_quota_a_bucket_deviates_until_writes_are_stopped(admin: ObjectsAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    hand.put(tenant, "large", 1001)
    assert bucket_of(admin, tenant).deviations == ("the bucket policy differs",)
    assert admin.takes_writes(tenant.bucket()) is True
    admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    assert bucket_of(admin, tenant).deviations == ()
    assert admin.takes_writes(tenant.bucket()) is False
    hand.remove(tenant, "large")
    assert bucket_of(admin, tenant).deviations == ("the bucket policy differs",), "writes are to be allowed again"


def test_usage_counts_bytes_and_objects(admin: ObjectsAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    hand.put(tenant, "a", 100)
    hand.put(tenant, "b", 23)
    usage = admin.read_usage(tenant.names.bucket)
    assert usage is not None
    assert (usage.size_bytes, usage.objects, usage.quota_bytes) == (123, 2, 1000)


def test_an_empty_bucket_is_deleted_and_a_full_one_kept_and_adopted_again(admin: ObjectsAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    hand.put(tenant, "a", 1)
    assert admin.retire_bucket(tenant.names.bucket, mark=tenant.mark, delete_data=False) is Fate.RETAINED
    assert bucket_of(admin, tenant).mark == replace(tenant.mark, retained=True)
    admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    adopted = bucket_of(admin, tenant)
    assert (adopted.mark, adopted.deviations) == (tenant.mark, ())
    hand.remove(tenant, "a")
    assert admin.retire_bucket(tenant.names.bucket, mark=tenant.mark, delete_data=False) is Fate.DROPPED


def test_contents_are_deleted_only_when_told_so(admin: ObjectsAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    admin.ensure_bucket(tenant.bucket(), mark=tenant.mark)
    hand.put(tenant, "a", 1)
    assert admin.retire_bucket(tenant.names.bucket, mark=tenant.mark, delete_data=True) is Fate.DROPPED
    assert admin.read_bucket(tenant.bucket()) is None


def test_an_identity_keeps_its_one_key_and_adopting_replaces_it(admin: ObjectsAdmin) -> None:
    tenant = new_tenant()
    first = new_key(admin, tenant)
    assert admin.ensure_identity(tenant.identity(), mark=tenant.mark, key=first) is None
    assert identity_deviations(admin, tenant, key=first) == ()
    second = new_key(admin, tenant)
    found = admin.read_identity(tenant.identity(), key=second)
    assert found is not None
    assert (found.access_key_ids, found.deviations, found.mark) == ((second,), (), tenant.mark)


def test_an_identity_without_its_rights_is_seen_and_mended(admin: ObjectsAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    key = new_key(admin, tenant)
    hand.strip_identity(tenant)
    assert identity_deviations(admin, tenant, key=key) == ("the identity's policy is missing",)
    assert admin.ensure_identity(tenant.identity(), mark=tenant.mark, key=key) is None
    assert identity_deviations(admin, tenant, key=key) == ()


def test_a_key_that_was_deleted_by_hand_is_replaced(admin: ObjectsAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    key = new_key(admin, tenant)
    hand.take_keys(tenant)
    assert identity_deviations(admin, tenant, key=key) == ("the access key is gone",)
    made = admin.ensure_identity(tenant.identity(), mark=tenant.mark, key=key)
    assert made is not None
    assert identity_deviations(admin, tenant, key=made.id) == ()


@pytest.mark.parametrize("mark", [None, foreign_mark()], ids=["unmarked", "foreign"])
def test_an_identity_of_somebody_else_is_refused_and_untouched(
    admin: ObjectsAdmin, hand: Hand, mark: Mark | None
) -> None:
    tenant = new_tenant()
    hand.make_identity(tenant, mark=mark, with_key=True)
    with pytest.raises(NotOurs, match=tenant.names.objects_identity):
        admin.ensure_identity(tenant.identity(), mark=tenant.mark, key=None)
    with pytest.raises(NotOurs):
        admin.drop_identity(tenant.names.objects_identity, mark=tenant.mark)


def test_an_identity_that_a_cut_off_creation_left_is_adopted(admin: ObjectsAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    hand.make_identity(tenant, mark=None, with_key=False)
    assert identity_deviations(admin, tenant, key=new_key(admin, tenant)) == ()


def test_an_identity_is_deleted_with_its_keys(admin: ObjectsAdmin) -> None:
    tenant = new_tenant()
    new_key(admin, tenant)
    assert admin.drop_identity(tenant.names.objects_identity, mark=tenant.mark) is Fate.DROPPED
    assert admin.read_identity(tenant.identity(), key=None) is None
