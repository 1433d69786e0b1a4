"""The whole way: the data store moves, an estate of its own takes it over on a second cluster, the platform lets go.

Once to servers like the platform's own, once as to managed ones: PostgreSQL 18, whose administrator is no superuser.
"""

import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import boto3
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pyrage import x25519

from examples.moved_store import make_table, put_objects
from examples.pilot_estate import COOPERATIVE, credentials
from examples.postgres_18 import unpack_programs
from examples.writing_client import TABLE
from provisioner.cluster.objects import open_cluster
from provisioner.datastore.postgres_entrances import CLOSE_LARGE_OBJECTS
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_platform
from provisioner.descriptor.scaffolding import create_estate, new_cluster_id
from provisioner.embedded import platform
from provisioner.embedded.private_files import write_private
from provisioner.embedded.target import TargetServers, target_servers
from provisioner.embedded.target_store import REGION, TargetStore, make_store, objects_url
from provisioner.naming import CooperativeName
from provisioner.operations.migration_tenancy import application_key
from tests.conftest import open_temporary_folder
from tests.data_stores import administrator_key
from tests.portal_pilots import copy_portal_pilots
from tests.running_estate import RunningEstate

pytestmark = [pytest.mark.cluster, pytest.mark.servers, pytest.mark.long(seconds=300)]
MIGRATION, LOGIN = "rice-out", "rice_administrator"
DOCUMENT = """\
apiVersion: coopctl.dev/v1
kind: DataStoreMigration
metadata: {{name: rice-out}}
spec:
  cooperative: rice-processing
  scope: all
  target:
    postgres:
      dsn: {{file: secrets/dsn}}
      pods: {{address: {address}, port: {postgres}}}
    objects:
      endpoint: {url}
      bucket: {bucket}
      credentials: {{file: {credentials}}}
      pods: {{address: {address}, port: {objects}}}
    cluster: {{kubeconfig: {{file: {kubeconfig}}}}}
"""


