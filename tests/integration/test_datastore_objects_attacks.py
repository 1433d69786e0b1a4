"""Attacks of a tenant's identity and of anonymous callers on a real S3 server: each is refused, and nothing changes."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from provisioner.datastore.credentials import AccessKey
from tests.conftest import Servers
from tests.data_stores import Tenant, client, new_tenant, objects_of

pytestmark = pytest.mark.servers
OPEN = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}],
    }
)
REFUSALS = {"AccessDenied", "AccessDeniedException", "403", "NotImplemented", "InvalidClientTokenId"}
# What a call is given: bucket (a neighbour's or its own), the neighbour's names, the identity's own name.
ON_A_NEIGHBOUR: Mapping[str, tuple[str, dict[str, Any]]] = {
    "its objects": ("get_object", {"Key": "page"}),
    "its objects' attributes": ("head_object", {"Key": "page"}),
    "its list": ("list_objects_v2", {}),
    "its old list": ("list_objects", {}),
    "its versions": ("list_object_versions", {}),
    "its uploads": ("list_multipart_uploads", {}),
    "a place in it": ("put_object", {"Key": "mine", "Body": b"x"}),
    "an upload to it": ("create_multipart_upload", {"Key": "mine"}),
    "its objects' end": ("delete_object", {"Key": "page"}),
    "its objects' tags": ("get_object_tagging", {"Key": "page"}),
    "its policy": ("get_bucket_policy", {}),
    "its marks": ("get_bucket_tagging", {}),
    "its end": ("delete_bucket", {}),
}
ON_ITS_OWN: Mapping[str, tuple[str, dict[str, Any]]] = {
    "its policy": ("put_bucket_policy", {"Policy": OPEN}),
    "no policy": ("delete_bucket_policy", {}),
    "an open list": ("put_bucket_acl", {"ACL": "public-read"}),
    "an open object": ("put_object_acl", {"Key": "page", "ACL": "public-read"}),
    "no versions": ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Suspended"}}),
    "no mark": ("delete_bucket_tagging", {}),
    "objects that end by themselves": (
        "put_bucket_lifecycle_configuration",
        {
            "LifecycleConfiguration": {
                "Rules": [{"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
            }
        },
    ),
    "pages of others": (
        "put_bucket_cors",
        {"CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}},
    ),
}
ON_IDENTITIES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "a new identity": ("create_user", {"UserName": "attacker"}),
    "a key of the neighbour's": ("create_access_key", {"UserName": "{neighbour}"}),
    "another name": ("update_user", {"UserName": "{own}", "NewUserName": "attacker"}),
    "all rights": ("put_user_policy", {"UserName": "{own}", "PolicyName": "all", "PolicyDocument": OPEN}),
    "the neighbour's policy": ("get_user_policy", {"UserName": "{neighbour}", "PolicyName": "own-bucket"}),
    "everybody's names": ("list_users", {}),
    "the neighbour's end": ("delete_user", {"UserName": "{neighbour}"}),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Two tenants with an object each, and the first one's key."""

    servers: Servers
    tenant: Tenant
    neighbour: Tenant
    key: AccessKey

    def refused(self, service: str, operation: str, arguments: Mapping[str, Any]) -> str:
        """The code by which a call of the tenant's identity is refused."""
        call: Callable[..., Any] = getattr(client(self.servers, service, key=self.key), operation)
        with pytest.raises(ClientError) as caught:
            call(**arguments)
        answer = caught.value.response
        # SeaweedFS refuses IAM calls in a form that names no code.
        return str(answer.get("Error", {}).get("Code") or answer["ResponseMetadata"]["HTTPStatusCode"])


