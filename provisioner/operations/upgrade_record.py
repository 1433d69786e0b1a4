"""How far an upgrade has come: a small record beside the state, so that whoever runs `apply` next goes on with it.

1. ``preparing``: writes are being stopped, the database copied and dumped. No solution was changed.
2. ``upgrading``: dump and copy are complete; migration and rollout are on their way.
3. ``ready``: the new version is ready. From here on there is no way back.
4. ``returning``: it failed; the version before it comes back, and with it the database if that was changed.
5. ``done``.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from provisioner.datastore.records import Records
from provisioner.errors import CoopctlError, UpgradeUnfinished

FOLDER = "upgrades"


class Phase(StrEnum):
    """How far it has come."""

    PREPARING = "preparing"
    UPGRADING = "upgrading"
    READY = "ready"
    RETURNING = "returning"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class UpgradeRecord:
    """The upgrade ``what`` (for people) to the state with the digest ``after``.

    ``protected``: writes are stopped, and a copy can be put back; ``dump`` says where the dump is, empty if there is
    none. ``reason`` is why it failed, ``logs`` the file with what the failed Jobs printed, ``changed`` what the
    migration had changed in the database that is put back, ``lost`` that there was no copy to put back. ``settled``:
    the database is as it will stay. From then on no copy is looked at, since writes may have been given back.
    """

    what: str
    after: str
    phase: Phase
    protected: bool
    dump: str = ""
    reason: str = ""
    logs: str = ""
    changed: tuple[str, ...] = ()
    lost: bool = False
    settled: bool = False


def read_upgrade(records: Records, cooperative: str) -> UpgradeRecord | None:
    """The upgrade that is not done yet, or None. Raises CoopctlError if the record is damaged."""
    content = records.read(_path(cooperative))
    if content is None:
        return None
    try:
        fields = json.loads(content)
        found = UpgradeRecord(
            **{**fields, "phase": Phase(fields["phase"]), "changed": tuple(fields.get("changed", ()))}
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CoopctlError(f"the record {_path(cooperative)} beside the state is damaged", why=str(error)) from error
    return None if found.phase is Phase.DONE else found


def write_upgrade(records: Records, cooperative: str, found: UpgradeRecord) -> None:
    """Keep the record, over an older one."""
    records.write(_path(cooperative), json.dumps(asdict(found), indent=1).encode())


def require_no_upgrade(records: Records, cooperatives: Iterable[str]) -> None:
    """Raise UpgradeUnfinished if an upgrade of one of them was cut off."""
    for name in cooperatives:
        if found := read_upgrade(records, name):
            raise UpgradeUnfinished(
                f"{name} cannot be changed now: its upgrade ({found.what}) is not done",
                why="until then nothing is written to its database" if found.protected else None,
                hint=f"`coopctl apply {name}` finishes it, or goes back to the version before",
            )


def _path(cooperative: str) -> str:
    return f"{FOLDER}/{cooperative}.json"
