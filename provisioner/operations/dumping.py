"""The final dump of a cooperative, kept account of beside the state: a destroy that was cut off finds it again.

1. A dump that is complete and verified is recorded: its name, where it is, its files with their hashes.
2. The next run takes it if all that is left of the data store was closed for it and never opened since (the data
   store's own marks say so), and if its files are as recorded. Else it makes a new one.
3. When the cooperative is gone the record says that it is done with.

Cut off before 1, the next run takes away what lies around and makes a dump of its own: nothing was deleted yet.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

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
from provisioner.naming import CooperativeName, tenant_names
from provisioner.operations.site import Site

SECRETS_FOLDER = "final-dump"


@dataclass(frozen=True, kw_only=True)
class KnownDump:
    """A verified dump: the parts of the data store that it holds, and its files. ``done``: the destroy has ended."""

    name: str
    location: str
    database: bool
    bucket: bool
    files: tuple[EncryptedFile, ...]
    done: bool = False


def require_dumps(site: Site) -> Dumps:
    """Where final dumps go, and to whom. Raises UsageError if the platform does not say."""
    if site.platform.dumps is None:
        raise UsageError(
            "data are deleted only after a final dump, and the platform names no place for it",
            hint=f"set spec.dumps (location: a folder or s3://BUCKET/PREFIX, recipient) in {site.platform.source}",
        )
    return site.platform.dumps


def known_dump(site: Site, name: str) -> KnownDump | None:
    """The last verified dump of the cooperative, or None. Raises CoopctlError if the record is damaged."""
    content = _records(site).read(_path(name))
    if content is None:
        return None
    try:
        fields = json.loads(content)
        files = tuple(EncryptedFile(**file) for file in fields.pop("files"))
        return KnownDump(**fields, files=files)
    except (ValueError, TypeError, KeyError) as error:
        raise CoopctlError(f"the record {_path(name)} of a final dump beside the state is damaged") from error


def what_is_left(site: Site, name: str, *, environment: Mapping[str, str]) -> Remains:
    """What is left of the cooperative's data store. Raises NotOurs, Unreachable or NotPermitted."""
    return remains_of(data_store_of(site.platform, name), environment=environment)


def ensure_final_dump(site: Site, name: str, *, environment: Mapping[str, str], report: Report) -> KnownDump:
    """The dump that holds all that is left of the data store: that of a run which was cut off, else a new one.

    Raises what `final_dump` raises, StackLocked, and ProblemsFound if a dump that is needed is no longer intact.
    """

    def say(text: str) -> None:
        report(Message(stack=name, severity=Severity.INFO, text=text))

    dumps, store = require_dumps(site), data_store_of(site.platform, name)
    place = open_dump_place(dumps, estate=site.estate.root, objects=site.platform.objects, environment=environment)
    with leased(site.folder(name), stack=name, say=say) as mark:
        site.engine.interruption.check()
        if known := _still_good(site, name, store=store, place=place, environment=environment):
            say(f"the final dump {known.location} of a run that was cut off holds all that is left")
            return known
        made = final_dump(
            store,
            place=place,
            recipient=dumps.recipient,
            now=datetime.now(UTC),
            work=DumpWork(
                folder=site.folder(name) / SECRETS_FOLDER,
                environment=environment,
                mark=mark,
                stopping=site.engine.interruption,
            ),
        )
        known = KnownDump(
            name=made.name,
            location=made.location,
            database=made.database is not None,
            bucket=made.bucket is not None,
            files=made.files,
        )
        _write(site, name, known)
    say(f"the final dump is {known.location}")
    return known


def settle(site: Site, name: str) -> None:
    """Note that nothing waits for the dump any more: the cooperative is gone."""
    if (known := known_dump(site, name)) and not known.done:
        _write(site, name, replace(known, done=True))


def _still_good(
    site: Site, name: str, *, store: DataStore, place: DumpPlace, environment: Mapping[str, str]
) -> KnownDump | None:
    known = known_dump(site, name)
    if known is None or known.done:
        return None
    left = remains_of(store, environment=environment)
    if not left.all_in(known.name):
        return None
    if is_intact(place, name=known.name, files=known.files):
        return known
    if (known.database and left.database is None) or (known.bucket and left.bucket is None):
        raise ProblemsFound(
            f"the final dump {known.location} is not as it was written, and a part of what it holds is deleted already",
            hint=f"put it back; if it is lost, `coopctl apply {name}` opens what is left, which is then dumped anew",
        )
    return None


def data_store_of(platform: Platform, name: str) -> DataStore:
    """The data store of the cooperative ``name`` on ``platform``."""
    names = tenant_names(CooperativeName(name), cluster=platform.cluster.id)
    return DataStore(
        mark=Mark(cluster=platform.cluster.id, cooperative=names.uid),
        postgres=postgres_access(platform.postgres),
        database=names.database,
        objects=objects_access(platform.objects),
        bucket=names.bucket,
    )


def _write(site: Site, name: str, known: KnownDump) -> None:
    _records(site).write(_path(name), json.dumps(asdict(known), indent=1).encode())


def _records(site: Site) -> Records:
    return site.records()


def _path(name: str) -> str:
    return f"final-dump/{name}.json"
