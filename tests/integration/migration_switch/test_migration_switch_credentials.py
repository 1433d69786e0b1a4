"""After the end of a move: new passwords and a new access key open the target, the old ones open nothing."""

from dataclasses import replace

import psycopg
import pytest

from provisioner.datastore.credentials import AccessKey, Secret, generate_password
from provisioner.datastore.postgres import PostgresAccess
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_migration_alone
from provisioner.descriptor.migration import MigrationTarget
from provisioner.descriptor.platform import SecretReference
from provisioner.errors import CoopctlError, Unreachable
from provisioner.migration.objects_bucket import open_bucket_as
from provisioner.migration.postgres_sides import Side, conninfo
from provisioner.migration.target_credentials import TargetCredentials
from stacks.provider.configuration import Configuration, from_properties, to_properties
from stacks.provider.kinds import Stores
from stacks.provider.objects_kinds import IdentityResource
from stacks.provider.postgres_kinds import PASSWORD_DEVIATION, RoleResource
from stacks.provider.properties import Plain, State
from stacks.provider.server import open_stores
from tests.data_stores import administrator_key, client, objects_access_of
from tests.integration.migration_switch.conftest import NAME, Switching, let_in_at
from tests.postgres_servers import as_user

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=40)]
OLD = "app-secret"


class Applying:
    """What an apply does to the role and the identity of the applications, by the real provider's kinds."""

    def __init__(self, world: Switching) -> None:
        self.world = world
        names = self.names = world.bucket.tenant.names
        self.role: dict[str, Plain] = {
            "name": names.application_role,
            "kind": "application",
            "login": True,
            "connectionLimit": 9,
            "fenced": True,
        }
        self.identity: dict[str, Plain] = {"name": names.objects_identity, "bucket": names.bucket}
        self.role_state = self.plain({**self.role, "password": OLD})
        key = world.bucket.key
        self.key_state = self.plain({**self.identity, "accessKeyId": key.id, "secretAccessKey": key.secret.reveal()})

    @property
    def target(self) -> MigrationTarget:
        return load_migration_alone(Estate(root=self.world.root), NAME).target

    def stores(self, *, target: MigrationTarget | None = None) -> Stores:
        server = self.world.source_server
        configuration = Configuration(
            mark=self.world.bucket.tenant.mark,
            postgres=PostgresAccess(
                host="127.0.0.1", port=server.port, user="postgres", password=SecretReference(env="SOURCE_PASSWORD")
            ),
            objects=objects_access_of(self.world.bucket.servers),
            moved_to=target or self.target,
        )
        return open_stores(from_properties(to_properties(configuration)))

    def password(self, *, rotation: int) -> Secret:
        """The application's password after an apply."""
        made = RoleResource().update(self.role_state, {**self.role, "rotation": rotation}, stores=self.stores())
        self.role_state = self.plain(made)
        return Secret(str(self.role_state["password"]))

    def key(self, *, rotation: int, target: MigrationTarget | None = None) -> AccessKey:
        """The application's access key after an apply."""
        inputs: dict[str, Plain] = {**self.identity, "rotation": rotation}
        made = IdentityResource().update(self.key_state, inputs, stores=self.stores(target=target))
        self.key_state = self.plain(made)
        return AccessKey(id=str(self.key_state["accessKeyId"]), secret=Secret(str(self.key_state["secretAccessKey"])))

    @staticmethod
    def plain(state: State) -> dict[str, Plain]:
        return {name: one.reveal() if isinstance(one, Secret) else one for name, one in state.items()}


@pytest.fixture
def applying(switching: Switching, monkeypatch: pytest.MonkeyPatch) -> Applying:
    for name, value in switching.environment.items():
        monkeypatch.setenv(name, value)
    tenant = switching.bucket.tenant
    role = tenant.names.application_role
    switching.source_server.execute(
        f"""COMMENT ON ROLE {role} IS '{{"coopctl.dev":{{"cluster":"{tenant.mark.cluster}","""
        f""""cooperative":"{tenant.mark.cooperative}"}}}}'"""
    )
    switching.target_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{OLD}'")
    switching.target_server.execute(f"GRANT CONNECT ON DATABASE {tenant.names.database} TO {role}")
    return Applying(switching)


