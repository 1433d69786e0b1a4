"""Pure: the steps of a migration, as a closed union of values; planning decides which ones there are.

Each bears its name (in the journal and in JSON; at most once in a plan), its phase, and says in words what it does.

A step says what is decided: names, routes, amounts that no application changes. How many bytes there are today stands
beside it in the plan, so that a plan stays the same while people work.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar, TypeAlias

from provisioner.migration.journal_entries import Phase
from provisioner.migration.postgres_facts import TableName
from provisioner.migration.postgres_preflight import Mode
from provisioner.migration.redaction import Json

Tables: TypeAlias = tuple[TableName, ...]


@dataclass(frozen=True, kw_only=True)
class SurveySides:
    """Look at both databases and both buckets; nothing is changed."""

    NAME: ClassVar[str] = "survey"
    PHASE: ClassVar[Phase] = Phase.SURVEY

    source: str
    target: str
    source_bucket: str
    target_bucket: str

    @property
    def words(self) -> str:
        """For people."""
        return f"look at {self.source} and {self.target}, and at both buckets"


@dataclass(frozen=True, kw_only=True)
class JudgeSides:
    """Decide how each table goes, and find what stands in the way."""

    NAME: ClassVar[str] = "judge"
    PHASE: ClassVar[Phase] = Phase.PREFLIGHT

    mode: Mode

    @property
    def words(self) -> str:
        """For people."""
        return f"decide how each table goes ({self.mode}), and find every problem"


@dataclass(frozen=True, kw_only=True)
class PublishTables:
    """Give tables a replica identity that works (``altered`` get another one), and publish them on the source."""

    NAME: ClassVar[str] = "publish"
    PHASE: ClassVar[Phase] = Phase.PREPARE

    tables: Tables
    altered: Tables

    @property
    def words(self) -> str:
        """For people."""
        changed = f", {len(self.altered)} of them with another replica identity" if self.altered else ""
        return f"publish {_count(self.tables)} on the source{changed}"


@dataclass(frozen=True, kw_only=True)
class CopyTables:
    """Make the slot and copy the tables inside its snapshot; ``as_text`` are those whose binary form does not move."""

    NAME: ClassVar[str] = "tables"
    PHASE: ClassVar[Phase] = Phase.COPY

    tables: Tables
    as_text: Tables

    @property
    def words(self) -> str:
        """For people."""
        text = f", {len(self.as_text)} of them as text" if self.as_text else ""
        return f"copy {_count(self.tables)} inside one snapshot{text}"


@dataclass(frozen=True, kw_only=True)
class FollowSource:
    """Let the target's server apply every further change."""

    NAME: ClassVar[str] = "follow"
    PHASE: ClassVar[Phase] = Phase.FOLLOW

    subscription: str

    @property
    def words(self) -> str:
        """For people."""
        return "let the target apply every further change"


@dataclass(frozen=True, kw_only=True)
class CopyObjects:
    """Copy every version of every object, then what changed meanwhile, until a pass finds nothing."""

    NAME: ClassVar[str] = "objects"
    PHASE: ClassVar[Phase] = Phase.COPY

    source_bucket: str
    target_bucket: str

    @property
    def words(self) -> str:
        """For people."""
        return f"copy all objects from {self.source_bucket} to {self.target_bucket}"


@dataclass(frozen=True, kw_only=True)
class RehearseVerification:
    """Compare both sides while people work; what is written from here on is remembered."""

    NAME: ClassVar[str] = "rehearse-verification"
    PHASE: ClassVar[Phase] = Phase.VERIFY

    tables: Tables

    @property
    def words(self) -> str:
        """For people."""
        return f"compare {_count(self.tables)} and all objects while people work"


@dataclass(frozen=True, kw_only=True)
class CloseFence:
    """Keep the applications out of the source: the outage begins."""

    NAME: ClassVar[str] = "fence"
    PHASE: ClassVar[Phase] = Phase.CUTOVER

    database: str
    bucket: str

    @property
    def words(self) -> str:
        """For people."""
        return f"keep the applications out of {self.database} and {self.bucket}: the outage begins"