@dataclass(frozen=True, kw_only=True)
class TwoPlatforms:
    """The platform, and the second one, whose cluster will be the cooperative's; ``own`` is where its estate will be.

    ``target`` is where its data store will be, ``login`` with ``password`` who administers PostgreSQL there.
    """

    here: RunningEstate
    there: RunningEstate
    own: RunningEstate
    target: TargetServers
    login: str
    password: str

    def write_migration(self) -> None:
        """Get database, bucket and identity ready there, as the cooperative does, and write the document here."""
        described = load_platform(Estate(root=self.here.root))
        names, root = described.names_of(CooperativeName(COOPERATIVE)), self.here.root
        key = application_key(names, cluster=open_cluster(described))
        store = TargetStore(database=names.database, bucket=names.bucket, identity=names.objects_identity, key=key)
        weed = Path(sys.executable).with_name("weed")
        make_store(store, servers=self.target, weed=weed, environment=os.environ)
        self.rows(f"ALTER DATABASE {names.database} OWNER TO {self.login}")
        for folder in ("secrets", "migrations"):
            (root / folder).mkdir(exist_ok=True)
        (root / "secrets" / "dsn").write_text(self.administrator_dsn(names.database))
        endpoints = self.target.endpoints
        text = DOCUMENT.format(
            address=endpoints.bridge,
            postgres=endpoints.postgres,
            objects=endpoints.objects,
            url=objects_url(self.target),
            bucket=names.bucket,
            credentials=self.target.files.objects_credentials,
            kubeconfig=self.there.files.kubeconfig,
        )
        (root / "migrations" / f"{MIGRATION}.yaml").write_text(text)

    def administrator_dsn(self, database: str) -> str:
        """How the administrator there reaches a database: its login is the one that the own estate works with."""
        return make_conninfo(
            host="127.0.0.1",
            port=self.target.endpoints.postgres,
            user=self.login,
            password=self.password,
            dbname=database,
            sslmode="verify-full",
            sslrootcert=str(self.target.files.postgres_ca),
        )

    def rows(self, query: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """What the server's superuser reads there."""
        with psycopg.connect(_superuser(self.target, database=database), autocommit=True) as session:
            cursor = session.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def logs_in(self, secret: Mapping[str, str]) -> bool:
        """Whether an application's credentials open the database there."""
        try:
            with psycopg.connect(
                host="127.0.0.1",
                port=self.target.endpoints.postgres,
                user=secret["PGUSER"],
                password=secret["PGPASSWORD"],
                dbname=secret["PGDATABASE"],
                sslmode="require",
            ):
                return True
        except psycopg.OperationalError:
            return False

    def held(self) -> tuple[list[str], list[str], list[tuple[object, ...]]]:
        """The tenants' databases and the buckets there, and a digest of the application's rows."""
        databases = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1"
        rows = f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {TABLE} t"  # noqa: S608 - a name
        key = administrator_key(self.target.files.objects_credentials)
        s3 = boto3.client(
            "s3",
            endpoint_url=objects_url(self.target),
            region_name=REGION,
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret.reveal(),
        )
        return (
            [str(name) for (name,) in self.rows(databases)],
            sorted(one["Name"] for one in s3.list_buckets()["Buckets"]),
            self.rows(rows, database="rice_processing"),
        )


def _superuser(servers: TargetServers, *, database: str) -> str:
    return make_conninfo(
        host="127.0.0.1",
        port=servers.endpoints.postgres,
        user="postgres",
        password=servers.files.postgres_password.read_text().strip(),
        dbname=database,
        sslmode="require",
    )


@pytest.fixture(params=["like the platform's own", "managed"])
def platforms(request: pytest.FixtureRequest, open_folder: Path) -> Iterator[TwoPlatforms]:
    """Both platforms, the cooperative applied on the first."""
    managed = request.param == "managed"
    with open_temporary_folder() as folder:
        programs = unpack_programs(open_folder / "postgres-18")
        # Client programs are as new as the newer server.
        path = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"} if managed else {}
        here = RunningEstate(root=copy_portal_pilots(folder / "here"), environment=path)
        there = RunningEstate(root=folder / "there")
        _shrink(here.root)
        try:
            create_estate(there.root, name="theirs", cluster_id=new_cluster_id(), domain_suffix="example.kr")
            newer = ("--target", "--target-postgres", str(programs))
            here.coopctl("dev", "up", "--node", "simulated", *(newer if managed else ()))
            there.coopctl("dev", "up", "--node", "simulated")
            here.coopctl("images", "build", "--used", "--push")
            here.coopctl("apply", COOPERATIVE, "--yes")
            own, files = RunningEstate(root=folder / "own"), there.files
            if managed:
                target = target_servers(here.files)
                yield TwoPlatforms(
                    here=here, there=there, own=own, target=target, login=LOGIN, password=_make_login(target)
                )
            else:
                yield TwoPlatforms(
                    here=here,
                    there=there,
                    own=own,
                    target=TargetServers(files=files, endpoints=there.endpoints),
                    login="postgres",
                    password=files.postgres_password.read_text().strip(),
                )
        finally:
            for one in (here, there):
                platform.down(Estate(root=one.root), delete=True, report=print)


def _make_login(servers: TargetServers) -> str:
    """The administrator that a managed server gives to people: no superuser; gives its password."""
    password = secrets.token_hex(16)
    with psycopg.connect(_superuser(servers, database="postgres"), autocommit=True) as session:
        for statement in (
            f"CREATE ROLE {LOGIN} LOGIN CREATEROLE CREATEDB REPLICATION PASSWORD '{password}'",
            f"GRANT pg_create_subscription TO {LOGIN}",
        ):
            session.execute(statement.encode())
    return password


def _shrink(estate: Path) -> None:
    for descriptor in (estate / "cooperatives").glob("*.yaml"):
        if descriptor.stem != COOPERATIVE:
            descriptor.unlink()
    shutil.rmtree(estate / "migrations")
    with (estate / "platform.yaml").open("a", encoding="utf-8") as file:
        file.write(f"  dumps: {{location: dumps, recipient: {x25519.Identity.generate().to_public()}}}\n")


def test_solutions_follow_their_data_store_and_the_platform_lets_go(platforms: TwoPlatforms) -> None:
    here, own = platforms.here, platforms.own
    _move(platforms)
    moved, known = platforms.held(), credentials(COOPERATIVE, estate=here.root)
    documents = _documents(here.root)
    _write_estate(platforms)
    assert _documents(here.root) == documents
    own.coopctl("validate")
    assert own.coopctl("doctor")
    own.coopctl("catalogue", "mirror", "--from", f"127.0.0.1:{here.endpoints.registry}")
    own.coopctl("catalogue", "verify")
    own.coopctl("platform", "apply", "--yes")
    assert platforms.logs_in(known), "what runs here goes on until the apply there"

    own.coopctl("apply", COOPERATIVE, "--yes")
    assert platforms.held() == moved, "the same rows, one database, one bucket"
    assert not platforms.logs_in(known)
    fresh = credentials(COOPERATIVE, estate=platforms.there.root)
    assert platforms.logs_in(fresh)
    assert (fresh["S3_BUCKET"], fresh["AWS_ACCESS_KEY_ID"] == known["AWS_ACCESS_KEY_ID"]) == (known["S3_BUCKET"], False)
    own.coopctl("prove", COOPERATIVE, "--no-probe-pods")
    _unchanged(own)

    here.coopctl("apply", COOPERATIVE, "--yes")
    here.coopctl("destroy", COOPERATIVE, "--yes")
    assert here.document("plan", "--all")["stacks"] == []
    here.coopctl("migrate", "erase", MIGRATION, "--yes", "--early")
    for document in ("cooperatives/rice-processing.yaml", f"migrations/{MIGRATION}.yaml"):
        (here.root / document).unlink()
    here.coopctl("validate")
    assert platforms.held() == moved
    assert platforms.logs_in(fresh)
    _unchanged(own)


def _move(platforms: TwoPlatforms) -> None:
    """Move the data store for good, as docs/how-to/move-a-data-store.md says."""
    here = platforms.here
    platforms.write_migration()
    make_table(here.root)
    here.rows(f"INSERT INTO {TABLE} (number) SELECT generate_series(1, 500)", database="rice_processing")
    put_objects(here.root)
    found = json.loads(here.attempt("migrate", "preflight", MIGRATION, "--output", "json").stdout)
    assert not [one for one in found["problems"] if one["severity"] == "error" or "cluster" in one["what"]]
    for command in ("start", "verify"):
        here.coopctl("migrate", command, MIGRATION)
    for command in ("cutover", "finalise"):
        here.coopctl("migrate", command, MIGRATION, "--yes")
    refused = here.attempt(*_estate(platforms))
    assert (refused.returncode, f"run `coopctl apply {COOPERATIVE}` first" in refused.stderr) == (11, True)
    here.coopctl("apply", COOPERATIVE, "--yes")


def _write_estate(platforms: TwoPlatforms) -> None:
    """The estate, and the credentials that its README asks for."""
    own = platforms.own.root
    if platforms.login == LOGIN:
        refused = platforms.here.attempt(*_estate(platforms))
        left = (
            'REVOKE ALL ON DATABASE "postgres" FROM PUBLIC',
            f'GRANT CONNECT ON DATABASE "postgres" TO "{LOGIN}"',
        )
        assert refused.returncode == 11
        for statement in left:
            assert statement in refused.stderr
            platforms.rows(statement)
    done = platforms.here.attempt(*_estate(platforms))
    assert done.returncode == 0, done.stderr
    assert (CLOSE_LARGE_OBJECTS in done.stderr) == (platforms.login == LOGIN)
    platforms.rows(CLOSE_LARGE_OBJECTS, database="rice_processing")
    write_private(own / "secrets" / "postgres-password", platforms.password)
    write_private(own / "secrets" / "s3-admin", platforms.target.files.objects_credentials.read_text())


def _estate(platforms: TwoPlatforms) -> tuple[str, ...]:
    """The command that writes it."""
    endpoints = platforms.there.endpoints
    bridge, registry = endpoints.bridge, f"127.0.0.1:{endpoints.registry}"
    addresses = ("--dns-address", bridge, "--ingress-address", bridge)
    return ("migrate", "estate", MIGRATION, str(platforms.own.root), "--registry", registry, "--yes", *addresses)


def _unchanged(estate: RunningEstate) -> None:
    """Nothing differs from what the estate says, in the state and in the world."""
    done = estate.attempt("plan", COOPERATIVE, "--refresh", "--detailed-exitcode")
    assert done.returncode == 0, done.stdout + done.stderr


def _documents(root: Path) -> dict[str, bytes]:
    """What people wrote in an estate."""
    files = (file for file in root.rglob("*") if file.is_file() and ".coopctl" not in file.parts)
    return {str(file.relative_to(root)): file.read_bytes() for file in files}
