"""The final dump of a data store, without which nothing is ever deleted.

1. Both parts are closed: nobody but the administrator can change what is dumped. Each bears the dump's name in its
   mark from then on; `apply` opens them again and takes the name away, so that what bears it holds nothing newer.
2. The database is dumped, restored into a scratch database and compared; the bucket is packed with all versions.
   Both are encrypted to the recipient while they stream, and read back from where they are kept.
3. Both parts are looked at once more: the dump counts only if they still bear its name. Then a manifest is written
   (no data in it: counts and hashes), which makes the dump complete.

Cut off before 3, an incomplete dump of encrypted files remains; the next run takes it away and makes one of its own.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from pyrage import x25519

from provisioner.datastore.dump_digests import TableDigest
from provisioner.datastore.dump_encryption import EncryptedFile, digest_of, encrypt, parse_recipient
from provisioner.datastore.dump_layout import DATABASE_FILE, FORMAT, OBJECTS_FILE, dump_name
from provisioner.datastore.dump_objects import dump_objects
from provisioner.datastore.dump_places import DumpFiles, DumpPlace
from provisioner.datastore.dump_postgres import DumpWork, sweep_secrets, verified_dump
from provisioner.datastore.marks import Mark, from_tags, require_own
from provisioner.datastore.objects import ObjectsAccess
from provisioner.datastore.objects_buckets import close_bucket, mark_bucket, read_bucket_tags
from provisioner.datastore.objects_clients import open_clients, translating
from provisioner.datastore.postgres import PostgresAccess
from provisioner.datastore.postgres_connection import connect
from provisioner.datastore.postgres_databases import close_database, mark_database, read_database
from provisioner.datastore.postgres_row_security import drop_event_trigger
from provisioner.errors import NotFound, ProblemsFound


@dataclass(frozen=True, kw_only=True)
class DatabaseDump:
    """A database's dump, and what it holds, proved by a restore."""

    database: str
    file: EncryptedFile
    tables: tuple[TableDigest, ...]


@dataclass(frozen=True, kw_only=True)
class BucketDump:
    """A bucket's dump; ``objects`` counts all versions, ``size_bytes`` is their size in clear."""

    bucket: str
    file: EncryptedFile
    objects: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class DumpReport:
    """Where the dump is and what is in it; a part that did not exist is None."""

    name: str
    location: str
    recipient: str
    database: DatabaseDump | None
    bucket: BucketDump | None

    @property
    def files(self) -> tuple[EncryptedFile, ...]:
        """The files beside the manifest."""
        return tuple(part.file for part in (self.database, self.bucket) if part is not None)


@dataclass(frozen=True, kw_only=True)
class DataStore:
    """Both parts of a cooperative's data store, its mark, and how the administrator reaches them."""

    mark: Mark
    postgres: PostgresAccess
    database: str
    objects: ObjectsAccess
    bucket: str


@dataclass(frozen=True, kw_only=True)
class Remains:
    """What is left of a data store: the mark of each part, None where it is gone."""

    database: Mark | None
    bucket: Mark | None

    def all_in(self, dump: str) -> bool:
        """Whether all that is left was closed for the dump of this name and never opened since."""
        return all(mark.dump == dump for mark in (self.database, self.bucket) if mark is not None)


def final_dump(store: DataStore, *, place: DumpPlace, recipient: str, now: datetime, work: DumpWork) -> DumpReport:
    """Dump the data store into ``place``, encrypted to the age public key ``recipient``.

    Raises UsageError for a recipient that is none, NotOurs for another's data store, ProblemsFound if the proof fails,
    Interrupted after a signal, CoopctlError, Unreachable or NotPermitted otherwise; then nothing is left but the data
    store, closed.
    """
    key, name = parse_recipient(recipient), dump_name(store.database, now=now)
    sweep_secrets(work.folder)
    files = place.begin(name, database=store.database)
    try:
        database = _dump_database(store, name=name, files=files, recipient=key, work=work)
        bucket = _dump_bucket(store, name=name, files=files, recipient=key, work=work)
        report = DumpReport(name=name, location=files.location, recipient=recipient, database=database, bucket=bucket)
        _require_closed(store, report, environment=work.environment)
        files.complete(manifest(report, created=now))
    except BaseException:
        files.discard()
        raise
    return report


