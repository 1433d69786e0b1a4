"""Compares what was written since the last verification while applications work: little is left for behind the fence.

1. A place in the source's WAL is noted; what the watch slot remembers is read, and the target catches up.
2. Those rows are compared as in a rehearsal, and the schemas, if one has changed since the pass before. A row that was
   written meanwhile is of the next pass.
3. If nothing differs, the slot forgets what was written up to that place.
4. Again, until a pass had few rows, or not clearly fewer than the one before: applications write as fast as we read.

It proves nothing: the switch asks for what is compared behind the fence. Cut off anywhere, the slot still remembers
all that was not compared.
"""

from dataclasses import dataclass, replace

from provisioner.datastore.postgres_connection import Connection
from provisioner.errors import VerificationFailed
from provisioner.migration.postgres_changes import Touched, forget_changes, read_touched
from provisioner.migration.postgres_following import nudge
from provisioner.migration.postgres_report import SHOWN_IN_ERROR, AgreedSchema, VerificationReport
from provisioner.migration.postgres_verification import Comparison, rehearse_changed

MOST_PASSES = 8
# So many rows are compared by key faster than a pass is begun.
FEW_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """How many rows each pass had to look at, and the schemas that agreed in the last."""

    passes: tuple[int, ...]
    agreed: AgreedSchema | None


def compare_ahead(source: Connection, comparison: Comparison, *, publication: str) -> Ahead:
    """Compare in passes, after a clean rehearsal and before the fence.

    The watch slot has remembered what is in ``publication`` since that rehearsal began. Raises VerificationFailed,
    naming what differs, and what the comparison's ``catch_up`` raises; nobody was kept out.
    """
    names, catch_up = comparison.names, comparison.catch_up
    if catch_up is None:
        raise AssertionError("while applications work the target must be waited for")
    passes: list[int] = []
    while len(passes) < MOST_PASSES:
        until = nudge(source)
        touched = read_touched(source, slot=names.watch_slot, publication=publication, tables=comparison.tables)
        catch_up()
        report = rehearse_changed(comparison, touched)
        require_same(report)
        comparison = replace(comparison, agreed=report.agreed)
        forget_changes(source, slot=names.watch_slot, until=until)
        passes.append(rows_to_read(comparison, touched))
        if is_enough(passes):
            break
    return Ahead(passes=tuple(passes), agreed=comparison.agreed)


def rows_to_read(comparison: Comparison, touched: Touched) -> int:
    """Pure: rows that are found by key, and all rows of tables that are read as a whole."""
    entire = sum(table.rows for table in comparison.tables if table.name in touched.whole)
    return entire + sum(len(keys) for keys in touched.keys.values())


def is_enough(passes: list[int]) -> bool:
    """Pure: whether another pass would leave clearly less: the last had few rows, or over half of the one before."""
    return passes[-1] <= FEW_ROWS or (len(passes) > 1 and passes[-1] * 2 > passes[-2])


def require_same(report: VerificationReport) -> None:
    """Raise VerificationFailed if anything differs: of a rehearsal, which proves nothing."""
    if not report.clean:
        raise VerificationFailed(
            "the target does not hold what the source holds", why="; ".join(report.differences[:SHOWN_IN_ERROR])
        )
