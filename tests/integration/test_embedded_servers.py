"""The embedded platform's PostgreSQL and S3, as really running servers."""

import configparser
import json
from typing import TYPE_CHECKING, Any

import boto3
import psycopg
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from provisioner.embedded.supervisor import wait_until
from tests.conftest import Servers

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.servers


def connect(servers: Servers, **changes: Any) -> psycopg.Connection[Any]:
    """A session of the administrator, unless told otherwise."""
    wanted: dict[str, Any] = {
        "host": servers.host,
        "port": servers.postgres_port,
        "user": servers.postgres_user,
        "password": servers.postgres_password_file.read_text().strip(),
        "dbname": "postgres",
        "sslmode": "verify-full",
        "sslrootcert": str(servers.postgres_ca),
        "autocommit": True,
    }
    return psycopg.connect(**{**wanted, **changes})


def setting(servers: Servers, name: str) -> str:
    """The value of one server setting."""
    with connect(servers) as session:
        row = session.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def test_postgres_is_ready_for_logical_replication(servers: Servers) -> None:
    assert setting(servers, "wal_level") == "logical"
    for name in ("max_replication_slots", "max_wal_senders", "max_logical_replication_workers"):
        assert int(setting(servers, name)) >= 16
    assert int(setting(servers, "max_prepared_transactions")) > 0
    assert setting(servers, "max_slot_wal_keep_size") != "-1"


def test_postgres_replicates_rows_to_another_database(servers: Servers) -> None:
    address = f"host={servers.host} port={servers.postgres_port} user=postgres dbname=replica_from sslmode=require"
    password = servers.postgres_password_file.read_text().strip()
    with connect(servers) as session:
        for database in ("replica_from", "replica_to"):
            session.execute(f"CREATE DATABASE {database}")
    with connect(servers, dbname="replica_from") as source, connect(servers, dbname="replica_to") as target:
        for session in (source, target):
            session.execute("CREATE TABLE lots (id int PRIMARY KEY)")
        source.execute("INSERT INTO lots VALUES (1), (2)")
        source.execute("CREATE PUBLICATION lots FOR TABLE lots")
        # Within one server a subscription cannot make its slot itself (CREATE SUBSCRIPTION, "Notes").
        source.execute("SELECT pg_create_logical_replication_slot('lots', 'pgoutput')")
        target.execute(
            f"CREATE SUBSCRIPTION lots CONNECTION '{address} password={password}' PUBLICATION lots"
            " WITH (create_slot = false, slot_name = 'lots')"
        )
        source.execute("INSERT INTO lots VALUES (3)")
        assert wait_until(lambda: target.execute("SELECT count(*) FROM lots").fetchone() == (3,), seconds=20)
        target.execute("DROP SUBSCRIPTION lots")
    with connect(servers) as session:
        session.execute("DROP DATABASE replica_from")
        session.execute("DROP DATABASE replica_to")


def test_postgres_refuses_sessions_without_tls(servers: Servers) -> None:
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        connect(servers, sslmode="disable", sslrootcert=None)


def test_postgres_refuses_a_wrong_password(servers: Servers) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(servers, password="wrong")


def test_postgres_keeps_passwords_as_scram(servers: Servers) -> None:
    with connect(servers) as session:
        stored = session.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'").fetchone()
    assert stored is not None
    assert str(stored[0]).startswith("SCRAM-SHA-256$")


def test_postgres_log_holds_no_password_of_a_refused_statement(servers: Servers) -> None:
    with connect(servers) as session, pytest.raises(psycopg.Error):
        session.execute("CREATE ROLE postgres PASSWORD 'never-in-the-log'")
    log = servers.postgres_password_file.parent.parent / "logs" / "postgres.log"
    assert "never-in-the-log" not in log.read_text()


def test_postgres_lets_the_public_into_no_database(servers: Servers) -> None:
    with connect(servers) as session:
        session.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
        try:
            for database in ("postgres", "template1"):
                with pytest.raises(psycopg.OperationalError, match="permission denied"):
                    connect(servers, user="stranger", password="stranger", dbname=database)
        finally:
            session.execute("DROP ROLE stranger")


def client(servers: Servers, service: str, keys: tuple[str, str]) -> Any:
    """A boto3 client of ``service`` with ``keys``."""
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=servers.objects_url,
        region_name=servers.objects_region,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        config=Config(retries={"max_attempts": 1}),
    )


def admin_keys(servers: Servers) -> tuple[str, str]:
    """The S3 administrator's keys."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(servers.objects_credentials)
    return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]


def tenant(servers: Servers, name: str) -> tuple[str, str]:
    """Make a bucket and an identity that may use it; gives the identity's keys."""
    iam = client(servers, "iam", admin_keys(servers))
    client(servers, "s3", admin_keys(servers)).create_bucket(Bucket=name)
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    statement = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="own-bucket", PolicyDocument=document)
    return key["AccessKeyId"], key["SecretAccessKey"]


def test_s3_identities_of_two_tenants_are_isolated(servers: Servers) -> None:
    own, other = "isolated-one", "isolated-two"
    mine = client(servers, "s3", tenant(servers, own))
    theirs = client(servers, "s3", tenant(servers, other))
    theirs.put_object(Bucket=other, Key="secret", Body=b"theirs")
    mine.put_object(Bucket=own, Key="lot", Body="쌀".encode())
    assert mine.get_object(Bucket=own, Key="lot")["Body"].read().decode() == "쌀"
    attacks: dict[str, Callable[[], Any]] = {
        "read": lambda: mine.get_object(Bucket=other, Key="secret"),
        "list": lambda: mine.list_objects_v2(Bucket=other),
        "write": lambda: mine.put_object(Bucket=other, Key="x", Body=b"x"),
        "delete": lambda: mine.delete_object(Bucket=other, Key="secret"),
        "make a bucket": lambda: mine.create_bucket(Bucket="isolated-three"),
    }
    for attack, tried in attacks.items():
        with pytest.raises(ClientError) as refused:
            tried()
        assert refused.value.response["Error"]["Code"] == "AccessDenied", attack


def test_s3_identity_of_a_tenant_manages_no_identities(servers: Servers) -> None:
    keys = tenant(servers, "no-manager")
    with pytest.raises(ClientError):
        client(servers, "iam", keys).create_user(UserName="intruder")


def test_s3_refuses_strangers(servers: Servers) -> None:
    with pytest.raises(ClientError):
        client(servers, "s3", ("AKUNKNOWN", "unknown")).list_buckets()


def test_credentials_are_readable_by_their_owner_only(servers: Servers) -> None:
    for path in (servers.postgres_password_file, servers.objects_credentials):
        assert path.stat().st_mode & 0o077 == 0
