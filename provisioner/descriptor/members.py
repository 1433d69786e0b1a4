"""A cooperative's member companies, from a CSV file or an inline list: ids unique, every problem with its line."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic_core import PydanticCustomError

from provisioner.descriptor.cooperative import Member
from provisioner.descriptor.cooperative_document import InlineMember
from provisioner.descriptor.fields import DISPLAY_MAX, Plain, display_text, hides_text, integer, shown, slug
from provisioner.descriptor.nodes import MappingNode, Node, ScalarNode, SequenceNode, location
from provisioner.descriptor.registration_number import registration_number, written_out
from provisioner.descriptor.suggestions import did_you_mean
from provisioner.descriptor.text import MEMBERS_MAX_BYTES, read_text
from provisioner.errors import Diagnostic, Location, Severity

COLUMNS = ("id", "name", "employees")
REGISTRATION_NUMBER = "registration_number"
ALL_COLUMNS = (*COLUMNS, REGISTRATION_NUMBER)
SMALL_FIRM_EMPLOYEES = 50
PROBLEMS_MAX = 100
_PATH = "spec.members"
_PLAIN_ROW = r'^([a-z0-9](?:[-a-z0-9]{0,38}[a-z0-9])?),([^",\s](?:[^",\n]*[^",\s])?),([1-9][0-9]{0,5})'
_PLAIN_ROWS = {
    ",".join(COLUMNS): re.compile(rf"{_PLAIN_ROW}()$", re.MULTILINE),
    ",".join(ALL_COLUMNS): re.compile(rf"{_PLAIN_ROW},([0-9]{{3}}-?[0-9]{{2}}-?[0-9]{{5}}|)$", re.MULTILINE),
}
employees_number = integer(least=1, most=1_000_000)


@dataclass(frozen=True, kw_only=True)
class MembersRead:
    """The members that could be read, and every problem; ``complete`` is false if some could not."""

    members: tuple[Member, ...] = ()
    problems: tuple[Diagnostic, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether no member is missing."""
        return all(problem.severity is Severity.WARNING for problem in self.problems)


def members_of(node: Node | None, *, estate_root: Path) -> MembersRead:
    """Read the members that ``node`` (spec.members) lists or names a file of.

    What is wrong with the node's own form is left to the document's model.
    """
    if isinstance(node, MappingNode) and isinstance(file := node.fields.get("file"), ScalarNode) and file.text:
        return _from_file(file, estate_root=estate_root)
    if isinstance(node, SequenceNode):
        return MembersRead(members=tuple(_inline(node)))
    return MembersRead()


def inline_members(listed: Sequence[InlineMember], *, node: Node) -> MembersRead:
    """The members of an inline list that the document's model has accepted."""
    items = node.items if isinstance(node, SequenceNode) else ()
    reading = _Reading(file=node.file)
    for member, item in zip(listed, items, strict=True):
        made = Member(
            id=member.id,
            name=member.name,
            employees=member.employees,
            registration_number=member.registration_number,
        )
        reading.add(made, line=item.line, column=item.column)
    return reading.result(start=location(node))


def _inline(node: SequenceNode) -> Iterator[Member]:
    """What can be counted of a list before it is checked: expressions need the number of members."""
    for item in node.items:
        employees = item.fields.get("employees") if isinstance(item, MappingNode) else None
        known = isinstance(employees, ScalarNode) and employees.text.isdecimal() and len(employees.text) < 8
        yield Member(id="", name="", employees=int(employees.text) if known else 0)  # type: ignore[union-attr]  # known


def _from_file(node: ScalarNode, *, estate_root: Path) -> MembersRead:
    file = member_file(node, estate_root=estate_root)
    return MembersRead(problems=(file,)) if isinstance(file, Diagnostic) else read_file(file)


