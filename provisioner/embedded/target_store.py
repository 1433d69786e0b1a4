"""What a cooperative makes on its own servers before its data store moves there: a database, a bucket, an identity.

The embedded target plays the cooperative's servers, so its administrator's work is done here. The applications go on by
the names and the access key that they know, which is why both are given.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from psycopg import sql

from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.datastore.objects import ObjectsAccess
from provisioner.datastore.objects_buckets import delete_bucket
from provisioner.datastore.objects_clients import code_of, open_clients, open_s3, translating
from provisioner.datastore.postgres import PostgresAccess
from provisioner.datastore.postgres_connection import connect, scalar
from provisioner.datastore.postgres_roles import scram_verifier
from provisioner.descriptor.platform import SecretReference
from provisioner.embedded.ports import LOOPBACK
from provisioner.embedded.postgres import ADMIN
from provisioner.embedded.private_files import generated
from provisioner.embedded.target import TargetServers
from provisioner.errors import CoopctlError

REGION = "us-east-1"
MOVER = "coopctl_mover"
_ACTIONS = ("Read", "Write", "List", "Tagging")
_SHELL_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class TargetStore:
    """A data store's names, and the ``key`` by which the applications open the bucket."""

    database: str
    bucket: str
    identity: str
    key: AccessKey


def make_store(store: TargetStore, *, servers: TargetServers, weed: Path, environment: Mapping[str, str]) -> None:
    """Make what is not there yet, empty; what is there stays as it is. ``weed`` is SeaweedFS's program.

    Raises Unreachable where the servers do not run, and CoopctlError for what they refuse.
    """
    _make_database(store.database, access=_postgres(servers), environment=environment)
    _make_mover(servers, environment=environment)
    _make_bucket(store.bucket, access=_objects(servers), environment=environment)
    master_port = servers.endpoints.objects_master
    let_in(store.identity, key=store.key, bucket=store.bucket, master_port=master_port, weed=weed)


def empty_store(store: TargetStore, *, servers: TargetServers, environment: Mapping[str, str]) -> None:
    """Delete the database and the bucket with every version; who is connected is cut off. Idempotent.

    Raises Unreachable where the servers do not run, and CoopctlError for what they refuse.
    """
    with connect(_postgres(servers), environment=environment) as connection:
        gone = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(store.database))
        connection.execute(gone)
    clients = open_clients(_objects(servers), environment=environment)
    with translating(clients.access):
        delete_bucket(clients, store.bucket)


def dsn(store: TargetStore, *, servers: TargetServers) -> Secret:
    """The connection string of the database for the login that moves data here, with the password in it."""
    access = _postgres(servers)
    options = urlencode({"sslmode": access.sslmode, "sslrootcert": str(access.ca_file)}, quote_via=quote)
    user = f"{MOVER}:{quote(_mover_password(servers).reveal(), safe='')}"
    return Secret(f"postgresql://{user}@{access.host}:{access.port}/{quote(store.database, safe='')}?{options}")


def objects_url(servers: TargetServers) -> str:
    """The S3 server, as this machine reaches it."""
    return f"http://{LOOPBACK}:{servers.endpoints.objects}"


def let_in(identity: str, *, key: AccessKey, bucket: str, master_port: int, weed: Path) -> None:
    """Make an identity with a given key, or change it to that one; it has rights on the bucket's objects alone.

    S3's own API makes keys up; SeaweedFS's shell takes one. Raises CoopctlError.
    """
    actions = ",".join(f"{action}:{bucket}" for action in _ACTIONS)
    wanted = f"-user {identity} -access_key {key.id} -secret_key {key.secret.reveal()}"
    done = subprocess.run(
        [str(weed), "shell", f"-master={LOOPBACK}:{master_port}"],
        check=False,
        # Not as arguments: the machine's other users see those.
        input=f"s3.configure {wanted} -actions {actions} -apply\nexit\n",
        text=True,
        capture_output=True,
        timeout=_SHELL_SECONDS,
    )
    if identity not in done.stdout:
        raise CoopctlError(
            f"the S3 server did not take the identity {identity}",
            why=(done.stderr or done.stdout).strip().replace(key.secret.reveal(), "***")[-500:],
            hint="see `coopctl dev logs target-objects`",
        )


def _make_database(name: str, *, access: PostgresAccess, environment: Mapping[str, str]) -> None:
    named = sql.Identifier(name)
    with connect(access, environment=environment) as connection:
        if not scalar(connection, "SELECT count(*) FROM pg_database WHERE datname = %(name)s", {"name": name}):
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(named))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(named))


def _make_mover(servers: TargetServers, *, environment: Mapping[str, str]) -> None:
    """The administrator is let in from this machine only; a migration's pod needs another login.

    It is a superuser: before version 16 nobody else may subscribe, or keep triggers from firing while rows are copied.
    """
    role, password = sql.Identifier(MOVER), _mover_password(servers)
    with connect(_postgres(servers), environment=environment) as connection, connection.transaction():
        if not scalar(connection, "SELECT count(*) FROM pg_roles WHERE rolname = %(name)s", {"name": MOVER}):
            connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        verifier = sql.Literal(scram_verifier(connection, MOVER, password))
        connection.execute(sql.SQL("ALTER ROLE {} SUPERUSER LOGIN PASSWORD {}").format(role, verifier))


def _mover_password(servers: TargetServers) -> Secret:
    return Secret(generated(servers.files.root / "secrets" / "postgres-mover-password"))


def _make_bucket(name: str, *, access: ObjectsAccess, environment: Mapping[str, str]) -> None:
    from botocore.exceptions import ClientError

    s3 = open_s3(access, environment=environment, what="the access key of the target's S3 administrator")
    with translating(access):
        try:
            s3.create_bucket(Bucket=name)
        except ClientError as error:
            if code_of(error) not in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}:
                raise


def _postgres(servers: TargetServers) -> PostgresAccess:
    return PostgresAccess(
        host=LOOPBACK,
        port=servers.endpoints.postgres,
        user=ADMIN,
        password=SecretReference(file=servers.files.postgres_password),
        sslmode="verify-full",
        ca_file=servers.files.postgres_ca,
    )


def _objects(servers: TargetServers) -> ObjectsAccess:
    url = objects_url(servers)
    return ObjectsAccess(
        url=url,
        iam_url=url,
        region=REGION,
        credentials=SecretReference(file=servers.files.objects_credentials),
    )
