"""Pure: whose rows a table holds, and so what becomes of it in a member's slice.

1. What lies in the member's own schema is taken whole; other members' schemas, and the platform's, are left.
2. The data maps of the chosen solutions say of a table that it is members', with the path of columns that leads to
   whose a row is, or that all members share it.
3. Where members share tables, a table that no map speaks of is a member's by what the database's own row security goes
   by: its member column, or the one foreign key by which it belongs to such a table.
4. Of shared tables the rows that the slice refers to are taken along, directly or through others.
5. Whatever is left open is refused, never guessed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from provisioner.catalogue.data_map import MEMBER, Columns, DataMap
from provisioner.datastore.postgres_privileges import PLATFORM_SCHEMA
from provisioner.migration.postgres_facts import TableName
from provisioner.migration.slice_facts import ForeignKey, SliceFacts
from provisioner.naming import MEMBER_SCHEMA_PREFIX, MIGRATION_SCHEMA

INTEGERS: Final = frozenset({"smallint", "integer", "bigint"})
_PLATFORM = frozenset({PLATFORM_SCHEMA, MIGRATION_SCHEMA})
_LONGEST_INTEGER = 18


class Treatment(StrEnum):
    """What becomes of a table: all of its rows go along, the member's, those that others refer to, or none."""

    TAKEN = "taken"
    FILTERED = "filtered"
    REFERENCED = "referenced"
    LEFT = "left"
    REFUSED = "refused"


KEPT: Final = frozenset({Treatment.TAKEN, Treatment.FILTERED, Treatment.REFERENCED})
OWN: Final = frozenset({Treatment.TAKEN, Treatment.FILTERED})


@dataclass(frozen=True, kw_only=True)
class SliceRequest:
    """Whose slice: the ``member`` (an id), what tables call it (``key``), its own schema, and what solutions say.

    ``member_column`` is the one that says whose a row is where members share tables; "" where each has a schema.
    """

    member: str
    key: str
    schema: str
    member_column: str
    maps: Mapping[str, DataMap]

    def called_in(self, column: str) -> str:
        """What a row's ``column`` says of the member: the platform's own says its id, a solution's the key."""
        return self.member if column == self.member_column else self.key


@dataclass(frozen=True, kw_only=True)
class SlicedTable:
    """A table and what becomes of it, with the reason.

    Of a filtered one ``path`` leads over foreign keys to the table whose ``owner_column`` says whose the row is.
    """

    name: TableName
    treatment: Treatment
    why: str
    path: tuple[ForeignKey, ...] = ()
    owner_column: str = ""

    @property
    def owner_table(self) -> TableName:
        """The table with the owner's column."""
        return self.path[-1].parent if self.path else self.name


def classify(facts: SliceFacts, request: SliceRequest) -> tuple[SlicedTable, ...]:
    """Every table of the database with what becomes of it, by name."""
    found = {name: _by_place(name, facts, request) or _by_map(name, facts, request) for name in facts.relations}
    decided = {name: one for name, one in found.items() if one is not None}
    decided |= _by_row_security(facts, request, decided)
    unknown = {name: _refused(name, "no data map of a chosen solution speaks of it") for name in facts.relations}
    return tuple(_checked(one, facts, request) for _, one in sorted((unknown | decided).items()))


def member_prefixes(request: SliceRequest) -> tuple[str, ...]:
    """The prefixes of the bucket below which the member's objects lie, none within another, sorted."""
    found = sorted(
        {one.replace(MEMBER, request.member) for map_ in request.maps.values() for one in map_.member_objects}
    )
    return tuple(one for one in found if not any(one != other and one.startswith(other) for other in found))


def _by_place(name: TableName, facts: SliceFacts, request: SliceRequest) -> SlicedTable | None:
    if name.schema in _PLATFORM:
        return SlicedTable(name=name, treatment=Treatment.LEFT, why="it is the platform's own")
    if name.schema.startswith(MEMBER_SCHEMA_PREFIX) and name.schema != request.schema:
        return SlicedTable(name=name, treatment=Treatment.LEFT, why="it lies in another member's schema")
    if facts.relations[name].foreign:
        return _refused(name, "a partition of it lies on another server")
    if name.schema == request.schema:
        return SlicedTable(name=name, treatment=Treatment.TAKEN, why="it lies in the member's own schema")
    return None


