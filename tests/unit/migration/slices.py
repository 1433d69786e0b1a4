"""The smallest databases that show one behaviour of a slice each, as facts."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from provisioner.catalogue.data_map import DataMap
from provisioner.migration.postgres_facts import ColumnFacts, TableFacts, TableName
from provisioner.migration.slice_classifying import SliceRequest
from provisioner.migration.slice_facts import ColumnKind, ForeignKey, KeyPair, Relation, SliceFacts
from provisioner.migration.slice_planning import SlicePlan, SliceSides, plan_slice

SIDES = SliceSides(source="here", target="there", source_bucket="ours", target_bucket="theirs")


def named(text: str) -> TableName:
    """A table of the schema public, or of the one before the first dot."""
    schema, _, name = text.rpartition(".")
    return TableName(schema=schema or "public", name=name)


def relation(name: str, columns: str = "id firm", **changes: Any) -> Relation:
    """A table with whole numbers; a column with ``!`` is never NULL, one with ``:text`` holds text."""
    parts = [column.rstrip("!").partition(":") for column in columns.split()]
    required = {column.rstrip("!").partition(":")[0] for column in columns.split() if column.endswith("!")}
    kinds = {column: kind or "integer" for column, _, kind in parts}
    facts = TableFacts(
        name=named(name),
        pages=1,
        bytes=8192,
        rows=1,
        columns=tuple(ColumnFacts(name=column, type=kind) for column, kind in kinds.items()),
    )
    values: dict[str, Any] = {
        "facts": facts,
        "owner": "rice_owner",
        "kinds": {column: ColumnKind(base=kind, required=column in required) for column, kind in kinds.items()},
    }
    return Relation(**{**values, **changes})


def key(child: str, columns: str, parent: str, *, trusted: bool = True, name: str = "") -> ForeignKey:
    """``columns`` of ``child`` refer to the columns ``id`` of ``parent``."""
    return ForeignKey(
        name=name or f"{child}_{columns}".replace(" ", "_"),
        child=named(child),
        parent=named(parent),
        on=named(child),
        to=named(parent),
        pairs=tuple(KeyPair(column=one, parent_column="id", trusted=trusted) for one in columns.split()),
        definition=f"FOREIGN KEY ({columns}) REFERENCES {parent}(id)",
    )


def facts(*relations: Relation, keys: tuple[ForeignKey, ...] = ()) -> SliceFacts:
    """A database."""
    return SliceFacts(relations={one.name: one for one in relations}, foreign_keys=keys)


def data_map(
    members: Mapping[str, tuple[str, ...]] | None = None,
    shared: tuple[str, ...] = (),
    *,
    member_objects: tuple[str, ...] = (),
    shared_objects: tuple[str, ...] = (),
) -> DataMap:
    """What a solution says."""
    return DataMap(
        source=Path("data-map.yaml"),
        members=MappingProxyType(dict(members or {})),
        shared=frozenset(shared),
        member_objects=member_objects,
        shared_objects=shared_objects,
    )


def request(*maps: DataMap, layout: str = "column", member: str = "m-7", called: str = "7") -> SliceRequest:
    """The slice of the member m-7, whom tables call 7."""
    return SliceRequest(
        member=member,
        key=called,
        schema="member_m_7",
        member_column="member_id" if layout == "column" else "",
        maps={f"solution-{number}": one for number, one in enumerate(maps)},
    )


def planned(of: SliceFacts, asked: SliceRequest) -> SlicePlan:
    """The plan."""
    return plan_slice("m-7-out", facts=of, request=asked, sides=SIDES)


def treatments(of: SliceFacts, asked: SliceRequest) -> dict[str, str]:
    """What becomes of each table."""
    return {f"{one.name.schema}.{one.name.name}": str(one.treatment) for one in planned(of, asked).tables}


def why(of: SliceFacts, asked: SliceRequest, table: str) -> str:
    """The reason for what becomes of a table."""
    [found] = [one.why for one in planned(of, asked).tables if one.name == named(table)]
    return found
