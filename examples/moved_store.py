"""Both sides of the demo's data store, as their administrators see them, and what the application needs in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from examples.move_checks import MAJOR, Row
from examples.pilot_estate import COOPERATIVE, credentials, secret
from examples.writing_client import CREATE_TABLE, TABLE
from provisioner.descriptor.endpoints import EmbeddedFiles, embedded_files, read_endpoints
from provisioner.embedded.target import target_files
from provisioner.naming import SECRET_DATA_STORE_MIGRATION, CooperativeName, database_name

DATABASE = database_name(CooperativeName(COOPERATIVE))
OBJECTS = 100


@dataclass(frozen=True, kw_only=True)
class Side:
    """One PostgreSQL: the port and password of its administrator on this machine, and its major version."""

    files: EmbeddedFiles
    major: int

    def connect(self) -> "psycopg.Connection[Any]":
        """A session of the administrator in the cooperative's database."""
        return _administrator(self.files)


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The platform's side and the target's."""

    here: Side
    there: Side


def open_sides(estate: Path) -> Sides:
    """Both sides; the database must be there."""
    here = embedded_files(estate)
    return Sides(here=_side(here), there=_side(target_files(here)))


def make_table(estate: Path) -> None:
    """Make the application's table, as solutions make theirs: by the migration role, for the owner."""
    details = secret(f"{COOPERATIVE}-data", SECRET_DATA_STORE_MIGRATION, estate=estate)
    port = read_endpoints(embedded_files(estate)).postgres
    with psycopg.connect(
        host="127.0.0.1",
        port=port,
        user=details["PGUSER"],
        password=details["PGPASSWORD"],
        dbname=details["PGDATABASE"],
        sslmode=details["PGSSLMODE"],
    ) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(f"{DATABASE}_owner")))
        if connection.execute("SELECT to_regclass(%s)", (TABLE,)).fetchone() == (None,):
            connection.execute(CREATE_TABLE)


def put_objects(estate: Path) -> None:
    """Put objects into the bucket with the application's identity."""
    import boto3

    details = credentials(COOPERATIVE, estate=estate)
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{read_endpoints(embedded_files(estate)).objects}",
        region_name=details["AWS_REGION"],
        aws_access_key_id=details["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=details["AWS_SECRET_ACCESS_KEY"],
    )
    for number in range(OBJECTS):
        body = f"명세서 {number}\n".encode() * 1000
        client.put_object(Bucket=details["S3_BUCKET"], Key=f"scans/명세서-{number}.txt", Body=body)


def read_rows(side: Side) -> Sequence[Row]:
    """What the application's table holds."""
    with side.connect() as connection:
        found = connection.execute(f"SELECT number, server, extract(epoch FROM at)::float8 FROM public.{TABLE}")
        return [Row(number=number, server=server, at=at) for number, server, at in found]


def _side(files: EmbeddedFiles) -> Side:
    with _administrator(files) as connection:
        return Side(files=files, major=connection.info.server_version // MAJOR)


def _administrator(files: EmbeddedFiles) -> "psycopg.Connection[Any]":
    return psycopg.connect(
        host="127.0.0.1",
        port=read_endpoints(files).postgres,
        user="postgres",
        password=files.postgres_password.read_text().strip(),
        dbname=DATABASE,
        sslmode="require",
    )
