"""Erases what the platform still holds of a data store that has moved away, and proves that nothing of it is left.

1. Refused until `finalise` has given the way back up, and until the end of `keepSource` unless somebody insists.
2. The final dump is looked at, file by file; one that no longer holds all that is left is made anew.
3. What is there is written down.
4. Database, bucket with every version, identity and roles are deleted.
5. All of it is looked up again, and whether all that belongs to others is there as it was before 4. What was found is
   the proof: it stays in the journal, in the report and, by its digest, in the audit trail.
6. The record beside the state says so: no plan has the data store any more, only its credentials at the target.

Cut off anywhere, the same command goes on, with what 3 has written down the first time.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import cast

from provisioner.datastore.erasure import (
    HeldBucket,
    HeldDatabase,
    Holdings,
    Others,
    erase,
    look_for_remains,
    read_holdings,
    read_others,
)
from provisioner.datastore.records import Records
from provisioner.datastore.store_places import read_place, write_place
from provisioner.engine.lease import leased
from provisioner.errors import NotFound, ProblemsFound
from provisioner.migration.journal import Journal
from provisioner.migration.journal_entries import Phase, Run, RunEnding, RunKind
from provisioner.migration.postgres_rollback import read_leftovers
from provisioner.migration.postgres_sides import session
from provisioner.migration.redaction import Json
from provisioner.migration.steps import OpenTarget
from provisioner.operations.dumping import KnownDump, data_store_of, require_dumps, settle_dump, take_final_dump
from provisioner.operations.history import Action
from provisioner.operations.migration_finalising import dumping_of
from provisioner.operations.migration_journals import read_site_journal, writing_journal
from provisioner.operations.migration_place import moved_for_good, place_of, records_of
from provisioner.operations.migration_run import Report, Told, recorded_step
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.migration_tenancy import lease_folder
from provisioner.operations.recording import open_history, recorded_in

DUMP, INVENTORY, DELETE, PROOF = "final-dump", "inventory", "delete", "look-again"
MAINTENANCE = "postgres"


@dataclass(frozen=True, kw_only=True)
class Erased:
    """Nothing of the data store is on the platform's servers; ``proof`` says what was there, and ``digest`` is its
    SHA-256, as in the audit trail."""

    migration: str
    cooperative: str
    proof: Mapping[str, Json]
    digest: str


def require_erasable(site: MigrationSite, *, now: datetime, early: bool) -> None:
    """Refuse what may not be erased, before anybody is asked.

    Raises UsageError without a place for dumps, NotFound if the data store never moved or is erased already,
    ProblemsFound while there is a way back, and before the end of keepSource unless it is ``early`` by somebody's wish.
    """
    name = site.migration.name
    require_dumps(site.platform)
    if not moved_for_good(site):
        raise ProblemsFound(
            f"the platform's copy is not erased: {name} can still go back",
            hint=f"run `coopctl migrate finalise {name}` first, when nobody needs the way back any more",
        )
    if place_of(site).place.erased and not _is_cut_off(site):
        raise NotFound(f"the platform holds nothing of {site.tenant.cooperative} any more: it was erased")
    until = _kept_until(site)
    if now < until and not early:
        raise ProblemsFound(
            f"the platform's copy is kept until {until:%Y-%m-%d %H:%M} UTC",
            why="keepSource says for how long from the switch on",
            hint="wait until then; --early erases it now",
        )


def erase_source(site: MigrationSite, *, now: Callable[[], datetime], early: bool, report: Report) -> Erased:
    """Erase it, or go on with that.

    Raises what `require_erasable`, `take_final_dump` and servers raise, StackLocked, MigrationLocked, and ProblemsFound
    if anything is left, or anything of somebody else's is gone.
    """
    require_erasable(site, now=now(), early=early)

    def say(text: str) -> None:
        report(Told(text=text))

    with (
        writing_journal(site, now=now) as written,
        leased(lease_folder(site), stack=site.tenant.stack, say=say),
        recorded_in(
            open_history(site.estate, platform=site.platform),
            site.tenant.stack,
            estate=site.estate.root,
            action=Action.ERASE,
        ) as outcome,
    ):
        written.begin(RunKind.ERASURE, fingerprint="")
        proof = _erased(site, written, now=now, report=report, say=say)
        digest = hashlib.sha256(json.dumps(proof, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        outcome.details |= {"migration": site.migration.name, "proof": digest, "dump": str(proof["dump"])}
        written.end(RunEnding.ERASED, {"proof": dict(proof), "digest": digest})
        name = str(site.tenant.cooperative)
        settle_dump(records_of(site), name)
    return Erased(migration=site.migration.name, cooperative=name, proof=proof, digest=digest)


def _erased(
    site: MigrationSite,
    written: Journal,
    *,
    now: Callable[[], datetime],
    report: Report,
    say: Callable[[str], None],
) -> Mapping[str, Json]:
    name, identity = str(site.tenant.cooperative), site.tenant.objects_identity
    store = data_store_of(site.platform, name)
    with recorded_step(written, Phase.ERASE, DUMP, report=report) as result:
        dump = take_final_dump(dumping_of(site), name, now=now(), say=say)
        result["location"] = dump.location
    before = _inventory(written.current)
    if before is None:
        with recorded_step(written, Phase.ERASE, INVENTORY, report=report) as result:
            before = read_holdings(store, identity=identity, environment=site.environment)
            result["holdings"] = cast("Json", json.loads(json.dumps(asdict(before))))
    others = read_others(store, before, identity=identity, environment=site.environment)
    with recorded_step(written, Phase.ERASE, DELETE, report=report):
        erase(store, identity=identity, environment=site.environment)
    with recorded_step(written, Phase.ERASE, PROOF, report=report) as result:
        left = look_for_remains(store, before, identity=identity, environment=site.environment)
        now_there = read_others(store, before, identity=identity, environment=site.environment)
        _require_erased(name, left=(*left, *_left_by_migrations(site)), missing=_missing(others, now_there))
        proof = _proof(before, dump=dump, others=others, at=now())
        result["proof"] = dict(proof)
    _note_erased(records_of(site), name)
    return proof


def _missing(before: Others, after: Others) -> tuple[str, ...]:
    """What was somebody else's and is gone: an erasure that took it along would be none."""
    return tuple(f"{kind}: {name}" for kind, names in before.items() for name in sorted(names - after[kind]))


