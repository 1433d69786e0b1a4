"""How it looks what moving a member's slice finds, plans and does."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cli.views import human, json
from cli.views.migrate import difference_lines, documents, problem_lines
from provisioner.migration.objects_report import as_document as objects_document
from provisioner.migration.slice_objects import Share
from provisioner.migration.slice_planning import as_slice_document
from provisioner.migration.slice_verification import SliceVerification
from provisioner.operations.slice_looking import SliceLook, SlicePreflight
from provisioner.operations.slice_moving import HandedOver, SliceCopied
from provisioner.operations.slice_site import SliceSite

if TYPE_CHECKING:
    # Not for a pod that copies a slice: its image has none of the engine's libraries.
    from provisioner.operations.slice_erasing import SliceErased


def show_preflight(found: SlicePreflight, *, output: str) -> None:
    """Every problem, and how much there is."""
    if output == "json":
        json.write("MigrationPreflight", {**_head(found), "plan": _plan_document(found.look)})
        return
    console = human.stdout()
    for line in (*problem_lines(found.look.problems), _summed(found.look), _verdict(found)):
        console.print(line, markup=False)


def show_plan(found: SlicePreflight, *, output: str) -> None:
    """What becomes of every table; problems after that."""
    look = found.look
    if output == "json":
        json.write("MigrationPlan", {**_plan_document(look), "problems": documents(look.problems)})
        return
    console = human.stdout()
    counts = look.counts.rows if look.counts is not None else {}
    rows = [
        (str(one.treatment), str(one.name), str(counts[one.name]) if one.name in counts else "", one.why)
        for one in look.plan.tables
    ]
    console.print(human.table("", "table", "rows", "why", rows=rows))
    for line in (*_cut_lines(look), _summed(look), *problem_lines(look.problems), _verdict(found)):
        console.print(line, markup=False)


def show_copied(found: SliceCopied, *, output: str) -> None:
    """What the target holds now."""
    if output == "json":
        content = {"migration": found.migration, "member": found.member, "fingerprint": found.fingerprint}
        json.write("MigrationSliceCopied", {**content, "tables": found.tables, "rows": found.rows})
        return
    human.stdout().print(
        f"{found.migration}: {found.rows} rows of {found.tables} tables and {found.objects.listed} versions of objects"
        f" of {found.member} are copied; `coopctl migrate verify {found.migration}` compares both sides",
        markup=False,
    )


def show_verification(found: SliceVerification, *, output: str) -> None:
    """What was compared, what leaked and what differs."""
    if output == "json":
        json.write("MigrationVerification", _verification_document(found))
        return
    console = human.stdout()
    for line in _verification_lines(found):
        console.print(line, markup=False)


def finalise_question(site: SliceSite) -> str:
    """What handing over means."""
    moving = site.moving
    return (
        f"Hand {moving.target} and {moving.target_bucket} over to the member {site.request.member}, if a verification"
        " finds that they hold exactly its slice? Nothing is copied there any more."
    )


def show_handed_over(found: HandedOver, *, output: str) -> None:
    """Whose the target is, and when the platform's rows may be erased."""
    verification = found.verification
    if output == "json":
        content = _verification_document(verification)
        json.write("MigrationFinalised", {**content, "erasable": found.erasable.isoformat()})
        return
    name, member = verification.migration, verification.member
    human.stdout().print(
        f"{name}: the target holds exactly the slice of {member} and is the member's; the platform's rows stay until"
        f" `coopctl migrate erase {name}`, from {found.erasable:%Y-%m-%d} on",
        markup=False,
    )


def erase_question(site: SliceSite) -> str:
    """What is destroyed."""
    moving = site.moving
    return (
        f"This erases every row and object of the member {site.request.member} of {moving.tenant.cooperative} on the"
        f" platform: from {moving.source} and {site.bucket}. They were handed over at {moving.target} and"
        f" {moving.target_bucket}."
    )


def show_erased(found: "SliceErased", *, output: str) -> None:
    """The proof."""
    if output == "json":
        content = {"migration": found.migration, "cooperative": found.cooperative, "member": found.member}
        json.write("MigrationErased", {**content, "proof": dict(found.proof), "digest": found.digest})
        return
    console = human.stdout()
    console.print(
        f"{found.cooperative}: no row and no object of {found.member} is left; all others are as they were",
        markup=False,
    )
    console.print(f"the proof has the SHA-256 {found.digest}", markup=False)
    console.print(f"`coopctl migrate report {found.migration}` shows what was there", markup=False)


def _head(found: SlicePreflight) -> dict[str, Any]:
    return {
        "migration": found.migration,
        "at": found.at.isoformat(),
        "targetOnly": False,
        "targetVersion": found.look.survey.target.server.version,
        "ready": not found.look.errors,
        "problems": documents(found.look.problems),
    }


def _plan_document(look: SliceLook) -> dict[str, Any]:
    rows = {str(name): count for name, count in look.counts.rows.items()} if look.counts is not None else None
    objects = {str(share): count for share, count in look.survey.shares.keys.items()}
    return {**as_slice_document(look.plan), "rows": rows, "objects": objects}


def _cut_lines(look: SliceLook) -> Iterator[str]:
    for cut in look.plan.cuts:
        rows = look.counts.severed[cut] if look.counts is not None else None
        if rows and cut.column is not None:
            yield f"cut: {cut.key}, in {rows} rows"


def _summed(look: SliceLook) -> str:
    tables = ", ".join(f"{count} {treatment}" for treatment, count in look.plan.counts().items() if count)
    rows = f"; {sum(look.counts.rows.values())} rows go along" if look.counts is not None else ""
    objects = look.survey.shares
    keys = f"; of {sum(objects.keys.values())} objects {objects.keys[Share.OWN]} go along"
    return f"tables: {tables or 'none'}{rows}{keys}"


def _verdict(found: SlicePreflight) -> str:
    errors = len(found.look.errors)
    beside = f"; {len(found.look.problems) - errors} to know about" if len(found.look.problems) > errors else ""
    return f"{found.migration}: {f'not ready: {errors} to mend' if errors else 'ready'}{beside}"


def _verification_document(found: SliceVerification) -> dict[str, Any]:
    rows = found.rows
    return {
        "migration": found.migration,
        "member": found.member,
        "clean": not found.differences,
        "leaks": [{"table": one.table, "rows": one.rows, "what": one.what, "keys": one.keys} for one in rows.leaks],
        "rows": {one.table: one.source_rows for one in rows.tables},
        "differences": list(rows.differences),
        "objects": objects_document(found.objects),
    }


def _verification_lines(found: SliceVerification) -> Iterator[str]:
    rows = found.rows
    compared = sum(one.source_rows for one in rows.tables)
    yield f"compared {len(rows.tables)} tables with {compared} rows, {rows.definitions} definitions"
    yield f"compared {found.objects.keys} objects with {found.objects.versions} versions"
    leaks = sum(one.rows for one in rows.leaks)
    yield f"leak test: {f'{leaks} rows are not of the slice' if rows.leaks else 'no row of anybody else'}"
    yield from difference_lines(
        found.migration, found.differences, none=f"the target holds the slice of {found.member}"
    )
