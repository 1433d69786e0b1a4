"""A tenant's bucket on a real S3 server: who gets in, what the tenant may not change, when writes stop."""

import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from provisioner.datastore.credentials import AccessKey
from provisioner.datastore.marks import Fate
from provisioner.datastore.objects_server import ObjectsServerAdmin
from provisioner.descriptor.platform import SecretReference
from provisioner.errors import NotPermitted, Unreachable
from tests.conftest import Servers
from tests.data_stores import client, new_tenant, objects_access_of, objects_of

pytestmark = pytest.mark.servers


class Store:
    """A tenant's bucket with its identity, and clients for it."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.admin = objects_of(servers)
        self.tenant = new_tenant()
        self.name = self.tenant.names.bucket
        self.admin.ensure_bucket(self.tenant.bucket(), mark=self.tenant.mark)
        self.key = self.new_key()
        self.s3: Any = client(servers, "s3", key=self.key)

    def new_key(self) -> AccessKey:
        made = self.admin.ensure_identity(self.tenant.identity(), mark=self.tenant.mark, key=None)
        assert made is not None
        return made

    def deviations(self) -> tuple[str, ...]:
        found = self.admin.read_bucket(self.tenant.bucket())
        assert found is not None
        return found.deviations

    def mend(self) -> None:
        self.admin.ensure_bucket(self.tenant.bucket(), mark=self.tenant.mark)

    def anonymous(self, path: str) -> int:
        """The status of an anonymous GET."""
        try:
            with urllib.request.urlopen(f"{self.servers.objects_url}/{self.name}/{path}") as answer:  # noqa: S310 - http, ours
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


@pytest.fixture
def store(servers: Servers) -> Iterator[Store]:
    """A bucket with one object."""
    made = Store(servers)
    made.s3.put_object(Bucket=made.name, Key="page", Body=b"hello")
    yield made
    made.admin.retire_bucket(made.name, mark=made.tenant.mark, delete_data=True)
    made.admin.drop_identity(made.tenant.names.objects_identity, mark=made.tenant.mark)


def refused(call: Callable[..., Any], **arguments: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_the_tenant_reads_writes_lists_and_deletes_in_its_bucket(store: Store) -> None:
    assert store.s3.get_object(Bucket=store.name, Key="page")["Body"].read() == b"hello"
    store.s3.put_object(Bucket=store.name, Key="other", Body=b"x")
    assert store.s3.list_objects_v2(Bucket=store.name)["KeyCount"] == 2
    store.s3.delete_object(Bucket=store.name, Key="other")


def test_the_tenant_cannot_change_its_bucket_or_reach_another(store: Store, servers: Servers) -> None:
    other = Store(servers)
    s3, name = store.s3, store.name
    codes = {
        refused(s3.get_object, Bucket=other.name, Key="page"),
        refused(s3.list_objects_v2, Bucket=other.name),
        refused(s3.put_object, Bucket=other.name, Key="x", Body=b"x"),
        refused(s3.create_bucket, Bucket=f"{name}-more"),
        refused(s3.delete_bucket, Bucket=name),
        refused(s3.get_bucket_policy, Bucket=name),
        refused(s3.delete_bucket_policy, Bucket=name),
        refused(s3.put_bucket_tagging, Bucket=name, Tagging={"TagSet": []}),
        refused(s3.put_bucket_versioning, Bucket=name, VersioningConfiguration={"Status": "Suspended"}),
        refused(s3.put_bucket_acl, Bucket=name, ACL="public-read"),
        refused(s3.put_object_acl, Bucket=name, Key="page", ACL="public-read"),
    }
    assert codes == {"AccessDenied"}


def test_an_identity_with_rights_on_everything_is_denied_by_the_bucket_s_policy(store: Store, servers: Servers) -> None:
    iam, wide = client(servers, "iam"), f"wide-{store.name}"
    iam.create_user(UserName=wide)
    made = iam.create_access_key(UserName=wide)["AccessKey"]
    document = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::*"}]}'
    iam.put_user_policy(UserName=wide, PolicyName="all", PolicyDocument=document)
    key = replace(store.key, id=made["AccessKeyId"], secret=type(store.key.secret)(made["SecretAccessKey"]))
    s3 = client(servers, "s3", key=key)
    assert refused(s3.get_object, Bucket=store.name, Key="page") == "AccessDenied"
    assert refused(s3.list_objects_v2, Bucket=store.name) == "AccessDenied"
    iam.delete_user(UserName=wide)


def test_nobody_gets_in_without_a_key_even_where_acls_are_public(store: Store, servers: Servers) -> None:
    store.s3.put_object(Bucket=store.name, Key="page", Body=b"hello", ACL="public-read")
    client(servers, "s3").put_bucket_acl(Bucket=store.name, ACL="public-read")
    assert (store.anonymous("page"), store.anonymous("")) == (403, 403)
    assert [one for one in store.deviations() if "AllUsers" in one], "it is closed, but not as wanted"
    store.mend()
    assert store.deviations() == ()


def test_a_policy_that_opens_the_bucket_is_seen_and_mended(store: Store, servers: Servers) -> None:
    resource = f"arn:aws:s3:::{store.name}/*"
    document = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"'
        f'{resource}"}}]}}'
    )
    client(servers, "s3").put_bucket_policy(Bucket=store.name, Policy=document)
    assert store.anonymous("page") == 200, "the positive control"
    assert store.deviations() == ("the bucket policy differs",)
    store.mend()
    assert (store.anonymous("page"), store.deviations()) == (403, ())


def test_past_its_quota_the_tenant_reads_and_deletes_but_writes_nothing(store: Store) -> None:
    store.s3.put_object(Bucket=store.name, Key="large", Body=b"x" * 2000)
    store.mend()
    s3, name = store.s3, store.name
    assert refused(s3.put_object, Bucket=name, Key="more", Body=b"x") == "AccessDenied"
    assert refused(s3.create_multipart_upload, Bucket=name, Key="more") == "AccessDenied"
    assert refused(s3.copy_object, Bucket=name, Key="more", CopySource=f"{name}/page") == "AccessDenied"
    for version in s3.list_object_versions(Bucket=name, Prefix="large")["Versions"]:
        s3.delete_object(Bucket=name, Key="large", VersionId=version["VersionId"])
    store.mend()
    s3.put_object(Bucket=name, Key="more", Body=b"x")


def test_every_version_counts(store: Store) -> None:
    for _ in range(3):
        store.s3.put_object(Bucket=store.name, Key="page", Body=b"12345")
    store.s3.delete_object(Bucket=store.name, Key="page")
    usage = store.admin.read_usage(store.name)
    assert usage is not None
    assert (usage.objects, usage.size_bytes) == (4, 20)


def test_a_bucket_that_holds_only_old_versions_is_kept(store: Store) -> None:
    store.s3.delete_object(Bucket=store.name, Key="page")
    assert store.admin.retire_bucket(store.name, mark=store.tenant.mark, delete_data=False) is Fate.RETAINED


def test_a_kept_bucket_is_closed_to_its_tenant(store: Store) -> None:
    store.admin.retire_bucket(store.name, mark=store.tenant.mark, delete_data=False)
    assert refused(store.s3.get_object, Bucket=store.name, Key="page") == "AccessDenied"


def test_the_tenant_s_own_tags_are_kept(store: Store, servers: Servers) -> None:
    s3 = client(servers, "s3")
    tags = [*s3.get_bucket_tagging(Bucket=store.name)["TagSet"], {"Key": "cost-centre", "Value": "7"}]
    s3.put_bucket_tagging(Bucket=store.name, Tagging={"TagSet": tags})
    store.mend()
    found = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=store.name)["TagSet"]}
    assert found["cost-centre"] == "7"


def test_a_new_key_ends_the_old_one(store: Store) -> None:
    store.new_key()
    assert refused(store.s3.get_object, Bucket=store.name, Key="page") == "InvalidAccessKeyId"


def test_unreachable_and_refused_are_told_apart_without_a_secret(servers: Servers) -> None:
    access = objects_access_of(servers)
    closed = replace(access, url="http://127.0.0.1:1", iam_url="http://127.0.0.1:1")
    wrong = replace(access, credentials=SecretReference(env="KEY"))
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        ObjectsServerAdmin(closed, environment=os.environ).read_usage("x")
    with pytest.raises(NotPermitted, match="refused the administrator's access key") as caught:
        ObjectsServerAdmin(wrong, environment={"KEY": "AKIANOBODY:open-sesame"}).read_usage("x")
    assert "open-sesame" not in f"{caught.value} {caught.value.why} {caught.value.hint}"
