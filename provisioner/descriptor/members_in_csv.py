"""Pure: members added to and taken out of the text of a CSV file; every other character stays as it is."""

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from provisioner.descriptor.cooperative import Member
from provisioner.descriptor.members import REGISTRATION_NUMBER
from provisioner.descriptor.registration_number import written_out


@dataclass(frozen=True, kw_only=True)
class _Record:
    """A record as it is written, with its line's end, and its cells."""

    raw: str
    cells: tuple[str, ...]


def added_to_csv(text: str, members: Sequence[Member]) -> str:
    """``text``, a file that was read without a problem, with ``members`` as its last lines."""
    records = list(_records(text))
    end = "\r\n" if records[0].raw.endswith("\r\n") else "\n"
    columns = [cell.strip() for cell in records[0].cells]
    if REGISTRATION_NUMBER not in columns and any(member.registration_number for member in members):
        records = [
            _widened(record, cell=REGISTRATION_NUMBER if not number else "", end=end)
            for number, record in enumerate(records)
        ]
        columns.append(REGISTRATION_NUMBER)
    made = io.StringIO()
    writer = csv.writer(made, lineterminator=end)
    writer.writerows([[_cells(member)[column] for column in columns] for member in members])
    before = "".join(record.raw for record in records)
    return before + ("" if before.endswith(("\n", "\r")) else end) + made.getvalue()


def taken_from_csv(text: str, ids: Collection[str]) -> str:
    """``text`` without the lines of the members ``ids``."""
    header, *records = _records(text)
    place = [cell.strip() for cell in header.cells].index("id")
    kept = [record.raw for record in records if not record.cells or record.cells[place].strip() not in ids]
    return "".join([header.raw, *kept])


def _records(text: str) -> Iterator[_Record]:
    """The records, as the reader of members splits them."""
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, strict=True)
    begun = 0
    for cells in reader:
        yield _Record(raw="".join(lines[begun : reader.line_num]), cells=tuple(cells))
        begun = reader.line_num


def _widened(record: _Record, *, cell: str, end: str) -> _Record:
    """The record with one more cell; an empty line stays empty."""
    if not record.cells:
        return record
    return _Record(raw=f"{record.raw.rstrip(chr(13) + chr(10))},{cell}{end}", cells=(*record.cells, cell))


def _cells(member: Member) -> dict[str, str]:
    return {
        "id": member.id,
        "name": member.name,
        "employees": str(member.employees),
        REGISTRATION_NUMBER: written_out(member.registration_number),
    }