def _require_erased(name: str, *, left: tuple[str, ...], missing: tuple[str, ...]) -> None:
    """Raise ProblemsFound if anything is ``left``, or anything of somebody else's ``missing``."""
    if left:
        raise ProblemsFound(
            f"{name} is not erased: {left[0]} is still there",
            why="; ".join(left[1:]) or None,
            hint="look at what is named; the same command deletes and looks again",
        )
    if missing:
        raise ProblemsFound(
            f"while {name} was erased, something of somebody else's went: {missing[0]}",
            why="; ".join(missing[1:]) or None,
            hint="ask who took it away in that moment; the same command looks again",
        )


def _proof(before: Holdings, *, dump: KnownDump, others: Others, at: datetime) -> dict[str, Json]:
    """What was there, as it was dumped, and that it was looked up in vain."""
    tables: list[Json] = [{"name": one.name, "rows": one.rows, "digest": one.digest} for one in dump.tables]
    files: list[Json] = [{"name": one.name, "bytes": one.size_bytes, "sha256": one.sha256} for one in dump.files]
    return {
        "erased": at.isoformat(),
        "database": _plain(asdict(before.database)) if before.database else None,
        "tables": tables,
        "bucket": _plain(asdict(before.bucket)) if before.bucket else None,
        "roles": list(before.roles),
        "identity": before.identity,
        "dump": dump.location,
        "files": files,
        "others": {kind: len(names) for kind, names in sorted(others.items())},
    }


def _plain(fields: Mapping[str, object]) -> Json:
    return cast("Json", dict(fields))


def _inventory(run: Run | None) -> Holdings | None:
    """What was written down before anything was deleted, if a run was cut off after that."""
    found = run.step(Phase.ERASE, INVENTORY) if run is not None else None
    document = found.result.get("holdings") if found is not None else None
    if not isinstance(document, dict):
        return None
    database, bucket = document["database"], document["bucket"]
    identity = document["identity"]
    return Holdings(
        database=HeldDatabase(**database) if isinstance(database, dict) else None,  # type: ignore[arg-type]
        bucket=HeldBucket(**bucket) if isinstance(bucket, dict) else None,  # type: ignore[arg-type]
        roles=tuple(cast("list[str]", document["roles"])),
        identity=identity if isinstance(identity, str) else None,
    )


def _left_by_migrations(site: MigrationSite) -> tuple[str, ...]:
    with session(replace(site.source, database=MAINTENANCE)) as connection:
        own = [one for one in read_leftovers(connection) if one.name.startswith(site.names.slot)]
    return tuple(f"the {one.kind} {one.name}" for one in own)


def _is_cut_off(site: MigrationSite) -> bool:
    record = read_site_journal(site)
    return record is not None and any(run.open and run.kind is RunKind.ERASURE for run in record.runs)


def _kept_until(site: MigrationSite) -> datetime:
    """The end of keepSource after the switch; without a journal here, after the end of the migration."""
    record = read_site_journal(site)
    runs = [run for run in record.runs if run.kind is RunKind.MIGRATION] if record else []
    switched = runs[-1].step(Phase.CUTOVER, OpenTarget.NAME) if runs else None
    begun = switched.ended if switched is not None and switched.ended is not None else place_of(site).since
    return begun + site.migration.keep_source


def _note_erased(records: Records, cooperative: str) -> None:
    found = read_place(records, cooperative)
    if found is not None:
        write_place(records, cooperative, replace(found, place=replace(found.place, erased=True)))
