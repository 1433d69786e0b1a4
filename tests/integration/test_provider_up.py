"""The provider under a real pulumi, against real servers: create, drift, mend, resize, kill, destroy."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi import automation

from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.datastore.objects_buckets import mark_bucket
from provisioner.datastore.objects_clients import open_clients
from provisioner.datastore.postgres_databases import mark_database
from provisioner.plan.resources import RoleKind
from provisioner.toolchain import Toolchain
from stacks.provider import PLUGIN_NAME, VERSION, executable
from stacks.provider.configuration import Configuration
from stacks.provider.resources import CoopctlProvider, DataStoreResource, declare
from tests.conftest import Servers
from tests.data_stores import (
    Tenant,
    client,
    new_tenant,
    objects_access_of,
    objects_of,
    postgres_access_of,
    postgres_of,
    session,
)

pytestmark = [
    pytest.mark.servers,
    pytest.mark.usefixtures("unclosed_collected"),
    # Pulumi's server for inline programs leaves its event loop open when the CLI ends with an error.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROOT = Path(__file__).parents[2]
PASSPHRASE = "a passphrase for tests"
# A provider that dies once, by SIGKILL, right after the first resource of the type in DIE_AFTER was really made.
DYING = """
import os, pathlib, signal, sys
from stacks.provider.provider import DataStoreProvider
from stacks.provider.server import serve

original = DataStoreProvider.create

async def dying(self, request):
    made = await original(self, request)
    mark = pathlib.Path(os.environ["DIED"])
    if not request.preview and request.type == os.environ["DIE_AFTER"] and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return made

DataStoreProvider.create = dying
serve(sys.argv[1:])
"""


@dataclass(kw_only=True)
class World:
    """A tenant, servers, and a PULUMI_HOME with the provider."""

    servers: Servers
    tenant: Tenant
    folder: Path
    final_dump: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)

    def wanted(self) -> list[tuple[DataStoreResource, list[str]]]:
        """All resources with the keys of those that they depend on."""
        roles = [(self.tenant.role(kind), ["role-owner"] if kind is RoleKind.MIGRATION else []) for kind in RoleKind]
        others: list[tuple[DataStoreResource, list[str]]] = [
            (self.tenant.database(), ["role-owner"]),
            (self.tenant.grants(), ["database", "role-application", "role-reader", "role-migration"]),
            (self.tenant.members("m-1", "m-2"), ["grants"]),
            (self.tenant.bucket(), []),
            (self.tenant.identity(), ["bucket"]),
        ]
        return [(replace(one, **self.changes.get(one.key, {})), deps) for one, deps in [*roles, *others]]

    def program(self) -> None:
        """The Pulumi program."""
        configuration = Configuration(
            mark=self.tenant.mark,
            postgres=postgres_access_of(self.servers),
            objects=objects_access_of(self.servers),
            allowed_extensions=("pgcrypto",),
            final_dump=self.final_dump,
        )
        provider = CoopctlProvider("data-store", configuration)
        declared: dict[str, Any] = {}
        for wanted, dependencies in self.wanted():
            options = pulumi.ResourceOptions(provider=provider, depends_on=[declared[key] for key in dependencies])
            declared[wanted.key] = declare(wanted, options=options)
        pulumi.export("password", declared["role-application"].password)
        pulumi.export("key", declared["identity"].access_key_id)
        pulumi.export("secret", declared["identity"].secret_access_key)

    @cached_property
    def stack(self) -> automation.Stack:
        """The stack; its program is whatever this world wants when it runs."""
        options = automation.LocalWorkspaceOptions(
            pulumi_home=str(self.folder / "home"),
            env_vars={
                "PULUMI_BACKEND_URL": (self.folder / "state").as_uri(),
                "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                **self.environment,
            },
        )
        name = str(self.tenant.names.cooperative)
        return automation.create_or_select_stack(name, "coopctl", self.program, opts=options)

    def install(self, text: str) -> None:
        """Put the provider's executable where pulumi looks for it."""
        file = self.folder / "home" / "plugins" / f"resource-coopctl-v{VERSION}" / PLUGIN_NAME
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def state(self) -> str:
        """All of Pulumi's state as text."""
        return "".join(one.read_text() for one in (self.folder / "state").rglob("*") if one.is_file())

    def up(self, events: Callable[[automation.EngineEvent], None] | None = None, *, refresh: bool = False) -> None:
        """Apply what is wanted."""
        result = self.stack.up(on_event=events, refresh=refresh)
        self.outputs = {name: str(output.value) for name, output in result.outputs.items()}

    @property
    def password(self) -> Secret:
        """The application role's password."""
        return Secret(self.outputs["password"])

    @property
    def key(self) -> AccessKey:
        """The identity's access key."""
        return AccessKey(id=self.outputs["key"], secret=Secret(self.outputs["secret"]))

    def require_working(self) -> None:
        """Password and key open the data store."""
        names = self.tenant.names
        with session(self.servers, database=names.database, user=names.application_role, password=self.password):
            pass
        client(self.servers, "s3", key=self.key).put_object(Bucket=names.bucket, Key="x", Body=b"x")


