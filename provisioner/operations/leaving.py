"""Members that leave a cooperative and have data: apply begins nothing until it is told what becomes of them.

Who leaves is what the last apply made and the list no longer names; who has rows, the database says. A member that
leaves loses its role in any case. Its rows, if it has a schema of its own, are kept there, closed and marked, or are
deleted after a verified dump; rows in tables that all members share stay where they are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from provisioner.datastore.dump_places import open_dump_place
from provisioner.datastore.dump_postgres import DumpWork
from provisioner.datastore.marks import Mark
from provisioner.datastore.members_dump import delete_members
from provisioner.datastore.postgres import PostgresAdmin, postgres_access
from provisioner.engine.events import Message, Report, Severity
from provisioner.engine.lease import leased
from provisioner.engine.listening import type_of
from provisioner.errors import PolicyViolated, UsageError
from provisioner.operations.dumping import SECRETS_FOLDER, require_dumps
from provisioner.operations.members import open_postgres
from provisioner.operations.reaching import postgres_server, require_answer
from provisioner.operations.site import Site, Target
from provisioner.plan.resources import CooperativePlan, PostgresMembers

_TYPE = "coopctl:postgres:Members"
_SHOWN = 10


class LeavingData(StrEnum):
    """What becomes of the data of members that leave."""

    KEEP = "keep"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """The members (ids) that leave the cooperative ``stack`` and have rows; ``before`` is how they were made."""

    stack: str
    mark: Mark
    before: PostgresMembers
    members: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.members[:_SHOWN])
        more = len(self.members) - _SHOWN
        return f"{self.stack}: {shown}" + (f" and {more} more" if more > 0 else "")


def find_leaving(
    site: Site, targets: Iterable[Target], *, data: LeavingData | None, environment: Mapping[str, str]
) -> tuple[Leaving, ...]:
    """Who leaves and has rows; where data are to be deleted, also who left before and whose rows were kept.

    The database is asked only where somebody leaves, data are to be deleted, or shared tables are to become schemas.
    Raises Unreachable or NotPermitted, and PolicyViolated for a database with data whose tables would have to become
    schemas.
    """
    admin = open_postgres(site.platform, environment=environment)
    found = [one for target in targets for one in _leaving(site, target, data=data, admin=admin)]
    return tuple(one for one in found if one.members)


def require_told(site: Site, leaving: Sequence[Leaving], *, data: LeavingData | None) -> None:
    """Refuse what nobody asked for, and what cannot be done. Raises PolicyViolated or UsageError; changes nothing."""
    if leaving and data is None:
        raise PolicyViolated(
            "members that have data would leave, or lose the schema that holds them",
            why="; ".join(map(str, leaving)),
            hint="nothing was changed; `--leaving-data keep` takes their roles away and keeps their data closed,"
            " `--leaving-data delete` deletes the data after a verified dump",
        )
    if data is not LeavingData.DELETE:
        return
    require_dumps(site.platform)
    if shared := [one for one in leaving if one.before.member_column]:
        raise UsageError(
            f"data of members that share tables are not deleted: {shared[0]}",
            why="which rows of which tables belong together, only the solution knows",
            hint="use `--leaving-data keep`: their rows stay, and nobody sees them as a member",
        )


def delete_leaving(site: Site, leaving: Leaving, *, environment: Mapping[str, str], report: Report) -> str:
    """Delete the data of ``leaving`` after a dump; gives the dump's location. Raises what `delete_members` raises."""

    def say(text: str) -> None:
        report(Message(stack=leaving.stack, severity=Severity.INFO, text=text))

    dumps = require_dumps(site.platform)
    place = open_dump_place(dumps, estate=site.estate.root, objects=site.platform.objects, environment=environment)
    folder = site.folder(leaving.stack)
    with leased(folder, stack=leaving.stack, say=say) as lease:
        site.engine.interruption.check()
        made = delete_members(
            postgres_access(site.platform.postgres),
            leaving.before,
            leaving.members,
            mark=leaving.mark,
            place=place,
            recipient=dumps.recipient,
            now=datetime.now(UTC),
            work=DumpWork(
                folder=folder / SECRETS_FOLDER,
                environment=environment,
                mark=lease,
                stopping=site.engine.interruption,
            ),
        )
    say(f"the data of {len(leaving.members)} members are deleted; the dump is {made.location}")
    return made.location


def _leaving(site: Site, target: Target, *, data: LeavingData | None, admin: PostgresAdmin) -> Iterator[Leaving]:
    if not isinstance(target.plan, CooperativePlan):
        return
    wanted = next((one for one in target.plan.resources if isinstance(one, PostgresMembers)), None)
    if wanted is None:
        # What the data store held here was erased after it had moved away.
        return
    before, mark = (
        _before(site, wanted, stack=target.name),
        Mark(cluster=target.plan.cluster, cooperative=target.plan.uid),
    )
    if before.member_column and not wanted.member_column:
        _require_no_data(site, target, wanted=wanted, admin=admin)
    gone = _gone(before, wanted=wanted)
    if not gone and data is not LeavingData.DELETE:
        return
    require_answer(postgres_server(site.platform), hint=site.platform.remedy)
    kept = _left_before(wanted, mark=mark, admin=admin) if data is LeavingData.DELETE else set()
    by_schema = replace(before, member_column="")
    asked = {before: gone, by_schema: kept} if before.member_column else {before: gone | kept}
    for layout, members in asked.items():
        rows = admin.members_with_rows(layout, tuple(sorted(members))) if members else ()
        yield Leaving(stack=target.name, mark=mark, before=layout, members=rows)


def _require_no_data(site: Site, target: Target, *, wanted: PostgresMembers, admin: PostgresAdmin) -> None:
    """Refuse that members who share tables get schemas once there are data: nothing takes the tables apart."""
    require_answer(postgres_server(site.platform), hint=site.platform.remedy)
    if admin.holds_data(wanted.database):
        raise PolicyViolated(
            f"the memberLayout of {target.name} cannot become schema: its database has data",
            why="its members share tables, and nothing distributes rows over schemas",
            hint="nothing was changed; write `memberLayout: column` again, or describe a new cooperative",
        )


def _before(site: Site, wanted: PostgresMembers, *, stack: str) -> PostgresMembers:
    """The members as they were declared last; nobody if they never were."""
    found = site.engine.checkpoint(stack)
    declared = (inputs for urn, inputs in (found.inputs if found else {}).items() if type_of(urn) == _TYPE)
    inputs: Mapping[str, Any] = next(declared, {"members": [], "memberColumn": wanted.member_column})
    members = tuple(map(str, inputs.get("members") or ()))
    return replace(wanted, members=members, member_column=str(inputs.get("memberColumn") or ""))


def _left_before(wanted: PostgresMembers, *, mark: Mark, admin: PostgresAdmin) -> set[str]:
    """Who left earlier, and whose rows are kept closed."""
    found = admin.read_members(wanted, mark=mark)
    return set(found.retained) - set(wanted.members) if found else set()


def _gone(before: PostgresMembers, *, wanted: PostgresMembers) -> set[str]:
    """Who loses what it has: is no longer named, or has a schema that the new layout does not know."""
    if wanted.member_column and not before.member_column:
        return set(before.members)
    return set(before.members) - set(wanted.members)