@dataclass(frozen=True, kw_only=True)
class DrainStream:
    """Wait until the target has applied the source's last commit."""

    NAME: ClassVar[str] = "drain"
    PHASE: ClassVar[Phase] = Phase.CUTOVER

    slot: str

    @property
    def words(self) -> str:
        """For people."""
        return "wait until the target has applied the last commit"


@dataclass(frozen=True, kw_only=True)
class CopyBehindFence:
    """Copy what no stream carries; ``whole`` says that the schema and everything else go now, too."""

    NAME: ClassVar[str] = "tables-behind-fence"
    PHASE: ClassVar[Phase] = Phase.CUTOVER

    tables: Tables
    whole: bool

    @property
    def words(self) -> str:
        """For people."""
        if self.whole:
            return f"copy the schema and {_count(self.tables)}"
        return f"copy {_count(self.tables)} that no stream carries"


@dataclass(frozen=True, kw_only=True)
class CarryRest:
    """Bring sequences, large objects and materialised views over."""

    NAME: ClassVar[str] = "rest"
    PHASE: ClassVar[Phase] = Phase.CUTOVER

    large_objects: bool

    @property
    def words(self) -> str:
        """For people."""
        return f"carry sequences, {'large objects, ' if self.large_objects else ''}materialised views"


@dataclass(frozen=True, kw_only=True)
class LastObjects:
    """Copy the objects that were written since the last pass."""

    NAME: ClassVar[str] = "last-objects"
    PHASE: ClassVar[Phase] = Phase.CUTOVER

    target_bucket: str

    @property
    def words(self) -> str:
        """For people."""
        return f"copy what was written last to {self.target_bucket}"


@dataclass(frozen=True, kw_only=True)
class VerifySides:
    """Compare both sides while nobody writes; only a clean report opens the next step."""

    NAME: ClassVar[str] = "verify"
    PHASE: ClassVar[Phase] = Phase.CUTOVER

    tables: Tables
    changed_only: bool

    @property
    def words(self) -> str:
        """For people."""
        return f"verify {'what was written since the rehearsal' if self.changed_only else 'everything'}"


@dataclass(frozen=True, kw_only=True)
class TurnAround:
    """Take the forward stream away and make the way back: from now on the target's changes are remembered."""

    NAME: ClassVar[str] = "turn-around"
    PHASE: ClassVar[Phase] = Phase.CUTOVER

    relayed: bool

    @property
    def words(self) -> str:
        """For people."""
        return f"remember the target's changes for the way back{', relayed by coopctl' if self.relayed else ''}"


@dataclass(frozen=True, kw_only=True)
class OpenTarget:
    """Let the applications write on the target: the outage ends."""

    NAME: ClassVar[str] = "open"
    PHASE: ClassVar[Phase] = Phase.CUTOVER

    target: str

    @property
    def words(self) -> str:
        """For people."""
        return f"let the applications in at {self.target}: the outage ends"


@dataclass(frozen=True, kw_only=True)
class Finalise:
    """Give up the way back, ``keep_source_days`` after the switch at the latest; the final dump is kept longer."""

    NAME: ClassVar[str] = "finalise"
    PHASE: ClassVar[Phase] = Phase.FINALISE

    keep_source_days: float
    keep_dump_days: float

    @property
    def words(self) -> str:
        """For people."""
        return f"give up the way back, {self.keep_source_days:g} days after the switch at the latest"


Step: TypeAlias = (
    SurveySides
    | JudgeSides
    | PublishTables
    | CopyTables
    | FollowSource
    | CopyObjects
    | RehearseVerification
    | CloseFence
    | DrainStream
    | CopyBehindFence
    | CarryRest
    | LastObjects
    | VerifySides
    | TurnAround
    | OpenTarget
    | Finalise
)
"""Whatever a plan can hold."""


def as_document(step: Step) -> dict[str, Json]:
    """The step as JSON, with its name and phase."""
    fields: dict[str, Json] = {_camel(name): _plain(value) for name, value in asdict(step).items()}
    return {"name": step.NAME, "phase": str(step.PHASE), "does": step.words, **fields}


def _count(tables: Tables) -> str:
    return f"{len(tables)} table{'' if len(tables) == 1 else 's'}"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _plain(value: object) -> Json:
    """Tables as SQL has them: quoted where they must be."""
    if isinstance(value, dict):
        return str(TableName(**value))
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    raise AssertionError(f"a step holds {type(value)}")
