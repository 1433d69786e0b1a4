"""How members look: the list, one of them, and what was added or removed."""

import sys
from collections.abc import Sequence
from typing import Any

from cli import failures
from cli.views import human, json
from provisioner.descriptor.cooperative import Member
from provisioner.descriptor.member_list import MemberList, too_large
from provisioner.descriptor.members import SMALL_FIRM_EMPLOYEES
from provisioner.descriptor.registration_number import written_out
from provisioner.naming import database_name, member_names
from provisioner.operations.members import Provisioned

_IN_DATABASE = {True: "yes", False: "no", None: "unknown"}
_COLUMNS = ("id", "name", "employees", "registration number", "in the database")


def show_list(listed: MemberList, *, provisioned: Provisioned, output: str) -> None:
    """Show all members, and those that left and whose rows are kept."""
    if output == "json":
        content = {
            **_head(listed),
            "members": [_document(member, provisioned=provisioned) for member in listed.members],
            "retained": list(provisioned.retained),
            "unknown": provisioned.unknown or None,
        }
        json.write("MemberList", content)
        return
    rows = [_row(member, provisioned=provisioned) for member in listed.members]
    human.stdout().print(human.table(*_COLUMNS, rows=rows))
    for problem in listed.warnings:
        sys.stderr.write("\n".join(failures.diagnostic_lines(problem)) + "\n")
    for member in provisioned.retained:
        sys.stderr.write(f"{member} left, and its rows are kept, closed\n")
    _say_what_is_unknown(provisioned)


def show_one(listed: MemberList, member: Member, *, provisioned: Provisioned, output: str) -> None:
    """Show one member with its names in the database."""
    cooperative = listed.cooperative
    names = member_names(member.id, database=database_name(cooperative.name))
    layout = cooperative.postgres.member_layout
    if output == "json":
        content = {
            **_head(listed),
            "member": _document(member, provisioned=provisioned),
            "memberLayout": str(layout),
            "role": names.role,
            "schema": names.schema if layout == "schema" else None,
            "unknown": provisioned.unknown or None,
        }
        json.write("Member", content)
        return
    where = f"the schema {names.schema}" if layout == "schema" else "its rows of the tables that all members share"
    lines = dict(zip(_COLUMNS, _row(member, provisioned=provisioned), strict=True))
    lines |= {"role": names.role, "what it has": where, "listed in": str(listed.file)}
    width = max(map(len, lines))
    human.stdout().print("\n".join(f"{what:<{width}}  {value}" for what, value in lines.items()), markup=False)
    _say_what_is_unknown(provisioned)


def show_added(listed: MemberList, added: Sequence[Member], *, output: str) -> None:
    """Say who was added to which file, and what comes next."""
    name = listed.cooperative.name
    if output == "json":
        json.write("MembersAdded", {**_head(listed), "added": [member.id for member in added]})
        return
    what = added[0].id if len(added) == 1 else f"{len(added)} members"
    human.stdout().print(f"added {what} to {listed.file}", markup=False)
    if large := too_large(added):
        sys.stderr.write(
            f"warning: {len(large)} of {len(added)} have {SMALL_FIRM_EMPLOYEES} employees or more (the first is"
            f" {large[0].id}); the platform is meant for smaller firms\n"
        )
    sys.stderr.write(f"Next: coopctl apply {name} gives them what they need in the database.\n")


def question(listed: MemberList, member: Member) -> str:
    """What removing means, before it is done."""
    name = listed.cooperative.name
    return (
        f"This takes {member.id} ({member.name}) off the list in {listed.file}. `coopctl apply {name}` then takes its "
        "role in the database away; if it has data, apply asks to be told what becomes of them. Take it off the list?"
    )


def show_removed(listed: MemberList, member: Member, *, output: str) -> None:
    """Say who was removed from which file, and what comes next."""
    name = listed.cooperative.name
    if output == "json":
        json.write("MemberRemoved", {**_head(listed), "removed": member.id})
        return
    human.stdout().print(f"removed {member.id} from {listed.file}", markup=False)
    sys.stderr.write(f"Next: coopctl apply {name} takes its role in the database away.\n")


def _head(listed: MemberList) -> dict[str, Any]:
    return {"cooperative": str(listed.cooperative.name), "file": str(listed.file)}


def _document(member: Member, *, provisioned: Provisioned) -> dict[str, Any]:
    return {
        "id": member.id,
        "name": member.name,
        "employees": member.employees,
        "registrationNumber": written_out(member.registration_number) or None,
        "provisioned": provisioned.has(member.id),
    }


def _row(member: Member, *, provisioned: Provisioned) -> tuple[str, ...]:
    number = written_out(member.registration_number)
    return (member.id, member.name, str(member.employees), number, _IN_DATABASE[provisioned.has(member.id)])


def _say_what_is_unknown(provisioned: Provisioned) -> None:
    if provisioned.unknown:
        sys.stderr.write(f"from the files alone, the database was not asked: {provisioned.unknown}\n")
