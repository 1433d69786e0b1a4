"""Pure: the plan of a member's slice: what becomes of every table, which references are followed, which are cut.

A row of the slice that refers to a shared row takes it along, and so on. A reference to what is not the member's is
cut: the column is NULL in the slice. Where it may not be NULL, such a row refuses the slice.

The fingerprint is one of decisions, as that of a whole migration: it changes with the request, the servers or the
schema, and stays the same while rows come and go.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provisioner.migration.postgres_facts import TableName
from provisioner.migration.redaction import Json
from provisioner.migration.slice_classifying import (
    KEPT,
    OWN,
    SlicedTable,
    SliceRequest,
    Treatment,
    classify,
    member_prefixes,
)
from provisioner.migration.slice_facts import ForeignKey, Relation, SliceFacts


@dataclass(frozen=True, kw_only=True)
class Cut:
    """References that are not followed unless they lead to a row of the slice; ``column`` becomes NULL.

    ``column`` is None where none of the foreign key's may. ``always``: they lead to what is left altogether.
    """

    key: ForeignKey
    column: str | None
    always: bool


@dataclass(frozen=True, kw_only=True)
class SliceSides:
    """Where the slice comes from and goes to, in words, and the prefixes of the bucket that go along."""

    source: str
    target: str
    source_bucket: str
    target_bucket: str


@dataclass(frozen=True, kw_only=True)
class SlicePlan:
    """What becomes of every table; ``relations`` are the kept ones, ``followed`` lead to shared rows.

    ``constraints`` are all foreign keys between kept tables, ``plain`` all tables without partitions.
    """

    migration: str
    request: SliceRequest
    sides: SliceSides
    tables: tuple[SlicedTable, ...]
    relations: Mapping[TableName, Relation]
    plain: frozenset[TableName]
    constraints: tuple[ForeignKey, ...]
    followed: tuple[ForeignKey, ...]
    cuts: tuple[Cut, ...]
    prefixes: tuple[str, ...]

    @property
    def kept(self) -> tuple[SlicedTable, ...]:
        """The tables of which rows go along."""
        return tuple(one for one in self.tables if one.treatment in KEPT)

    @property
    def own(self) -> tuple[SlicedTable, ...]:
        """The tables that hold rows of the member: what an erasure takes them from."""
        return tuple(one for one in self.tables if one.treatment in OWN)

    @property
    def refused(self) -> tuple[SlicedTable, ...]:
        """The tables that nobody knows how to treat."""
        return tuple(one for one in self.tables if one.treatment is Treatment.REFUSED)

    @property
    def distrusted(self) -> tuple[ForeignKey, ...]:
        """The foreign keys that must be followed and cannot be, without running a tenant's code."""
        return tuple(one for one in (*self.followed, *(cut.key for cut in self.cuts)) if not one.trusted)

    @property
    def schemas(self) -> tuple[str, ...]:
        """The schemas with tables that go along, sorted."""
        return tuple(sorted({one.name.schema for one in self.kept}))

    def counts(self) -> dict[str, int]:
        """How many tables there are of each treatment."""
        found = Counter(one.treatment for one in self.tables)
        return {str(one): found[one] for one in Treatment}

    @property
    def fingerprint(self) -> str:
        """A digest of all decisions: 64 hex digits."""
        return hashlib.sha256(json.dumps(self._decided(), sort_keys=True).encode()).hexdigest()

    def _decided(self) -> list[Json]:
        sides = self.sides
        return [
            [self.migration, self.request.member, self.request.key, *self.prefixes],
            [sides.source, sides.target, sides.source_bucket, sides.target_bucket],
            [[str(one.name), str(one.treatment), one.owner_column, *map(str, one.path)] for one in self.tables],
            [[str(name), *_columns(relation)] for name, relation in sorted(self.relations.items())],
            [f"{one}" for one in self.followed],
            [f"{one.key}: {one.column}" for one in self.cuts],
        ]


def plan_slice(migration: str, *, facts: SliceFacts, request: SliceRequest, sides: SliceSides) -> SlicePlan:
    """The plan of the slice that ``request`` asks for of the database with these ``facts``."""
    tables = classify(facts, request)
    treatments = {one.name: one for one in tables}
    keys = [one for one in facts.foreign_keys if treatments[one.child].treatment in KEPT]
    return SlicePlan(
        migration=migration,
        request=request,
        sides=sides,
        tables=tables,
        relations={one.name: facts.relations[one.name] for one in tables if one.treatment in KEPT},
        plain=frozenset(name for name, one in facts.relations.items() if not one.partitioned),
        constraints=tuple(one for one in keys if treatments[one.parent].treatment in KEPT),
        followed=tuple(one for one in keys if treatments[one.parent].treatment is Treatment.REFERENCED),
        cuts=tuple(_cuts(keys, treatments=treatments, facts=facts, request=request)),
        prefixes=member_prefixes(request),
    )


def as_slice_document(plan: SlicePlan) -> dict[str, Json]:
    """The plan as JSON."""
    sides = plan.sides
    return {
        "migration": plan.migration,
        "member": plan.request.member,
        "key": plan.request.key,
        "layout": "column" if plan.request.member_column else "schema",
        "fingerprint": plan.fingerprint,
        "source": sides.source,
        "target": sides.target,
        "sourceBucket": sides.source_bucket,
        "targetBucket": sides.target_bucket,
        "prefixes": list(plan.prefixes),
        "tables": [
            {
                "name": str(one.name),
                "treatment": str(one.treatment),
                "why": one.why,
                "path": [*(one_key for key in one.path for one_key in key.columns), one.owner_column]
                if one.treatment is Treatment.FILTERED
                else [],
            }
            for one in plan.tables
        ],
        "cut": [{"reference": str(one.key), "column": one.column} for one in plan.cuts],
    }


def _columns(relation: Relation) -> Iterator[str]:
    return (f"{column.name} {column.type}" for column in relation.facts.columns)


def _cuts(
    keys: list[ForeignKey],
    *,
    treatments: Mapping[TableName, SlicedTable],
    facts: SliceFacts,
    request: SliceRequest,
) -> Iterator[Cut]:
    for key in keys:
        child, parent = treatments[key.child], treatments[key.parent]
        if parent.treatment is Treatment.REFERENCED or _always_within(key, child=child, parent=parent, request=request):
            continue
        kept = parent.treatment in OWN
        yield Cut(key=key, column=_severed(key, child=child, relation=facts.relations[key.child]), always=not kept)


def _always_within(key: ForeignKey, *, child: SlicedTable, parent: SlicedTable, request: SliceRequest) -> bool:
    """Whether a row of the child in the slice can refer to nothing but rows of the slice."""
    if (child.treatment, parent.treatment) != (Treatment.FILTERED, Treatment.FILTERED):
        return parent.treatment is Treatment.TAKEN
    if child.path[:1] == (key,):
        return (parent.path, parent.owner_column) == (child.path[1:], child.owner_column)
    same_name = request.called_in(child.owner_column) == request.called_in(parent.owner_column)
    pairs = {(one.column, one.parent_column) for one in key.pairs}
    return not (child.path or parent.path) and same_name and (child.owner_column, parent.owner_column) in pairs


def _severed(key: ForeignKey, *, child: SlicedTable, relation: Relation) -> str | None:
    """The column that becomes NULL: of several the last one that may be, and that does not say whose the row is."""
    needed = {child.owner_column} if not child.path else set(child.path[0].columns)
    return next((one for one in reversed(key.columns) if not relation.requires(one) and one not in needed), None)
