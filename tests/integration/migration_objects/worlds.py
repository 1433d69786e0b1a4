"""A bucket with its application on one server, an empty bucket with an identity of its own on the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provisioner.datastore.credentials import AccessKey
from provisioner.migration.objects_bucket import Bucket, open_bucket_as
from provisioner.migration.objects_copying import Copying, open_copying
from provisioner.migration.objects_fence import Application, Fencing
from provisioner.migration.objects_listing import chains
from provisioner.migration.objects_report import ObjectsReport
from provisioner.migration.objects_transfer import PART_BYTES_LEAST
from provisioner.migration.objects_verification import Verifying
from tests.conftest import Servers
from tests.data_stores import administrator_key, new_tenant, objects_access_of, objects_of


class Store:
    """A tenant's bucket on a server, as its administrator and as its identity see it."""

    def __init__(self, servers: Servers, *, versioning: bool) -> None:
        self.servers = servers
        self.tenant = new_tenant()
        self._admin = objects_of(servers)
        self._admin.ensure_bucket(self.tenant.bucket(versioning=versioning, quota_bytes=0), mark=self.tenant.mark)
        key = self._admin.ensure_identity(self.tenant.identity(), mark=self.tenant.mark, key=None)
        assert key is not None
        self.key = key
        self.open()

    def open(self) -> None:
        """Open clients: a process that was forked must not share connections."""
        self.admin = self.bucket_as(administrator_key(self.servers.objects_credentials))
        self.app = self.bucket_as(self.key)
        self.s3: Any = self.app.s3

    @property
    def name(self) -> str:
        return self.tenant.names.bucket

    @property
    def identity(self) -> str:
        return self.tenant.names.objects_identity

    def bucket_as(self, key: AccessKey) -> Bucket:
        return open_bucket_as(self.name, objects_access_of(self.servers), key=key)

    def put(self, key: str, body: bytes, **arguments: Any) -> str:
        """Put an object as the application does; gives its version."""
        return str(self.s3.put_object(Bucket=self.name, Key=key, Body=body, **arguments).get("VersionId", "null"))

    def delete(self, key: str, **arguments: Any) -> None:
        self.s3.delete_object(Bucket=self.name, Key=key, **arguments)

    def tag(self, key: str, **tags: str) -> None:
        found = [{"Key": name, "Value": value} for name, value in tags.items()]
        self.admin.s3.put_object_tagging(Bucket=self.name, Key=key, Tagging={"TagSet": found})  # type: ignore[typeddict-item]

    def bodies(self) -> dict[str, list[bytes | None]]:
        """Every key with its versions, oldest first; None for a delete marker."""
        return {
            key: [None if one.marker else self.admin.read(one, start=0, size=one.size) for one in chain]
            for key, chain in chains(self.admin)
        }

    def retire(self) -> None:
        self._admin.retire_bucket(self.name, mark=self.tenant.mark, delete_data=True)
        self._admin.drop_identity(self.identity, mark=self.tenant.mark)


class Move:
    """A source, a target, and the ledger between them."""

    def __init__(self, source_server: Servers, target_server: Servers, *, folder: Path, versioning: bool) -> None:
        self.source = Store(source_server, versioning=versioning)
        self.target = Store(target_server, versioning=False)
        self.ledger = folder / "rice.objects"

    @contextmanager
    def copying(self, **arguments: Any) -> Iterator[Copying]:
        values: dict[str, Any] = {"workers": 4, "part_bytes": PART_BYTES_LEAST, **arguments}
        with open_copying(self.ledger, source=self.source.admin, target=self.target.admin, **values) as copying:
            yield copying

    def copy(self) -> None:
        """Passes until nothing differs."""
        with self.copying() as copying:
            assert not copying.passes()[-1].differed

    def verify(self, **arguments: Any) -> ObjectsReport:
        return Verifying(source=self.source.admin, target=self.target.admin, clock=now).verify(**arguments)

    def fencing(self, **arguments: Any) -> Fencing:
        application = Application(identity=self.source.identity, bucket=self.source.app)
        return Fencing(of=self.source.admin, applications=(application,), clock=now, **arguments)

    def remove(self) -> None:
        self.source.retire()
        self.target.retire()


def now() -> datetime:
    """The time, with a zone."""
    return datetime.now(UTC)
