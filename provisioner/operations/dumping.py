"""The final dump of a cooperative, kept account of beside the state: a destroy that was cut off finds it again.

1. A dump that is complete and verified is recorded: its name, where it is, its files with their hashes.
2. The next run takes it if all that is left of the data store was closed for it and never opened since (the data
   store's own marks say so), and if its files are as recorded. Else it makes a new one.
3. When the cooperative is gone the record says that it is done with.

Cut off before 1, the next run takes away what lies around and makes a dump of its own: nothing was deleted yet.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from provisioner.datastore.dump_digests import TableDigest
from provisioner.datastore.dump_encryption import EncryptedFile
from provisioner.datastore.dump_places import DumpPlace, open_dump_place
from provisioner.datastore.dump_postgres import DumpWork
from provisioner.datastore.final_dump import DataStore, Remains, final_dump, is_intact, remains_of
from provisioner.datastore.marks import Mark
from provisioner.datastore.objects import objects_access
from provisioner.datastore.postgres import postgres_access
from provisioner.datastore.records import Records
from provisioner.descriptor.platform import Dumps, Platform
from provisioner.engine.events import Message, Report, Severity
from provisioner.engine.lease import leased
from provisioner.errors import CoopctlError, ProblemsFound, UsageError
from provisioner.naming import CooperativeName
from provisioner.operations.site import Site

SECRETS_FOLDER = "final-dump"


@dataclass(frozen=True, kw_only=True)
class KnownDump:
    """A verified dump: the parts of the data store that it holds, and its files. ``done``: the destroy has ended.

    ``tables`` are what a restore of it was found to hold, ``objects`` the versions of all objects in it.
    """

    name: str
    location: str
    database: bool
    bucket: bool
    files: tuple[EncryptedFile, ...]
    done: bool = False
    tables: tuple[TableDigest, ...] = ()
    objects: int = 0


@dataclass(frozen=True, kw_only=True)
class Dumping:
    """What a final dump is made with: the estate's platform, the records beside its state, and how to work."""

    platform: Platform
    estate: Path
    records: Records
    work: DumpWork

    @property
    def dumps(self) -> Dumps:
        """Where final dumps go, and to whom. Raises UsageError if the platform does not say."""
        return require_dumps(self.platform)

    @property
    def place(self) -> DumpPlace:
        """The same, opened."""
        return open_dump_place(
            self.dumps, estate=self.estate, objects=self.platform.objects, environment=self.work.environment
        )


def require_dumps(platform: Platform) -> Dumps:
    """Where final dumps go, and to whom. Raises UsageError if the platform does not say."""
    if platform.dumps is None:
        raise UsageError(
            "data are deleted only after a final dump, and the platform names no place for it",
            hint=f"set spec.dumps (location: a folder or s3://BUCKET/PREFIX, recipient) in {platform.source}",
        )
    return platform.dumps


def known_dump(site: Site, name: str) -> KnownDump | None:
    """The last verified dump of the cooperative, or None. Raises CoopctlError if the record is damaged."""
    return read_known_dump(site.records(), name)


def read_known_dump(records: Records, name: str) -> KnownDump | None:
    """The last verified dump of the cooperative, or None. Raises CoopctlError if the record is damaged."""
    content = records.read(_path(name))
    if content is None:
        return None
    try:
        fields = json.loads(content)
        files = tuple(EncryptedFile(**file) for file in fields.pop("files"))
        tables = tuple(TableDigest(**table) for table in fields.pop("tables", ()))
        return KnownDump(**fields, files=files, tables=tables)
    except (ValueError, TypeError, KeyError) as error:
        raise CoopctlError(f"the record {_path(name)} of a final dump beside the state is damaged") from error


def what_is_left(site: Site, name: str, *, environment: Mapping[str, str]) -> Remains:
    """What is left of the cooperative's data store. Raises NotOurs, Unreachable or NotPermitted."""
    return remains_of(data_store_of(site.platform, name), environment=environment)


def ensure_final_dump(site: Site, name: str, *, environment: Mapping[str, str], report: Report) -> KnownDump:
    """The dump that holds all that is left of the data store: that of a run which was cut off, else a new one.

    Raises what `take_final_dump` raises, and StackLocked.
    """

    def say(text: str) -> None:
        report(Message(stack=name, severity=Severity.INFO, text=text))

    require_dumps(site.platform)
    with leased(site.folder(name), stack=name, say=say) as mark:
        site.engine.interruption.check()
        work = DumpWork(
            folder=site.folder(name) / SECRETS_FOLDER,
            environment=environment,
            mark=mark,
            stopping=site.engine.interruption,
        )
        dumping = Dumping(platform=site.platform, estate=site.estate.root, records=site.records(), work=work)
        return take_final_dump(dumping, name, now=datetime.now(UTC), say=say)


def take_final_dump(dumping: Dumping, name: str, *, now: datetime, say: Callable[[str], None]) -> KnownDump:
    """As `ensure_final_dump`, for whoever holds the stack's lease.

    Raises what `final_dump` raises, and ProblemsFound if a dump that is needed is no longer intact.
    """
    if known := _still_good(dumping, name):
        say(f"the final dump {known.location} of a run that was cut off holds all that is left")
        return known
    made = final_dump(
        data_store_of(dumping.platform, name),
        place=dumping.place,
        recipient=dumping.dumps.recipient,
        now=now,
        work=dumping.work,
    )
    known = KnownDump(
        name=made.name,
        location=made.location,
        database=made.database is not None,
        bucket=made.bucket is not None,
        files=made.files,
        tables=made.database.tables if made.database else (),
        objects=made.bucket.objects if made.bucket else 0,
    )
    _write(dumping.records, name, known)
    say(f"the final dump is {known.location}")
    return known


def settle(site: Site, name: str) -> None:
    """Note that nothing waits for the dump any more: the cooperative is gone."""
    settle_dump(site.records(), name)


def settle_dump(records: Records, name: str) -> None:
    """Note that nothing waits for the dump any more: what it holds is gone."""
    if (known := read_known_dump(records, name)) and not known.done:
        _write(records, name, replace(known, done=True))


def _still_good(dumping: Dumping, name: str) -> KnownDump | None:
    known = read_known_dump(dumping.records, name)
    if known is None or known.done:
        return None
    left = remains_of(data_store_of(dumping.platform, name), environment=dumping.work.environment)
    if not left.all_in(known.name):
        return None
    if is_intact(dumping.place, name=known.name, files=known.files):
        return known
    if (known.database and left.database is None) or (known.bucket and left.bucket is None):
        raise ProblemsFound(
            f"the final dump {known.location} is not as it was written, and a part of what it holds is deleted already",
            hint=f"put it back; if it is lost, `coopctl apply {name}` opens what is left, which is then dumped anew",
        )
    return None


def data_store_of(platform: Platform, name: str) -> DataStore:
    """The data store of the cooperative ``name`` on ``platform``."""
    names = platform.names_of(CooperativeName(name))
    return DataStore(
        mark=Mark(cluster=platform.cluster.id, cooperative=names.uid),
        postgres=postgres_access(platform.postgres),
        database=names.database,
        objects=objects_access(platform.objects),
        bucket=names.bucket,
    )


def _write(records: Records, name: str, known: KnownDump) -> None:
    records.write(_path(name), json.dumps(asdict(known), indent=1).encode())


def _path(name: str) -> str:
    return f"final-dump/{name}.json"
