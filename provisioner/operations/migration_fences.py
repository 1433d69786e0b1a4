"""What the journal says of the fences of a migration's cutover and rollback, and what follows for other commands.

A fence is recorded before it is closed, and recorded again when it was lifted. What a kill leaves unsaid in between is
found by looking at the servers: lifting is harmless where nothing was taken.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from provisioner.errors import PlanRefused
from provisioner.migration.journal_entries import Phase, Run
from provisioner.migration.postgres_fence import Fence
from provisioner.migration.postgres_role_moves import DatabaseRight
from provisioner.migration.steps import CloseFence, OpenTarget
from provisioner.operations.migration_run import OpenRun

if TYPE_CHECKING:
    from provisioner.migration.redaction import Json

SOURCE_FENCE = (Phase.CUTOVER, CloseFence.NAME)
TARGET_FENCE = (Phase.ROLLBACK, "fence-target")
Step = tuple[Phase, str]


def record_fence(run: OpenRun, step: Step, fence: Fence) -> None:
    """Record that ``fence`` is about to be closed."""
    with run.step(*step) as result:
        rights: list[Json] = [[one.grantee, one.right, one.grantable] for one in fence.rights]
        result["fence"] = {"database": fence.database, "logins": list(fence.logins), "rights": rights}


def record_lifted(run: OpenRun, step: Step) -> None:
    """Record that the fence is lifted."""
    with run.step(*step) as result:
        result["lifted"] = True


def recorded_fence(run: Run | None, step: Step) -> Fence | None:
    """The fence that may be closed, or None."""
    found = run.step(*step) if run is not None else None
    document = found.result.get("fence") if found is not None else None
    if not isinstance(document, Mapping):
        return None
    rights = cast("list[tuple[str, str, bool]]", document["rights"])
    return Fence(
        database=str(document["database"]),
        logins=tuple(map(str, cast("list[Json]", document["logins"]))),
        rights=tuple(DatabaseRight(grantee=who, right=right, grantable=grantable) for who, right, grantable in rights),
    )


def is_switched(run: Run | None) -> bool:
    """Whether the journal says that the applications write on the target."""
    return run is not None and run.is_done(Phase.CUTOVER, OpenTarget.NAME)


def require_before_cutover(run: OpenRun) -> None:
    """Raise PlanRefused if a cutover was begun and has not ended by itself: nothing is copied to a target in use."""
    current, name = run.written.current, run.site.migration.name
    if is_switched(current):
        raise PlanRefused(
            f"{name} is switched: the applications write on the target",
            hint=f"`coopctl migrate rollback {name}` goes back, `coopctl migrate finalise {name}` ends it",
        )
    if recorded_fence(current, SOURCE_FENCE) is not None:
        raise PlanRefused(
            f"the cutover of {name} was cut off",
            hint=f"`coopctl migrate cutover {name}` goes on, `coopctl migrate rollback {name}` goes back",
        )
