"""Where the data stores of cooperatives live: a small record beside the state for each that ever moved.

Beside the state, since every machine that works on the estate must know it, and since the descriptor says what is
wanted, not what a migration has done by now.

1. Before anything is fenced the record says that the data store is ``moving``: nobody applies or mends the cooperative,
   which would lift the fence or lead its Services back.
2. When the Services lead elsewhere it says where, and from then on every plan leads there.
3. When the way back is given up it counts a change of credentials, which the next apply makes; and when the platform's
   copy is erased it says so, and no plan has it any more.
4. When an estate of the cooperative's own takes it over it says which: its credentials are that one's matter.

Cut off in between, it goes on saying that the data store moves until the same command of the migration has ended.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from provisioner.datastore.records import Records
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_migration_alone
from provisioner.descriptor.migration import MigrationTarget
from provisioner.descriptor.platform import Endpoint
from provisioner.errors import CoopctlError, DataStoreMoving, NotFound
from provisioner.plan.store_place import StorePlace

FOLDER = "data-store"


@dataclass(frozen=True, kw_only=True)
class StoreRecord:
    """What is known of a data store since ``since``: which migration moved it, and whether it lives at ``place``.

    ``moving``: it is between two places. ``final``: the way back was given up.
    """

    migration: str
    place: StorePlace
    moved: bool
    moving: bool
    since: datetime
    final: bool = False

    def __str__(self) -> str:
        where = f"PostgreSQL {_shown(self.place.postgres)}, objects {_shown(self.place.objects)}"
        if self.moving:
            return f"on its way by the migration {self.migration}"
        if not self.moved:
            return f"on the platform, back from the migration {self.migration}"
        back = (", erased on the platform" if self.place.erased else "") if self.final else ", with a way back"
        own = self.place.handed_over
        over = f", handed over to the estate of the cluster {own}" if own else ""
        return f"moved by {self.migration}: {where}{back}{over}"


def read_place(records: Records, cooperative: str) -> StoreRecord | None:
    """The record of the cooperative; None if its data store never moved. Raises CoopctlError if it is damaged."""
    content = records.read(_path(cooperative))
    if content is None:
        return None
    try:
        fields = json.loads(content)
        found = fields.pop("place")
        postgres, objects = (Endpoint(**found.pop(name)) for name in ("postgres", "objects"))
        place = StorePlace(postgres=postgres, objects=objects, **found)
        since = datetime.fromisoformat(fields.pop("since"))
        return StoreRecord(place=place, since=since, **fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CoopctlError(f"the record {_path(cooperative)} beside the state is damaged", why=str(error)) from error


def write_place(records: Records, cooperative: str, found: StoreRecord) -> None:
    """Keep the record, over an older one."""
    document = {**asdict(found), "since": found.since.isoformat()}
    records.write(_path(cooperative), json.dumps(document, indent=1).encode())


def moved_to(records: Records, cooperative: str) -> StorePlace | None:
    """Where the cooperative's data store lives, None for the platform."""
    found = read_place(records, cooperative)
    return found.place if found is not None and found.moved else None


def target_of(estate: Estate, records: Records, cooperative: str) -> MigrationTarget | None:
    """How the servers are reached that the cooperative's data store has moved to for good, as the migration's document
    says; None if it has not, was handed over since, or the document is gone. Raises InvalidDescriptor."""
    found = read_place(records, cooperative)
    if found is None or not found.final or found.place.handed_over:
        return None
    try:
        return load_migration_alone(estate, found.migration).target
    except NotFound:
        return None


def require_settled(records: Records, cooperatives: Iterable[str]) -> None:
    """Raise DataStoreMoving if the data store of one of them is between two places."""
    for name in cooperatives:
        found = read_place(records, name)
        if found is not None and found.moving:
            raise DataStoreMoving(
                f"{name} cannot be changed now: its data store is {found}",
                why="applications are kept out of it, and its Services are led elsewhere",
                hint=f"`coopctl migrate cutover {found.migration}` or `rollback` goes on; then try again",
            )


def _path(cooperative: str) -> str:
    return f"{FOLDER}/{cooperative}.json"


def _shown(server: Endpoint) -> str:
    return f"{server.host}:{server.port}"
