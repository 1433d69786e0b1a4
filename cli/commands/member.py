"""`coopctl member`: the member list of a cooperative, shown and edited."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import options
from provisioner.errors import NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provisioner.descriptor.cooperative import Cooperative, Member
    from provisioner.descriptor.estate import Estate
    from provisioner.operations.members import Provisioned


@click.group(epilog="Example: coopctl member list rice-processing")
def member() -> None:
    """List, show, add and remove the members of a cooperative, in its file or its descriptor."""


@member.command("list", epilog="Example: coopctl member list rice-processing")
@options.name
@options.estate
@options.output
def list_members(*, name: str, estate_path: Path | None, output: str) -> None:
    """List the members of the cooperative NAME, and whether its database has them already.

    The database is asked if it answers; else the answer comes from the files alone, and says so.
    """
    from cli import wiring
    from cli.views import member as view
    from provisioner.descriptor.member_list import read_member_list

    estate = wiring.open_estate(estate_path)
    listed = read_member_list(estate, name)
    view.show_list(listed, provisioned=_provisioned(listed.cooperative, estate=estate), output=output)


@member.command(epilog="Example: coopctl member show rice-processing m-0007")
@options.name
@options.member_id
@options.estate
@options.output
def show(*, name: str, member_id: str, estate_path: Path | None, output: str) -> None:
    """Show one member of the cooperative NAME: what is known of it, and what it has in the database."""
    from cli import wiring
    from cli.views import member as view
    from provisioner.descriptor.member_list import read_member_list

    estate = wiring.open_estate(estate_path)
    listed = read_member_list(estate, name)
    found = listed.member(member_id)
    view.show_one(listed, found, provisioned=_provisioned(listed.cooperative, estate=estate), output=output)


@member.command(epilog="Example: coopctl member add rice-processing --id m-0521 --name '회원사 521' --employees 9")
@options.name
@click.option("--id", "member_id", help="Its id: unique, lower-case letters, digits, hyphens.")
@click.option("--name", "display_name", help="What the firm is called.")
@click.option("--employees", type=click.IntRange(1), help="How many people work there.")
@click.option("--registration-number", metavar="NUMBER", help="Its business registration number (000-00-00000).")
@click.option(
    "--file",
    "more",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Add every member of this CSV file instead of one.",
)
@options.estate
@options.output
def add(
    *,
    name: str,
    member_id: str | None,
    display_name: str | None,
    employees: int | None,
    registration_number: str | None,
    more: Path | None,
    estate_path: Path | None,
    output: str,
) -> None:
    """Add one member, or all of a file, to the list of the cooperative NAME; what is in the list stays as it is.

    On a terminal it asks for what is missing. An id that is there already is refused. `coopctl apply NAME` then gives
    the new members what they need in the database.
    """
    from cli import wiring
    from cli.asking import complete_member
    from cli.views import member as view
    from provisioner.descriptor.member_list import add_members

    one = (member_id, display_name, employees, registration_number)
    if more is not None and any(given is not None for given in one):
        raise UsageError("--file and the options of one member exclude each other", hint="give one or the other")
    added = (complete_member(*one),) if more is None else _read(more)
    listed = add_members(wiring.open_estate(estate_path), name, added)
    view.show_added(listed, added, output=output)


@member.command(epilog="Example: coopctl member remove rice-processing m-0007")
@options.name
@options.member_id
@options.yes
@options.estate
@options.output
def remove(*, name: str, member_id: str, yes: bool, estate_path: Path | None, output: str) -> None:
    """Take a member off the list of the cooperative NAME; nothing in the database changes before the next apply.

    `coopctl apply NAME` then takes its role away. If it has data, apply refuses until it is told what becomes of them.
    """
    from cli import wiring
    from cli.views import confirm
    from cli.views import member as view
    from provisioner.descriptor.member_list import read_member_list, remove_member

    estate = wiring.open_estate(estate_path)
    listed = read_member_list(estate, name)
    found = listed.member(member_id)
    confirm.ask(view.question(listed, found), yes=yes)
    view.show_removed(remove_member(estate, name, member_id), found, output=output)


def _read(more: Path) -> "Sequence[Member]":
    """The members in a file; raises NotFound, InvalidDescriptor with every problem, UsageError if there is none."""
    from provisioner.descriptor.loading import invalid
    from provisioner.descriptor.members import read_file

    if not more.exists():
        raise NotFound(f"there is no file {more}")
    read = read_file(more)
    if not read.complete:
        raise invalid(read.problems)
    if not read.members:
        raise UsageError(f"{more} lists no member", hint="its first line is: id,name,employees")
    return read.members


def _provisioned(cooperative: "Cooperative", *, estate: "Estate") -> "Provisioned":
    import os

    from cli import wiring
    from provisioner.operations.members import open_postgres, read_provisioned

    platform = wiring.open_platform(estate)
    return read_provisioned(cooperative, platform=platform, admin=open_postgres(platform, environment=os.environ))
