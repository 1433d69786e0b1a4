"""What happens while a stack is worked on, as frozen values: a closed union for progress and NDJSON."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Operation(StrEnum):
    """What is done, or would be done, to a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    SAME = "same"
    READ = "read"


class Verb(StrEnum):
    """What is done to a stack."""

    PLAN = "plan"
    APPLY = "apply"
    STATUS = "status"
    REFRESH = "refresh"
    DESTROY = "destroy"
    PROVE = "prove"


class Severity(StrEnum):
    """How much a message matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class StackStarted:
    """Work on a stack begins."""

    stack: str
    verb: Verb


@dataclass(frozen=True, kw_only=True)
class StackFinished:
    """Work on a stack has ended, well or (with the reason) not."""

    stack: str
    verb: Verb
    failure: str | None = None


@dataclass(frozen=True, kw_only=True)
class ResourceStarted:
    """An operation on a resource begins."""

    stack: str
    resource: str
    type: str
    operation: Operation


@dataclass(frozen=True, kw_only=True)
class ResourceDone:
    """An operation on a resource has ended well."""

    stack: str
    resource: str
    type: str
    operation: Operation


@dataclass(frozen=True, kw_only=True)
class ResourceFailed:
    """An operation on a resource has failed; messages about the resource say why."""

    stack: str
    resource: str
    type: str
    operation: Operation


@dataclass(frozen=True, kw_only=True)
class Attempted:
    """An attempt on a tenant's isolation was made; ``verdict`` says in words how it ended."""

    stack: str
    attempt: str
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """Something that people should know; ``resource`` is empty if it is about the whole stack."""

    stack: str
    severity: Severity
    text: str
    resource: str = ""


Event = StackStarted | StackFinished | ResourceStarted | ResourceDone | ResourceFailed | Attempted | Message
Report = Callable[[Event], None]


def unheard(event: Event) -> None:
    """A report that nobody listens to."""
    del event


def only_looking(report: Report) -> Report:
    """``report`` of work that does nothing: what is found gone, or there anew, was not deleted or made by it."""

    def tell(event: Event) -> None:
        if not isinstance(event, ResourceStarted | ResourceDone):
            report(event)

    return tell
