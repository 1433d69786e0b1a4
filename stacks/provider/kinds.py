"""What every kind of resource has in common: its fields, what may change in place, and how a difference is named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.datastore.marks import Mark
from provisioner.datastore.objects import ObjectsAdmin
from provisioner.datastore.postgres import PostgresAdmin
from provisioner.errors import NotFound, PolicyViolated, ProblemsFound
from stacks.provider.properties import UNKNOWN, Plain, Properties, State

DEVIATIONS = "deviations"
ROTATION = "rotation"
MARK_DEVIATION = "the ownership mark is missing or another's"
KEPT_DEVIATION = "is closed and marked as kept from an earlier destroy"
DUMPED_DEVIATION = "is closed, for the final dump of a destroy that was cut off"


class Elsewhere(Protocol):
    """The servers that a data store has moved to; all methods raise what servers raise."""

    def set_password(self, role: str, password: Secret) -> None:
        """Give the role this password; nothing is done where there is no such role."""

    def replace_key(self, identity: str, *, known: str | None) -> AccessKey | None:
        """Give the identity a new access key in the place of all others; None where the server cannot be asked to.

        ``known`` is the id of the one that is in use: it goes last.
        """


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The servers that a provider process works on, and for whom; data that bear ``final_dump`` may be deleted.

    ``elsewhere`` is where the data store has moved to for good, if a document says how to reach it.
    """

    mark: Mark
    postgres: PostgresAdmin
    objects: ObjectsAdmin
    allowed_extensions: tuple[str, ...]
    final_dump: str = ""
    elsewhere: Elsewhere | None = None


class Change(Enum):
    """How a field's difference is mended."""

    UPDATE = "update"
    REPLACE = "replace"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The properties of a type of resource.

    ``replaced_by``: fields that only a new resource can have. ``protected``: fields that cannot change at all, since
    replacing would lose data. ``generated``: outputs that are unknown until the resource exists; ``secrets`` of them.
    Where a field of ``renewed_by`` differs, they are made anew.
    """

    fields: tuple[str, ...]
    replaced_by: frozenset[str] = frozenset()
    protected: frozenset[str] = frozenset()
    generated: tuple[str, ...] = ()
    secrets: frozenset[str] = frozenset()
    renewed_by: frozenset[str] = frozenset()


class Kind(Protocol):
    """One type of resource. States hold all fields as the server has them, so that drift is a difference."""

    @property
    def shape(self) -> Shape:
        """Its properties."""

    def identifier(self, inputs: Properties) -> str:
        """The id in Pulumi's state: the name on the server."""

    def problems(self, inputs: Properties, *, stores: Stores) -> Sequence[tuple[str, str]]:
        """Fields with values that cannot be, and why; unknown values are no problem."""

    def create(self, inputs: Properties, *, stores: Stores) -> State:
        """Make or adopt it; gives its state."""

    def read(self, state: Properties, *, stores: Stores) -> State | None:
        """The state as it is on the server, or None if it is gone."""

    def update(self, state: Properties, inputs: Properties, *, stores: Stores) -> State:
        """Bring it to ``inputs``; gives its state."""

    def delete(self, state: Properties, *, stores: Stores) -> None:
        """Delete it, or keep it marked where that would lose data."""


def differences(kind: Kind, *, state: Properties, inputs: Properties) -> Mapping[str, Change]:
    """Exactly the fields that differ, and how each is mended; deviations are a field too.

    Raises PolicyViolated where a protected field differs.
    """
    found: dict[str, Change] = {}
    for name in kind.shape.fields:
        if _same(state.get(name), inputs.get(name)):
            continue
        if name in kind.shape.protected:
            raise PolicyViolated(
                f"{kind.identifier(state)}: {name} cannot change from {state.get(name)!r} to {inputs.get(name)!r}",
                why="a database or bucket is never replaced: its data would be lost",
                hint="keep the cooperative's name and the platform's id, or move the data by a migration",
            )
        found[name] = Change.REPLACE if name in kind.shape.replaced_by else Change.UPDATE
    if state.get(DEVIATIONS):
        found[DEVIATIONS] = Change.UPDATE
    return found


def renews(kind: Kind, *, state: Properties, inputs: Properties) -> bool:
    """Whether the inputs ask for other credentials than the state has."""
    return any(not _same(state.get(name), inputs.get(name)) for name in kind.shape.renewed_by)


def rotation(inputs: Properties) -> dict[str, Plain]:
    """How often the credentials were changed, as a property; it is absent where they never were."""
    found = number(inputs.get(ROTATION), default=0)
    return {ROTATION: found} if found else {}


def elsewhere(stores: Stores, *, what: str) -> Elsewhere:
    """Where the data store has moved to. Raises NotFound if nothing says how to reach it."""
    if stores.elsewhere is None:
        raise NotFound(
            f"the credentials of {what} cannot be changed where its data store lives",
            why="the migration that moved it is not in the estate any more, or handed it over to an estate of its own",
            hint="bring its document in migrations/ back, with the target's credentials; what was handed over is taken"
            " away here by `coopctl destroy`",
        )
    return stores.elsewhere


def mark_deviations(found: Mark | None, *, own: Mark) -> list[Plain]:
    """Deviations of the mark on the server: another's, or one that says that the thing was closed."""
    if found is None or not own.owns(found):
        return [MARK_DEVIATION]
    return [*([KEPT_DEVIATION] if found.retained else []), *([DUMPED_DEVIATION] if found.dump else [])]


def may_delete_data(found: Mark | None, *, stores: Stores, what: str) -> bool:
    """Whether the contents of ``what``, which bears the mark ``found``, may be deleted: a final dump holds them.

    Raises ProblemsFound where it was opened again since that dump.
    """
    if not stores.final_dump:
        return False
    if found is not None and found.dump != stores.final_dump:
        raise ProblemsFound(
            f"{what} is not deleted: it was opened again since the final dump {stores.final_dump}",
            hint="run the same command again: it makes a new dump",
        )
    return True


def required(name: str, value: Plain) -> list[tuple[str, str]]:
    """A problem where a text is missing."""
    return (
        [] if value is UNKNOWN or (isinstance(value, str) and value) else [(name, "must be a text that is not empty")]
    )


def text(value: Plain) -> str:
    """The value as a text."""
    return value if isinstance(value, str) else ""


def number(value: Plain, *, default: int) -> int:
    """The value as a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def texts(value: Plain) -> tuple[str, ...]:
    """The value as texts, in alphabetical order."""
    return tuple(sorted(text(one) for one in value)) if isinstance(value, list) else ()


def text_map(value: Plain) -> dict[str, str]:
    """The value as a mapping of texts."""
    return {name: text(one) for name, one in sorted(value.items())} if isinstance(value, dict) else {}


def _same(one: Plain, other: Plain) -> bool:
    return _normal(one) == _normal(other)


def _normal(value: Plain) -> object:
    # Absent, empty and null say the same; lists of names have no order.
    if isinstance(value, list):
        return sorted(map(str, value)) or None
    if isinstance(value, dict):
        return dict(value) or None
    return None if value == "" else value