def _opens(side: Side, *, role: str, password: str) -> bool:
    try:
        with psycopg.connect(conninfo(as_user(side, role, password))):
            return True
    except psycopg.OperationalError:
        return False


def test_a_new_password_opens_the_target_and_the_old_one_nothing(
    applying: Applying, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, role = applying.world, applying.names.application_role
    assert _opens(world.target, role=role, password=OLD)

    def cut_off(*_: object) -> None:
        raise Unreachable("the target went away")

    with monkeypatch.context() as patch:
        patch.setattr(TargetCredentials, "set_password", cut_off)
        with pytest.raises(Unreachable):
            applying.password(rotation=1)
    found = RoleResource().read(applying.role_state, stores=applying.stores())
    assert found is not None
    assert found["deviations"] == [PASSWORD_DEVIATION], "the state knows another one than the server: it is made anew"

    new = applying.password(rotation=1)
    assert _opens(world.target, role=role, password=new.reveal())
    assert not _opens(world.target, role=role, password=OLD)
    world.source_server.execute(f"ALTER ROLE {role} LOGIN")
    assert not _opens(world.source, role=role, password=OLD)
    assert applying.password(rotation=1) == new, "nothing is changed that was changed"
    assert applying.password(rotation=2) != new


def test_a_new_key_opens_the_target_and_the_old_one_neither_side(applying: Applying) -> None:
    world, names = applying.world, applying.names
    there = objects_access_of(world.target_objects)
    unknown = client(world.target_objects, "iam").create_access_key(UserName=names.objects_identity)["AccessKey"]
    new = applying.key(rotation=1)
    assert new.id not in {world.bucket.key.id, unknown["AccessKeyId"]}
    open_bucket_as(names.bucket, there, key=new).s3.put_object(Bucket=names.bucket, Key="new", Body=b"1")
    listed = client(world.target_objects, "iam").list_access_keys(UserName=names.objects_identity)
    assert [one["AccessKeyId"] for one in listed["AccessKeyMetadata"]] == [new.id]
    for bucket in (world.target_app, world.bucket.app):
        with pytest.raises(Exception, match=r"InvalidAccessKeyId|AccessDenied|Forbidden"):
            bucket.s3.get_object(Bucket=names.bucket, Key="scans/1")
    assert applying.key(rotation=1) == new
    found = IdentityResource().read(applying.key_state, stores=applying.stores())
    assert found is not None
    assert found["deviations"] == []


def test_where_the_target_lets_nobody_change_keys_the_cooperative_has_to(
    applying: Applying, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, key, target = applying.world, applying.world.bucket.key, applying.target
    lesser = AccessKey(id=f"LESS{applying.names.uid.upper()}", secret=generate_password())
    let_in_at(world.target_objects, f"lesser-{applying.names.uid}", key=lesser, bucket=applying.names.bucket)
    monkeypatch.setenv("LESS", f"{lesser.id}:{lesser.secret.reveal()}")
    less = replace(target, objects=replace(target.objects, credentials=SecretReference(env="LESS")))
    assert applying.key(rotation=1, target=less) == key
    with pytest.raises(CoopctlError):
        TargetCredentials(
            replace(target, objects=replace(target.objects, iam_url="http://127.0.0.1:1")),
            environment={"TARGET_KEY": "a:b"},
        ).may_replace_key("anybody")
    admin = administrator_key(applying.world.target_objects.objects_credentials)
    assert TargetCredentials(target, environment={"TARGET_KEY": f"{admin.id}:{admin.secret.reveal()}"}).may_replace_key(
        applying.names.objects_identity
    )