def member_file(node: ScalarNode, *, estate_root: Path) -> Path | Diagnostic:
    """The file that ``node`` (spec.members.file) names, links followed, or why it cannot be used."""
    try:
        file = (node.file.parent / node.text).resolve()
        inside = file.is_relative_to(estate_root.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        return _refused(node, f"{shown(node.text)} is not a path: {error}")
    if not inside:
        return _refused(
            node, "lies outside the estate", hint="keep members in the estate, for example ../members/NAME.csv"
        )
    if not file.exists():
        return _refused(node, f"{shown(node.text)} does not exist", hint="the path is relative to this document")
    return file


def _refused(node: ScalarNode, message: str, *, hint: str | None = None) -> Diagnostic:
    return Diagnostic(message=message, location=location(node), path=f"{_PATH}.file", hint=hint)


def read_file(file: Path) -> MembersRead:
    """Read the members in the CSV ``file``."""
    content = read_text(file, max_bytes=MEMBERS_MAX_BYTES)
    return MembersRead(problems=content.problems) if content.text is None else read_csv(content.text, file=file)


def read_csv(text: str, *, file: Path) -> MembersRead:
    """Read the members in ``text`` (RFC 4180 with a header line; the last column may be left out)."""
    members = _plain_members(text)
    if members is None:
        return read_csv_by_row(text, file=file)
    lines = {member.id: line for line, member in enumerate(members, start=2)}
    return _Reading(file=file, members=members, lines=lines).result(start=Location(file=file, line=1, column=1))


def _plain_members(text: str) -> list[Member] | None:
    """The members of a file without any quote, problem or oddity, or None: many times as quick as row by row."""
    header, _, body = text.replace("\r\n", "\n").partition("\n")
    pattern = _PLAIN_ROWS.get(header)
    if pattern is None or hides_text(body) or not body.replace("\n", "").isprintable():
        return None
    rows = pattern.findall(body)
    if len(rows) != body.count("\n") + (not body.endswith("\n")) or len({row[0] for row in rows}) != len(rows):
        return None
    if not unicodedata.is_normalized("NFC", body) or any(len(row[1]) > DISPLAY_MAX for row in rows):
        return None
    try:
        return [
            Member(
                id=row[0],
                name=row[1],
                employees=int(row[2]),
                registration_number=registration_number(row[3]) if row[3] else "",
            )
            for row in rows
        ]
    except PydanticCustomError:
        return None


def read_csv_by_row(text: str, *, file: Path) -> MembersRead:
    """Read the members in ``text`` row by row, so that every problem is found."""
    reading = _Reading(file=file, quoted='"' in text)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = Location(file=file, line=1, column=1)
    try:
        header = [name.strip() for name in next(rows, [])]
        if not reading.accept_header(header, where=start):
            return reading.result(start=start)
        order = [header.index(column) for column in ALL_COLUMNS if column in header]
        for row in rows:
            if row and not reading.take(row, order=order, line=rows.line_num):
                break
    except csv.Error as error:
        message, hint = _explained(error)
        reading.problem(message, line=rows.line_num, hint=hint)
    return reading.result(start=start)


def _explained(error: csv.Error) -> tuple[str, str | None]:
    if "field larger than" in str(error):
        return "has a cell that is far too long", "a quote that is not closed swallows all that follows"
    return f"is not CSV: {error}", "a cell with commas, quotes or line breaks stands in quotes, its own quotes doubled"


@dataclass(kw_only=True)
class _Reading:
    file: Path
    quoted: bool = False
    members: list[Member] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)

    def accept_header(self, header: list[str], *, where: Location) -> bool:
        if not header:
            self.problem("is empty", hint="its first line is: id,name,employees")
        elif sorted(header) not in (sorted(COLUMNS), sorted(ALL_COLUMNS)):
            missing = [column for column in ALL_COLUMNS if column not in header]
            unknown = [name for name in header if name not in ALL_COLUMNS]
            hint = next((found for name in unknown if (found := did_you_mean(name, missing))), None)
            message = f"its first line must be id,name,employees, not {shown(','.join(header))}"
            hint = hint or f"a column {REGISTRATION_NUMBER} may be added, and no other"
            self.problem(message, line=where.line, column=where.column, hint=hint)
        return not self.problems

    def take(self, row: list[str], *, order: list[int], line: int) -> bool:
        """Read one row; false once there are too many problems to go on."""
        if len(row) != len(order):
            hint = "quote a name that contains a comma" if len(row) > len(order) else None
            self.problem(f"has {len(row)} columns instead of {len(order)}", line=line, column=1, hint=hint)
        else:
            self._member(row, order=order, line=line)
        if len(self.problems) < PROBLEMS_MAX:
            return True
        self.problem("further lines were not read: too many problems", line=line)
        return False

    def _member(self, row: list[str], *, order: list[int], line: int) -> None:
        index = 0
        try:
            member_id = slug(row[order[0]].strip())
            index = 1
            name = display_text(row[order[1]])
            index = 2
            employees = employees_number(Plain(row[order[2]].strip()))
            index = 3
            number = row[order[3]].strip() if len(order) > index else ""
            registered = registration_number(number) if number else ""
        except PydanticCustomError as error:
            context = error.context or {}
            column = self._column(row, position=order[index])
            self.problem(
                str(context["message"]), line=line, column=column, path=ALL_COLUMNS[index], hint=context.get("hint")
            )
        else:
            column = self._column(row, position=order[0])
            made = Member(id=member_id, name=name, employees=employees, registration_number=registered)
            self.add(made, line=line, column=column)

    def _column(self, row: list[str], *, position: int) -> int:
        """Where a field begins; unknown (0) where quotes have changed the widths."""
        if position == 0:
            return 1
        return 0 if self.quoted else 1 + sum(len(cell) + 1 for cell in row[:position])

    def add(self, member: Member, *, line: int, column: int) -> None:
        if member.id in self.lines:
            message = f"repeats the id {member.id!r} of line {self.lines[member.id]}"
            self.problem(message, line=line, column=column, path="id")
            return
        self.lines[member.id] = line
        self.members.append(member)

    def problem(
        self, message: str, *, line: int = 0, column: int = 0, path: str | None = None, hint: str | None = None
    ) -> None:
        where = Location(file=self.file, line=line, column=column)
        shown_path = f"{_PATH}.{path}" if path else _PATH
        self.problems.append(Diagnostic(message=message, location=where, path=shown_path, hint=hint))

    def result(self, *, start: Location) -> MembersRead:
        return MembersRead(members=tuple(self.members), problems=(*self.problems, *self._warnings(start)))

    def _warnings(self, start: Location) -> Iterator[Diagnostic]:
        yield from self._registered_twice()
        large = [member for member in self.members if member.employees >= SMALL_FIRM_EMPLOYEES]
        if large:
            yield Diagnostic(
                message=f"{len(large)} of {len(self.members)} members have {SMALL_FIRM_EMPLOYEES} employees or more"
                f" (the first is {large[0].id}); the platform is meant for smaller firms",
                location=Location(file=self.file, line=self.lines[large[0].id], column=1),
                path=_PATH,
                severity=Severity.WARNING,
            )
        if not self.members and not self.problems:
            yield Diagnostic(message="lists no member", location=start, path=_PATH, severity=Severity.WARNING)

    def _registered_twice(self) -> Iterator[Diagnostic]:
        first: dict[str, Member] = {}
        for member in self.members:
            other = first.setdefault(member.registration_number, member)
            if member.registration_number and other is not member:
                yield Diagnostic(
                    message=f"{member.id} and {other.id} have the same business registration number"
                    f" {written_out(member.registration_number)}",
                    location=Location(file=self.file, line=self.lines[member.id], column=1),
                    path=f"{_PATH}.{REGISTRATION_NUMBER}",
                    severity=Severity.WARNING,
                    hint="one firm is one member",
                )
