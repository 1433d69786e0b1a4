"""The member list of one cooperative as people keep it: a CSV file, or a list in its document; read, and edited.

1. Estate and list are read; a list with problems is not touched.
2. The text is changed, and read again: it must say exactly what was meant, and all else of a document what it said.
3. The file is replaced in one step. Whoever edits beside us waits; who does not ask us is noticed and nothing is lost.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from provisioner.descriptor.checking import plain_data
from provisioner.descriptor.cooperative import Cooperative, Member
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.fields import Plain, display_text, slug
from provisioner.descriptor.loading import check_estate, invalid
from provisioner.descriptor.members import SMALL_FIRM_EMPLOYEES, employees_number, member_file, read_csv
from provisioner.descriptor.members_in_csv import added_to_csv, taken_from_csv
from provisioner.descriptor.members_in_yaml import added_to_yaml, taken_from_yaml
from provisioner.descriptor.nodes import MappingNode, Node, ScalarNode, compose, find
from provisioner.descriptor.registration_number import registration_number, written_out
from provisioner.descriptor.suggestions import did_you_mean
from provisioner.descriptor.text import MEMBERS_MAX_BYTES, decode, read_text
from provisioner.descriptor.writing import replace_file
from provisioner.errors import CoopctlError, Diagnostic, NotFound, UsageError

_SHOWN = 5
_MARK = "\ufeff".encode()


@dataclass(frozen=True, kw_only=True)
class MemberList:
    """A cooperative with its members, the file that holds them (``in_document``: its own document) and warnings."""

    cooperative: Cooperative
    file: Path
    in_document: bool
    warnings: tuple[Diagnostic, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        """The members in the order of the list."""
        return self.cooperative.members

    def member(self, member: str) -> Member:
        """The member with this id; raises NotFound."""
        found = {one.id: one for one in self.members}
        if member not in found:
            hint = did_you_mean(member, list(found)) or f"`coopctl member list {self.cooperative.name}` shows all"
            raise NotFound(f"{self.cooperative.name} has no member {member!r}", hint=hint)
        return found[member]


def read_member_list(estate: Estate, name: str) -> MemberList:
    """The member list of the cooperative ``name``. Raises NotFound, InvalidDescriptor with every problem."""
    found = check_estate(estate, names=(name,))
    cooperatives = [one.cooperative for one in found.resolved if one.cooperative]
    if found.errors or not cooperatives:
        raise invalid(found.problems)
    cooperative = cooperatives[0]
    file = _file_of(cooperative.source, estate=estate)
    warnings = tuple(problem for problem in found.problems if problem.path.startswith("spec.members"))
    return MemberList(cooperative=cooperative, file=file, in_document=file == cooperative.source, warnings=warnings)


def member_of_words(*, member: str, name: str, employees: int, number: str | None) -> Member:
    """A member as it is said on a command line. Raises UsageError that names the option with the wrong value."""
    option = "--id"
    try:
        made_id = slug(member)
        option = "--name"
        made_name = display_text(name)
        option = "--employees"
        made_employees = employees_number(Plain(str(employees)))
        option = "--registration-number"
        made_number = registration_number(number) if number else ""
    except PydanticCustomError as error:
        context = error.context or {}
        raise UsageError(f"{option}: {context['message']}", hint=context.get("hint")) from error
    return Member(id=made_id, name=made_name, employees=made_employees, registration_number=made_number)


def too_large(members: Sequence[Member]) -> tuple[Member, ...]:
    """Those of ``members`` that are no small firms: the platform is not meant for them."""
    return tuple(member for member in members if member.employees >= SMALL_FIRM_EMPLOYEES)


def add_members(estate: Estate, name: str, added: Sequence[Member]) -> MemberList:
    """Add ``added`` at the end of the list; gives the list as it was.

    Raises UsageError if an id or registration number is there already, CoopctlError if the file cannot be edited.
    """
    with _edited(estate, name) as listed:
        _refuse_present(listed, added)
        wanted = (*listed.members, *added)
        if listed.in_document:
            entries = [_as_written(member) for member in added]
            _rewrite(listed, lambda text: added_to_yaml(text, added), expected=lambda before: [*before, *entries])
        else:
            _rewrite_csv(listed, lambda text: added_to_csv(text, added), expected=wanted)
    return listed


def remove_member(estate: Estate, name: str, member: str) -> MemberList:
    """Take the member with the id ``member`` off the list; gives the list as it was. Raises NotFound, CoopctlError."""
    with _edited(estate, name) as listed:
        listed.member(member)
        if listed.in_document:
            _rewrite(
                listed,
                lambda text: taken_from_yaml(text, {member}),
                expected=lambda before: [one for one in before if one["id"] != member],
            )
        else:
            wanted = tuple(one for one in listed.members if one.id != member)
            _rewrite_csv(listed, lambda text: taken_from_csv(text, {member}), expected=wanted)
    return listed


@contextlib.contextmanager
def _edited(estate: Estate, name: str) -> Iterator[MemberList]:
    """The list, while nobody else of ours edits a list of this estate."""
    folder = os.open(estate.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield read_member_list(estate, name)
    finally:
        os.close(folder)


def _refuse_present(listed: MemberList, added: Sequence[Member]) -> None:
    ids = {member.id for member in listed.members}
    twice = [member.id for member in added if member.id in ids]
    if twice:
        shown = ", ".join(twice[:_SHOWN]) + (f" and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else "")
        raise UsageError(
            f"{listed.cooperative.name} has these members already: {shown}",
            hint=f"nothing was changed; edit {listed.file} to change a member",
        )


def _rewrite_csv(listed: MemberList, change: Callable[[str], str], *, expected: tuple[Member, ...]) -> None:
    content = listed.file.read_bytes()
    text = decode(content, file=listed.file, max_bytes=MEMBERS_MAX_BYTES).text
    made = change(text or "")
    if text is None or read_csv(made, file=listed.file).members != expected:
        raise _not_editable(listed)
    _replace(listed, before=content, text=made)


def _rewrite(listed: MemberList, change: Callable[[str], str], *, expected: Callable[[list[Any]], list[Any]]) -> None:
    content = listed.file.read_bytes()
    text = decode(content, file=listed.file).text or ""
    before = _plain(text, file=listed.file)
    made = change(text)
    after = _plain(made, file=listed.file)
    before["spec"]["members"] = expected(before["spec"]["members"])
    if after != before:
        raise _not_editable(listed)
    _replace(listed, before=content, text=made)


def _plain(text: str, *, file: Path) -> Any:
    root = compose(text, file=file).root
    return {} if root is None else plain_data(root)


def _replace(listed: MemberList, *, before: bytes, text: str) -> None:
    if listed.file.read_bytes() != before:
        raise CoopctlError(
            f"{listed.file} was changed meanwhile", hint="nothing was changed; run the same command again"
        )
    replace_file(listed.file, (_MARK if before.startswith(_MARK) else b"") + text.encode())


def _not_editable(listed: MemberList) -> CoopctlError:
    return CoopctlError(
        f"{listed.file} is written in a way that cannot be edited here without changing more",
        hint="nothing was changed; edit it by hand, and check it with `coopctl validate`",
    )


def _as_written(member: Member) -> dict[str, str]:
    made = {"id": member.id, "name": member.name, "employees": str(member.employees)}
    number = written_out(member.registration_number)
    return made | ({"registrationNumber": number} if number else {})


def _file_of(document: Path, *, estate: Estate) -> Path:
    """The file that holds the members of a document without problems."""
    root = compose(read_text(document).text or "", file=document).root
    file = _named(root)
    found = member_file(file, estate_root=estate.root) if file else document
    return document if isinstance(found, Diagnostic) else found


def _named(root: Node | None) -> ScalarNode | None:
    node, found = find(root, ("spec", "members")) if root else (None, False)
    file = node.fields.get("file") if found and isinstance(node, MappingNode) else None
    return file if isinstance(file, ScalarNode) else None
