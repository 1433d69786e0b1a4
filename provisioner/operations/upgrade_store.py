"""What an upgrade does with the cooperative's database: copy and dump it, see whether it was changed, put it back.

All of it holds only while writes are stopped. Then whatever differs from the copy was changed by the migration, and
putting the copy back loses nothing that anybody else wrote.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from provisioner.datastore.dump_places import open_dump_place
from provisioner.datastore.dump_postgres import DumpWork, holdings
from provisioner.datastore.final_dump import DataStore
from provisioner.datastore.postgres_connection import connect
from provisioner.datastore.postgres_copies import (
    copy_name,
    drop_changed,
    drop_copy,
    has_copy,
    make_copy,
    put_back,
    require_no_slot,
)
from provisioner.datastore.upgrade_dump import copy_and_dump
from provisioner.engine.events import Message, Report, Severity
from provisioner.engine.lease import leased
from provisioner.errors import UsageError
from provisioner.migration.postgres_catalogue import Catalogue, compare, read_catalogue
from provisioner.naming import replication_names
from provisioner.operations.dumping import SECRETS_FOLDER, data_store_of
from provisioner.operations.site import Site

_SHOWN = 5
# What `apply` itself makes anew, and what belongs to the database as a whole.
_NOT_COMPARED = frozenset({"event trigger", "database", "setting"})


@dataclass(frozen=True, kw_only=True)
class UpgradeStore:
    """The database of the cooperative ``name``; ``environment`` is where credentials may be."""

    site: Site
    name: str
    environment: Mapping[str, str]
    report: Report

    def require_dumps(self) -> None:
        """Raise UsageError if the platform names no place for dumps."""
        if self.site.platform.dumps is None:
            raise UsageError(
                f"{self.name} is upgraded only after a dump of its database, and the platform names no place for it",
                hint=f"set spec.dumps (location: a folder or s3://BUCKET/PREFIX, recipient) in"
                f" {self.site.platform.source}, or say --without-dump: then a copy on the server is all that is kept",
            )

    def require_still(self) -> None:
        """Raise DataStoreMoving if the database is being copied to another server."""
        store = self._store()
        with connect(store.postgres, environment=self.environment) as connection:
            require_no_slot(connection, store.database)

    def protect(self, *, dump: bool) -> str:
        """Copy the database and, with ``dump``, dump the copy; gives where the dump is, empty without one.

        Raises what `copy_and_dump` raises, StackLocked.
        """
        store = self._store()
        with leased(self.site.folder(self.name), stack=self.name, say=self._say) as lease:
            self.site.engine.interruption.check()
            dumps = self.site.platform.dumps
            if not dump or dumps is None:
                with connect(store.postgres, environment=self.environment) as connection:
                    make_copy(connection, store.database, mark=store.mark)
                return ""
            made = copy_and_dump(
                store.postgres,
                store.database,
                mark=store.mark,
                place=open_dump_place(
                    dumps,
                    estate=self.site.estate.root,
                    objects=self.site.platform.objects,
                    environment=self.environment,
                ),
                recipient=dumps.recipient,
                now=datetime.now(UTC),
                work=self._work(lease),
            )
        self._say(f"a verified dump of the database is {made.location}")
        return made.location

    def has_copy(self) -> bool:
        """Whether there is a copy that could be put back. Raises NotOurs for another's database of that name."""
        store = self._store()
        with connect(store.postgres, environment=self.environment) as connection:
            return has_copy(connection, mark=store.mark)

    def what_changed(self) -> tuple[str, ...]:
        """What is not as it was when the copy was made, as sentences: the schema, or else rows. Nothing: all is.

        Raises StackLocked, Interrupted after a signal.
        """
        store = self._store()
        before, after = self._catalogue(copy_name(store.mark)), self._catalogue(store.database)
        schema = [str(one) for one in compare(before, after) if one.kind not in _NOT_COMPARED]
        return _first(schema) if schema else _first(self._changed_rows(store))

    def put_back(self) -> None:
        """Put the copy in the place of the database. Nothing if that was done already."""
        store = self._store()
        with connect(store.postgres, environment=self.environment) as connection:
            put_back(connection, store.database, mark=store.mark)
        self._say(f"the database {store.database} is again as it was before the upgrade")

    def release(self) -> None:
        """Drop the copy: nobody goes back to it any more."""
        store = self._store()
        with connect(store.postgres, environment=self.environment) as connection:
            drop_copy(connection, mark=store.mark)
            drop_changed(connection, mark=store.mark)

    def _changed_rows(self, store: DataStore) -> list[str]:
        with leased(self.site.folder(self.name), stack=self.name, say=self._say) as lease:
            work = self._work(lease)
            before, after = (
                set(holdings(store.postgres, database=one, mark=store.mark, work=work))
                for one in (copy_name(store.mark), store.database)
            )
        return [f"rows of {one} are others" for one in sorted({one.name for one in before ^ after})]

    def _catalogue(self, database: str) -> Catalogue:
        store = self._store()
        with connect(store.postgres, environment=self.environment, database=database) as inside:
            return read_catalogue(inside, names=replication_names(store.mark.cooperative))

    def _work(self, lease: Mapping[str, str]) -> DumpWork:
        return DumpWork(
            folder=self.site.folder(self.name) / SECRETS_FOLDER,
            environment=self.environment,
            mark=lease,
            stopping=self.site.engine.interruption,
        )

    def _store(self) -> DataStore:
        return data_store_of(self.site.platform, self.name)

    def _say(self, text: str) -> None:
        self.report(Message(stack=self.name, severity=Severity.INFO, text=text))


def _first(sentences: list[str]) -> tuple[str, ...]:
    more = len(sentences) - _SHOWN
    return (*sentences[:_SHOWN], f"and {more} more") if more > 0 else tuple(sentences)
