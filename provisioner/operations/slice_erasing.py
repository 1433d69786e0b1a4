"""Erases a member's rows and objects on the platform after they were handed over, and proves that nothing else went.

1. Refused until `finalise` has handed the slice over, and until the end of `keepSource` unless somebody insists.
2. The rows go in one transaction that compares them with what was handed over, and all other rows with themselves
   (slice_erasing of the migration). Its proof is in the journal before it is committed.
3. The objects go, if they are those that were handed over; what is somebody else's is looked up before and after.
4. Dead rows are cleared away, materialised views are made anew, and everything is looked up once more in vain.

No dump is made: what is erased was compared with what the member has by now. Cut off anywhere, the same command goes
on: whether the transaction was committed, the rows themselves tell.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import cast

from provisioner.datastore.credentials import generate_password
from provisioner.datastore.records import open_records
from provisioner.engine.lease import leased
from provisioner.engine.settings import engine_folder
from provisioner.errors import NotFound, ProblemsFound
from provisioner.migration.journal import Journal
from provisioner.migration.journal_entries import EntryKind, Phase, Run, RunEnding, RunKind
from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.objects_listing import chains
from provisioner.migration.postgres_role_moves import drop_made_roles
from provisioner.migration.postgres_sides import Side, session
from provisioner.migration.redaction import Json
from provisioner.migration.slice_erasing import (
    CutReference,
    ErasedRows,
    Erasing,
    clear_away,
    erase_rows,
    make_eraser,
    owners_of,
    rows_left,
)
from provisioner.migration.slice_facts import SliceFacts
from provisioner.migration.slice_objects import inventory
from provisioner.migration.slice_planning import SlicePlan, plan_slice
from provisioner.migration.slice_survey import survey_slice
from provisioner.migration.slice_verification import TableSum
from provisioner.operations.history import Action, History
from provisioner.operations.migration_journals import read_site_journal, writing_journal
from provisioner.operations.migration_run import Report, Told, recorded_step
from provisioner.operations.migration_tenancy import lease_folder
from provisioner.operations.recording import recorded_in
from provisioner.operations.slice_moving import HAND_OVER
from provisioner.operations.slice_site import SliceSite

ROWS, OBJECTS, PROOF = "delete-rows", "delete-objects", "look-again"
Versions = frozenset[int]


@dataclass(frozen=True, kw_only=True)
class SliceErased:
    """Nothing of the member is left; ``proof`` says what there was, and ``digest`` is its SHA-256, as in the audit
    trail."""

    migration: str
    cooperative: str
    member: str
    proof: Mapping[str, Json]
    digest: str


@dataclass(frozen=True, kw_only=True)
class _Work:
    """An erasure that goes on: ``over`` is what was handed over."""

    site: SliceSite
    written: Journal
    over: Mapping[str, Json]
    cut_references: bool
    report: Report


def require_erasable(site: SliceSite, *, now: datetime, early: bool) -> None:
    """Refuse what may not be erased, before anybody is asked.

    Raises ProblemsFound unless the slice was handed over, and before the end of keepSource unless it is ``early`` by
    somebody's wish; NotFound if it is erased already.
    """
    run = _handed_over(site)
    erased = [one for one in _runs(site) if one.ending is RunEnding.ERASED and one.number > run.number]
    if erased:
        raise NotFound(f"the platform holds nothing of the member {site.request.member} any more: it was erased")
    until = (run.ended or now) + site.moving.migration.keep_source
    if now < until and not early:
        raise ProblemsFound(
            f"the platform's rows of {site.request.member} are kept until {until:%Y-%m-%d %H:%M} UTC",
            why="keepSource says for how long after they were handed over",
            hint="wait until then; --early erases them now",
        )


def erase_slice(
    site: SliceSite, *, now: Callable[[], datetime], early: bool, cut_references: bool, report: Report
) -> SliceErased:
    """Erase it, or go on with that.

    Raises what `require_erasable`, `erase_rows` and servers raise, StackLocked, MigrationLocked, and ProblemsFound if
    anything is left, or anything of somebody else's would go or is gone.
    """
    require_erasable(site, now=now(), early=early)
    moving, run = site.moving, _handed_over(site)
    over = run.step(Phase.FINALISE, HAND_OVER)

    def say(text: str) -> None:
        report(Told(text=text))

    with (
        writing_journal(moving, now=now) as written,
        leased(lease_folder(moving), stack=moving.tenant.stack, say=say),
        recorded_in(_history(site), moving.tenant.stack, estate=moving.estate.root, action=Action.ERASE) as outcome,
    ):
        written.begin(RunKind.ERASURE, fingerprint="", content={"member": site.request.member})
        work = _Work(
            site=site,
            written=written,
            over=over.result if over is not None else {},
            cut_references=cut_references,
            report=report,
        )
        proof = _erased(work, now=now)
        digest = hashlib.sha256(json.dumps(proof, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        outcome.details |= {"migration": site.name, "member": site.request.member, "proof": digest}
        written.end(RunEnding.ERASED, {"proof": dict(proof), "digest": digest})
    return SliceErased(
        migration=site.name,
        cooperative=str(moving.tenant.cooperative),
        member=site.request.member,
        proof=proof,
        digest=digest,
    )


def _erased(work: _Work, *, now: Callable[[], datetime]) -> Mapping[str, Json]:
    with session(work.site.moving.source) as source:
        facts = survey_slice(source)
    plan = plan_slice(work.site.name, facts=facts, request=work.site.request, sides=work.site.sides)
    _require_whole_plan(plan)
    with recorded_step(work.written, Phase.ERASE, ROWS, report=work.report):
        rows = _erase_rows(work, plan, facts=facts)
    kept = _erase_objects(work)
    with recorded_step(work.written, Phase.ERASE, PROOF, report=work.report) as result:
        source_side = work.site.moving.source
        with session(source_side) as admin:
            # An erasure that was killed has left it.
            drop_made_roles(admin, [work.site.moving.names.eraser_login])
        clear_away(source_side, plan)
        _require_gone(work, rows_left(source_side, plan))
        proof = _proof(work, rows, kept=kept, at=now())
        result["proof"] = dict(proof)
    return proof


def _require_whole_plan(plan: SlicePlan) -> None:
    """A table that came since then might hold rows of the member, too."""
    refused = [f"{one.name}: {one.why}" for one in plan.refused] + [str(one) for one in plan.distrusted]
    if refused:
        raise ProblemsFound(
            f"nothing is erased: it is not known of {len(refused)} tables whose their rows are",
            why="; ".join(refused),
            hint=f"`coopctl migrate plan {plan.migration}` says how to mend that",
        )


def _erase_rows(work: _Work, plan: SlicePlan, *, facts: SliceFacts) -> ErasedRows:
    """Erase them, unless an erasure that was cut off has committed that already."""
    side = work.site.moving.source
    before = _committed(work)
    if before is not None and not rows_left(side, plan):
        return before
    tables = cast("list[dict[str, str | int]]", work.over.get("tables", []))
    handed_over = tuple(_sum(one) for one in tables)
    with _eraser(work, owners_of(plan, facts)) as login:
        erasing = Erasing(
            plan=plan, facts=facts, side=login, handed_over=handed_over, cut_references=work.cut_references
        )
        return erase_rows(
            erasing,
            committing=lambda proof: work.written.note(
                {"committing": cast("Json", _document(proof))}, phase=Phase.ERASE, step=ROWS
            ),
        )


@contextmanager
def _eraser(work: _Work, owners: Iterable[str]) -> Iterator[Side]:
    """The login of the erasure, which is gone after the block."""
    moving, password = work.site.moving, generate_password()
    login = moving.names.eraser_login
    with session(moving.source) as admin:
        make_eraser(admin, login=login, owners=owners, password=password)
        try:
            yield replace(moving.source, user=login, password=password)
        finally:
            drop_made_roles(admin, [login])


def _committed(work: _Work) -> ErasedRows | None:
    """The proof of a transaction that this erasure was about to commit."""
    current, record = work.written.current, read_site_journal(work.site.moving)
    if current is None or record is None:
        return None
    notes = [one for one in record.entries if one.run == current.number and one.kind is EntryKind.NOTE]
    found = [one.content["committing"] for one in notes if "committing" in one.content]
    return _rows_of(cast("dict[str, list[dict[str, str | int]]]", found[-1])) if found else None


def _erase_objects(work: _Work) -> int:
    """Erase them; gives how many versions of others are there as before."""
    bucket, own = work.site.bucket, work.site.moving.source_bucket
    current = work.written.current
    if current is not None and current.step(Phase.ERASE, OBJECTS) is None:
        _require_handed_over_objects(work, own)
    with recorded_step(work.written, Phase.ERASE, OBJECTS, report=work.report) as result:
        before = _versions(bucket, own)
        for key, chain in chains(own):
            for one in chain:
                own.remove(key, version=one.version)
        for key, upload in bucket.uploads():
            if key.startswith(own.prefixes):
                bucket.abort_upload(key, upload=upload)
        gone = len(before - _versions(bucket, own))
        if gone:
            raise ProblemsFound(
                f"while the objects were erased, {gone} versions of somebody else's went",
                hint="an application may have deleted them in that moment; the same command looks again",
            )
        result["others"] = len(before)
    return len(before)


def _require_handed_over_objects(work: _Work, own: Bucket) -> None:
    found = asdict(inventory(chains(own)))
    if found != work.over.get("listing"):
        raise ProblemsFound(
            "the objects are not erased: they are not those that were handed over",
            why=f"there are {found['versions']} versions now",
            hint=f"hand them over anew: an empty target, `coopctl migrate start {work.site.name}`, and so on",
        )


def _versions(bucket: Bucket, own: Bucket) -> Versions:
    """Every version of a key that is not the member's, as a number: there may be many."""
    return frozenset(
        hash((key, one.version)) for key, chain in chains(bucket) if not key.startswith(own.prefixes) for one in chain
    )