@pytest.fixture(scope="module")
def place(servers: Servers) -> Iterator[Place]:
    admin, tenant, neighbour = objects_of(servers), new_tenant(), new_tenant("plastics")
    keys = []
    for one in (tenant, neighbour):
        admin.ensure_bucket(one.bucket(), mark=one.mark)
        keys.append(admin.ensure_identity(one.identity(), mark=one.mark, key=None))
        client(servers, "s3").put_object(Bucket=one.names.bucket, Key="page", Body=b"hello")
    assert keys[0] is not None
    made = Place(servers=servers, tenant=tenant, neighbour=neighbour, key=keys[0])
    own = client(servers, "s3", key=made.key)
    assert own.get_object(Bucket=tenant.names.bucket, Key="page")["Body"].read() == b"hello", "the positive control"
    yield made
    for one in (tenant, neighbour):
        found = admin.read_bucket(one.bucket())
        assert found is not None
        assert (found.versioning, found.deviations) == (True, ()), "no attack changed anything"
        admin.retire_bucket(one.names.bucket, mark=one.mark, delete_data=True)
        admin.drop_identity(one.names.objects_identity, mark=one.mark)


@pytest.mark.parametrize("attack", ON_A_NEIGHBOUR)
def test_no_identity_reaches_of_a_neighbour_s_bucket(place: Place, attack: str) -> None:
    operation, arguments = ON_A_NEIGHBOUR[attack]
    assert place.refused("s3", operation, {"Bucket": place.neighbour.names.bucket, **arguments}) in REFUSALS


@pytest.mark.parametrize("attack", ON_ITS_OWN)
def test_no_identity_changes_of_its_own_bucket(place: Place, attack: str) -> None:
    operation, arguments = ON_ITS_OWN[attack]
    assert place.refused("s3", operation, {"Bucket": place.tenant.names.bucket, **arguments}) in REFUSALS


@pytest.mark.parametrize("attack", ON_IDENTITIES)
def test_no_identity_gets_by_the_iam_api(place: Place, attack: str) -> None:
    operation, arguments = ON_IDENTITIES[attack]
    names = {"own": place.tenant.names.objects_identity, "neighbour": place.neighbour.names.objects_identity}
    filled = {name: value.format(**names) if name == "UserName" else value for name, value in arguments.items()}
    assert place.refused("iam", operation, filled) in REFUSALS


def test_a_key_that_an_identity_makes_for_itself_is_noticed_and_taken(place: Place) -> None:
    # SeaweedFS lets an identity do that; AWS does not, since its policy gives no right to.
    admin, tenant = objects_of(place.servers), place.tenant
    iam = client(place.servers, "iam", key=place.key)
    made = iam.create_access_key(UserName=tenant.names.objects_identity)["AccessKey"]
    found = admin.read_identity(tenant.identity(), key=place.key.id)
    assert found is not None
    assert found.deviations == (f"not wanted: the access key {made['AccessKeyId']}",)
    admin.ensure_identity(tenant.identity(), mark=tenant.mark, key=place.key.id)
    mended = admin.read_identity(tenant.identity(), key=place.key.id)
    assert mended is not None
    assert (mended.access_key_ids, mended.deviations) == ((place.key.id,), ())


def test_many_of_a_neighbour_s_objects_are_not_deleted_at_once(place: Place) -> None:
    # This call answers for each object.
    bucket = place.neighbour.names.bucket
    s3 = client(place.servers, "s3", key=place.key)
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "page"}]})
    assert [one["Code"] for one in answer["Errors"]] == ["AccessDenied"]
    assert client(place.servers, "s3").get_object(Bucket=bucket, Key="page")["Body"].read() == b"hello"


def test_nothing_is_copied_out_of_a_neighbour_s_bucket(place: Place) -> None:
    source = f"{place.neighbour.names.bucket}/page"
    copy = {"Bucket": place.tenant.names.bucket, "Key": "stolen", "CopySource": source}
    assert place.refused("s3", "copy_object", copy) in REFUSALS


def test_an_identity_does_not_learn_of_other_buckets(place: Place) -> None:
    found = client(place.servers, "s3", key=place.key).list_buckets()["Buckets"]
    assert [bucket["Name"] for bucket in found] == [place.tenant.names.bucket]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("path", ["", "page", "?versions", "?policy", "?uploads", "page?acl"])
def test_nobody_gets_in_without_a_key(place: Place, method: str, path: str) -> None:
    url = f"{place.servers.objects_url}/{place.tenant.names.bucket}/{path}"
    request = urllib.request.Request(url, method=method, data=b"x" if method in ("PUT", "POST") else None)  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)  # noqa: S310 - http, ours
    with caught.value as answer:
        assert answer.code in (400, 403, 405, 501)