@pytest.fixture
def world(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    program = Toolchain().ensure(["pulumi"], report=print)["pulumi"]
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (tmp_path / "state").mkdir()
    made = World(servers=servers, tenant=new_tenant(), folder=tmp_path)
    made.install(executable(Path(sys.executable), paths=(ROOT,)))
    yield made
    tenant = made.tenant
    objects_of(servers).retire_bucket(tenant.names.bucket, mark=tenant.mark, delete_data=True)
    objects_of(servers).drop_identity(tenant.names.objects_identity, mark=tenant.mark)
    postgres_of(servers).retire_database(tenant.names.database, mark=tenant.mark, delete_data=True)


class Events:
    """Collects what pulumi does to which resource."""

    def __init__(self) -> None:
        self.changed: dict[str, tuple[str, set[str]]] = {}

    def __call__(self, event: automation.EngineEvent) -> None:
        if event.resource_pre_event is None:
            return
        metadata = event.resource_pre_event.metadata
        if metadata.op not in ("same", "refresh"):
            self.changed[metadata.urn.rpartition("::")[2]] = (metadata.op.value, set(metadata.detailed_diff or {}))


def refreshed(stack: automation.Stack) -> tuple[set[str], dict[str, int]]:
    """The resources that a refresh finds changed, without writing state."""
    found: set[str] = set()

    def collect(event: automation.EngineEvent) -> None:
        if event.res_outputs_event is not None:
            metadata = event.res_outputs_event.metadata
            if metadata.op.value in ("update", "delete"):
                found.add(metadata.urn.rpartition("::")[2])

    counted = stack.preview_refresh(on_event=collect).change_summary
    return found, {getattr(op, "value", str(op)): count for op, count in counted.items()}


def by_hand(world: World) -> dict[str, Callable[[], object]]:
    """Something that somebody does past coopctl to each resource."""
    names = world.tenant.names

    def execute(statement: str) -> Callable[[], object]:
        def run() -> None:
            with session(world.servers) as connection:
                connection.execute(statement.encode())

        return run

    s3, iam = client(world.servers, "s3"), client(world.servers, "iam")
    return {
        "role-application": execute(f"ALTER ROLE {names.application_role} CREATEDB CONNECTION LIMIT 99"),
        "role-reader": execute(f"ALTER ROLE {names.reader_role} PASSWORD 'taken-over'"),
        "role-migration": execute(f"REVOKE {names.owner_role} FROM {names.migration_role}"),
        "database": execute(f"ALTER DATABASE {names.database} CONNECTION LIMIT 3"),
        "grants": execute(f"GRANT CONNECT ON DATABASE {names.database} TO PUBLIC"),
        "members": execute(f"ALTER ROLE {names.database}_member_m_1 CREATEROLE"),
        "bucket": lambda: s3.delete_bucket_policy(Bucket=names.bucket),
        "identity": lambda: iam.delete_user_policy(UserName=names.objects_identity, PolicyName="own-bucket"),
    }


def test_a_data_store_lives_from_creation_over_drift_and_resizing_to_its_end(world: World) -> None:
    stack = world.stack
    stack.preview()
    assert postgres_of(world.servers).read_role(world.tenant.names.owner_role) is None, "a preview makes nothing"
    world.up()
    world.require_working()
    password, key = world.password, world.key

    assert {str(getattr(op, "value", op)) for op in stack.preview().change_summary} == {"same"}
    admin_secret = world.servers.postgres_password_file.read_text().strip()
    for secret in (password.reveal(), key.secret.reveal(), admin_secret, PASSPHRASE):
        assert secret not in world.state()

    many = tuple(f"m-{number}" for number in range(300))
    world.changes = {
        "database": {"connection_limit": 33},
        "members": {"members": many},
        "bucket": {"quota_bytes": 5000},
    }
    events = Events()
    world.up(events)
    assert events.changed == {
        "database": ("update", {"connectionLimit"}),
        "members": ("update", {"members"}),
        "bucket": ("update", {"quotaBytes"}),
    }

    before = world.state()
    for change in by_hand(world).values():
        change()
    drifted, counted = refreshed(stack)
    # Giving back the membership is the role's work; that it is missing shows in the grants too.
    assert drifted == set(by_hand(world))
    assert counted["update"] == len(drifted)
    assert world.state() == before, "looking writes no state"
    world.up(refresh=True)
    assert refreshed(stack)[0] == set()
    assert (world.password, world.key) == (password, key), "credentials that still hold are kept"
    world.require_working()

    stack.destroy()
    with session(world.servers) as connection:
        kept = connection.execute("SELECT rolname FROM pg_roles WHERE rolname ~ %s", [world.tenant.names.database])
        assert kept.fetchall() == [], "an empty database goes with all its roles, those of members too"
    found = objects_of(world.servers).read_bucket(world.tenant.bucket())
    assert found is not None, "a bucket with an object stays"
    assert found.mark is not None
    assert found.mark.retained


@pytest.mark.long(seconds=30)
def test_data_survive_destroy_and_are_adopted_by_the_next_apply(world: World) -> None:
    world.up()
    names = world.tenant.names
    with session(world.servers, database=names.database) as connection:
        connection.execute(f"SET ROLE {names.owner_role}")
        connection.execute("CREATE TABLE lots AS SELECT 7 AS kg")
    world.stack.destroy()
    assert not [one for one in map(postgres_of(world.servers).read_role, names.roles) if one is None or one.login]
    world.up()
    world.require_working()
    with session(
        world.servers, database=names.database, user=names.application_role, password=world.password
    ) as connection:
        assert connection.execute("SELECT kg FROM lots").fetchall() == [(7,)]

    world.final_dump = "the-dump"
    world.up()
    with pytest.raises(automation.CommandError, match="opened again since the final dump the-dump"):
        world.stack.destroy()
    with session(world.servers) as connection:
        mark_database(connection, names.database, mark=replace(world.tenant.mark, dump="the-dump"))
    clients = open_clients(objects_access_of(world.servers), environment=os.environ)
    mark_bucket(clients, names.bucket, mark=replace(world.tenant.mark, dump="the-dump"))
    world.stack.destroy()
    assert postgres_of(world.servers).read_database(names.database) is None
    assert objects_of(world.servers).read_bucket(world.tenant.bucket()) is None
    assert [postgres_of(world.servers).read_role(role) for role in names.roles] == [None] * 4


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("coopctl:postgres:Database", marks=pytest.mark.long(seconds=25)),
        pytest.param("coopctl:objects:Identity", marks=pytest.mark.long(seconds=25)),
        pytest.param("coopctl:postgres:Role", marks=pytest.mark.long(seconds=25)),
        pytest.param("coopctl:postgres:Grants", marks=pytest.mark.long(seconds=25)),
        pytest.param("coopctl:postgres:Members", marks=pytest.mark.long(seconds=25)),
        pytest.param("coopctl:objects:Bucket", marks=pytest.mark.long(seconds=25)),
    ],
)
def test_a_kill_right_after_the_real_creation_is_made_good_by_the_same_up(world: World, token: str) -> None:
    script = world.folder / "dying.py"
    script.write_text(DYING)
    world.install(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "{script}" "$@"\n')
    world.environment = {"DIE_AFTER": token, "DIED": str(world.folder / "died")}
    with pytest.raises(automation.CommandError):
        world.up()
    assert (world.folder / "died").exists()
    world.up(refresh=True)
    world.require_working()
    keys = client(world.servers, "iam").list_access_keys(UserName=world.tenant.names.objects_identity)
    assert len(keys["AccessKeyMetadata"]) == 1, "no key that nobody knows"
    assert refreshed(world.stack)[0] == set()
    with session(world.servers) as connection:
        mark = world.tenant.mark.cooperative
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"%{mark}%"])
        assert left.fetchall() == []


@pytest.mark.long(seconds=15)
def test_a_database_of_somebody_else_or_another_name_stops_with_a_clear_message(world: World) -> None:
    with session(world.servers) as connection:
        connection.execute(f"CREATE DATABASE {world.tenant.names.database}".encode())
    with pytest.raises(automation.CommandError, match="bears no mark of coopctl"):
        world.up()
    with session(world.servers) as connection:
        connection.execute(f"DROP DATABASE {world.tenant.names.database}".encode())
    world.up()
    world.changes = {"database": {"name": "another"}}
    with pytest.raises(automation.CommandError, match="name cannot change"):
        world.stack.preview()


def test_a_server_that_cannot_be_reached_is_named(world: World) -> None:
    away = replace(world, servers=replace(world.servers, postgres_port=1))
    with pytest.raises(automation.CommandError, match=r"PostgreSQL at 127\.0\.0\.1:1 cannot be reached"):
        away.up()