def _require_gone(work: _Work, left: Mapping[str, int]) -> None:
    found = [f"{rows} rows in {table}" for table, rows in left.items()]
    found += [f"the object {key}" for key, _ in chains(work.site.moving.source_bucket)]
    if found:
        raise ProblemsFound(
            f"{work.site.request.member} is not erased: there is {found[0]}",
            why="; ".join(found[1:]) or None,
            hint="they came after what was handed over: let the member stop, and hand those over, too",
        )


def _proof(work: _Work, rows: ErasedRows, *, kept: int, at: datetime) -> dict[str, Json]:
    """What was there, and that all else is as it was."""
    return {
        "erased": at.isoformat(),
        "member": work.site.request.member,
        **cast("dict[str, Json]", _document(rows)),
        "objects": work.over.get("listing"),
        "otherVersions": kept,
    }


def _document(rows: ErasedRows) -> dict[str, object]:
    return {
        "tables": [asdict(one) for one in rows.tables],
        "others": [asdict(one) for one in rows.others],
        "cut": [asdict(one) for one in rows.cut],
    }


def _rows_of(document: Mapping[str, list[dict[str, str | int]]]) -> ErasedRows:
    return ErasedRows(
        tables=tuple(map(_sum, document["tables"])),
        others=tuple(map(_sum, document["others"])),
        cut=tuple(CutReference(reference=str(one["reference"]), rows=int(one["rows"])) for one in document["cut"]),
    )


def _sum(found: Mapping[str, str | int]) -> TableSum:
    return TableSum(name=str(found["name"]), rows=int(found["rows"]), digest=str(found["digest"]))


def _handed_over(site: SliceSite) -> Run:
    """The run that has handed the slice over. Raises ProblemsFound if the last one has not."""
    moves = [one for one in _runs(site) if one.kind is RunKind.MIGRATION]
    if not moves or moves[-1].ending is not RunEnding.FINALISED:
        raise ProblemsFound(
            f"the platform's rows are not erased: {site.name} has not handed them over",
            hint=f"`coopctl migrate finalise {site.name}` does, once the target holds exactly the member's slice",
        )
    return moves[-1]


def _runs(site: SliceSite) -> tuple[Run, ...]:
    record = read_site_journal(site.moving)
    return record.runs if record is not None else ()


def _history(site: SliceSite) -> History:
    state = site.moving.platform.state
    return History(
        records=open_records(state.url, credentials_file=state.credentials_file),
        passphrase_file=state.passphrase_file,
        work=engine_folder(site.moving.estate.local),
    )