def dump_database(
    access: PostgresAccess,
    name: str,
    *,
    source: str,
    mark: Mark,
    files: DumpFiles,
    recipient: x25519.Recipient,
    work: DumpWork,
) -> DatabaseDump:
    """Dump the database ``source`` into ``files``, verified and encrypted, as that of ``name``.

    Raises what `verified_dump` and `encrypt` raise.
    """
    tables: list[TableDigest] = []
    chunks = verified_dump(access, database=source, mark=mark, work=work, expected=tables)
    file = encrypt(chunks, name=DATABASE_FILE, files=files, recipient=recipient, stopping=work.stopping)
    return DatabaseDump(database=name, file=file, tables=tuple(tables))


def remains_of(store: DataStore, *, environment: Mapping[str, str]) -> Remains:
    """What is left of the data store. Raises NotOurs, Unreachable or NotPermitted."""
    with connect(store.postgres, environment=environment) as connection:
        database = read_database(connection, store.database)
    clients = open_clients(store.objects, environment=environment)
    with translating(store.objects):
        bucket = read_bucket_tags(clients, store.bucket)
    return Remains(
        database=None if database is None else _own(database.mark, store, what=f"the database {store.database}"),
        bucket=None if bucket is None else _own(from_tags(bucket), store, what=f"the bucket {store.bucket}"),
    )


def is_intact(place: DumpPlace, *, name: str, files: Iterable[EncryptedFile]) -> bool:
    """Whether the dump of this name is there, with files of these sizes and hashes."""
    found = place.find(name)
    try:
        return found is not None and all(
            digest_of(found.read(file.name)) == (file.size_bytes, file.sha256) for file in files
        )
    except NotFound:
        return False


def manifest(report: DumpReport, *, created: datetime) -> str:
    """The manifest as JSON: what each file holds and how to read it; no data of the tenant but names of tables."""
    content = {
        "format": FORMAT,
        "created": created.isoformat(),
        "recipient": report.recipient,
        "database": asdict(report.database) if report.database else None,
        "bucket": asdict(report.bucket) if report.bucket else None,
        "howToRead": [
            f"age --decrypt -i KEY {DATABASE_FILE} | pg_restore --create --no-owner --no-privileges -d postgres",
            f"age --decrypt -i KEY {OBJECTS_FILE} | tar -x",
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _dump_database(
    store: DataStore, *, name: str, files: DumpFiles, recipient: x25519.Recipient, work: DumpWork
) -> DatabaseDump | None:
    with connect(store.postgres, environment=work.environment) as connection:
        if close_database(connection, store.database, mark=store.mark):
            return None
        mark_database(connection, store.database, mark=replace(store.mark, dump=name))
    with connect(store.postgres, environment=work.environment, database=store.database) as inside:
        # Only a superuser could restore it, here or at the recipient's; `apply` makes it again.
        drop_event_trigger(inside)
    return dump_database(
        store.postgres,
        store.database,
        source=store.database,
        mark=store.mark,
        files=files,
        recipient=recipient,
        work=work,
    )


def _dump_bucket(
    store: DataStore, *, name: str, files: DumpFiles, recipient: x25519.Recipient, work: DumpWork
) -> BucketDump | None:
    clients = open_clients(store.objects, environment=work.environment)
    with translating(store.objects):
        if close_bucket(clients, store.bucket, mark=store.mark):
            return None
        mark_bucket(clients, store.bucket, mark=replace(store.mark, dump=name))
        sizes: list[int] = []
        chunks = dump_objects(clients, bucket=store.bucket, counted=sizes)
        file = encrypt(chunks, name=OBJECTS_FILE, files=files, recipient=recipient, stopping=work.stopping)
    return BucketDump(bucket=store.bucket, file=file, objects=len(sizes), size_bytes=sum(sizes))


def _require_closed(store: DataStore, report: DumpReport, *, environment: Mapping[str, str]) -> None:
    if not remains_of(store, environment=environment).all_in(report.name):
        raise ProblemsFound(
            f"the data store {store.database} was opened again while it was dumped",
            hint="run the same command again when nobody applies the cooperative",
        )


def _own(found: Mark | None, store: DataStore, *, what: str) -> Mark:
    require_own(found, own=store.mark, what=what)
    return found or store.mark