def _by_map(name: TableName, facts: SliceFacts, request: SliceRequest) -> SlicedTable | None:
    speaking = [one for one in request.maps.values() if name.name in one.members or name.name in one.shared]
    if not speaking:
        return None
    if twins := [str(one) for one in facts.relations if one != name and _same_map(one, name, request)]:
        return _refused(name, f"a data map speaks of {name.name}, and {', '.join(twins)} is called so, too")
    paths = {one.members[name.name] for one in speaking if name.name in one.members}
    if len(paths) + any(name.name in one.shared for one in speaking) > 1:
        return _refused(name, "the data maps of the chosen solutions contradict each other")
    if not paths:
        return SlicedTable(name=name, treatment=Treatment.REFERENCED, why="the solution's members share it")
    return _along(name, paths.pop(), facts=facts)


def _same_map(one: TableName, other: TableName, request: SliceRequest) -> bool:
    apart = one.schema == request.schema or one.schema in _PLATFORM or one.schema.startswith(MEMBER_SCHEMA_PREFIX)
    return one.name == other.name and not apart


def _along(name: TableName, columns: Columns, *, facts: SliceFacts) -> SlicedTable:
    """Follow the path of a data map."""
    path: list[ForeignKey] = []
    place = name
    for column in columns[:-1]:
        leading = [one for one in facts.foreign_keys if one.child == place and column in one.columns]
        # A key of this column alone says it best; one of several columns will do if there is no other.
        leading = [one for one in leading if one.columns == (column,)] or leading
        if len({one.parent for one in leading}) != 1:
            return _refused(name, f"{column} of {place} is {'no foreign key' if not leading else 'several of them'}")
        path.append(leading[0])
        place = leading[0].parent
    if columns[-1] not in facts.relations[place].kinds:
        return _refused(name, f"{place} has no column {columns[-1]}")
    return _filtered(name, f"its data map leads by {', '.join(columns)}", path=tuple(path), column=columns[-1])


def _by_row_security(
    facts: SliceFacts, request: SliceRequest, decided: Mapping[TableName, SlicedTable]
) -> dict[TableName, SlicedTable]:
    """Tables that no map speaks of: those with the member column, then whatever belongs to one of these alone."""
    column = request.member_column
    if not column:
        return {}
    open_ones = [name for name in facts.relations if name not in decided]
    found = {
        name: _filtered(name, f"its column {column} says so", path=(), column=column)
        for name in open_ones
        if column in facts.relations[name].kinds
    }
    while more := dict(_belonging(facts, [one for one in open_ones if one not in found], found=found)):
        found |= more
    return found


def _belonging(
    facts: SliceFacts, open_ones: Iterable[TableName], *, found: Mapping[TableName, SlicedTable]
) -> Iterator[tuple[TableName, SlicedTable]]:
    for name in open_ones:
        keys = [one for one in facts.foreign_keys if one.child == name and one.parent in found]
        if len(keys) > 1:
            listed = ", ".join(sorted(str(one.parent) for one in keys))
            yield name, _refused(name, f"it belongs to {listed}, and no data map says by which one it is a member's")
        elif keys and (parent := found[keys[0].parent]).treatment is Treatment.FILTERED:
            yield (
                name,
                replace(parent, name=name, why=f"it belongs to {parent.name}", path=(keys[0], *parent.path)),
            )


def _checked(one: SlicedTable, facts: SliceFacts, request: SliceRequest) -> SlicedTable:
    """Refuse what could not be filtered."""
    if one.treatment is not Treatment.FILTERED:
        return one
    if strange := [each for each in one.path if not each.trusted]:
        return _refused(one.name, f"{strange[0]} compares by a cast or operator of the tenant's own")
    base = facts.relations[one.owner_table].kinds[one.owner_column].base
    if base in INTEGERS and not _is_number(called := request.called_in(one.owner_column)):
        why = f"{one.owner_column} of {one.owner_table} is a number, and {called!r} is none"
        return _refused(one.name, f"{why}: write scope.key into the document")
    return one


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_INTEGER


def _filtered(name: TableName, why: str, *, path: tuple[ForeignKey, ...], column: str) -> SlicedTable:
    return SlicedTable(name=name, treatment=Treatment.FILTERED, why=why, path=path, owner_column=column)


def _refused(name: TableName, why: str) -> SlicedTable:
    return SlicedTable(name=name, treatment=Treatment.REFUSED, why=why)
