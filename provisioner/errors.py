"""The one error tree: every failure that coopctl explains has a class here, with an exit code and a hint.

Foreign exceptions are translated where they are met and chained with ``from``.
An exception never prints; cli/failures.py shows it.
"""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final


class ExitCode(IntEnum):
    """The process exit codes, a documented contract (docs/reference/exit-codes.md)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_PERMITTED = 3
    PARTLY_FAILED = 4
    POLICY = 5
    NOT_FOUND = 6
    CANCELLED = 8
    TIMED_OUT = 9
    CHANGES = 10
    PROBLEMS = 11
    INTERRUPTED = 12
    LOCKED = 13


EXIT_CODE_MEANINGS: Final[Mapping[ExitCode, str]] = MappingProxyType(
    {
        ExitCode.DONE: "done",
        ExitCode.FAILED: "failed",
        ExitCode.USAGE: "the command was called wrongly, or a document is invalid",
        ExitCode.NOT_PERMITTED: "not permitted",
        ExitCode.PARTLY_FAILED: "some resources, or some cooperatives of several, failed",
        ExitCode.POLICY: "a policy is violated",
        ExitCode.NOT_FOUND: "what was named does not exist",
        ExitCode.CANCELLED: "cancelled, or answered no",
        ExitCode.TIMED_OUT: "something was not ready in its time",
        ExitCode.CHANGES: "changes are pending, or the world has drifted (only with `--detailed-exitcode`)",
        ExitCode.PROBLEMS: (
            "doctor, `dev status`, prove, `catalogue verify`, a saved plan, status or due (`--detailed-exitcode`) "
            "found problems"
        ),
        ExitCode.INTERRUPTED: "interrupted (SIGINT, SIGTERM): run the same command to go on",
        ExitCode.LOCKED: "locked by another process: try again",
    }
)

_RIGHTS: Final = "run coopctl as the user whom it belongs to, or let yours read and write it"
_OWN_PACKAGES: Final = frozenset({"cli", "provisioner", "stacks", "policies"})


@dataclass(frozen=True, kw_only=True, order=True)
class Location:
    """A place in a text file; line and column count from 1, 0 means unknown."""

    file: Path
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        known = [str(self.file), *(str(number) for number in (self.line, self.column) if number)]
        return ":".join(known)


class Severity(StrEnum):
    """How bad a diagnostic is: an error refuses the document, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """One problem found in a document: what, where (file position and field path), and what to do."""

    message: str
    location: Location
    path: str = ""
    hint: str | None = None
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.location}: {self.path + ': ' if self.path else ''}{self.message}"


class CoopctlError(Exception):
    """A failure that coopctl explains: what happened, why, what to do, where."""

    exit_code: ExitCode = ExitCode.FAILED
    default_hint: str | None = None

    def __init__(
        self, message: str, *, why: str | None = None, hint: str | None = None, where: Location | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.why = why
        self.hint = hint or self.default_hint
        self.where = where


class UsageError(CoopctlError):
    """The command was called in a way that cannot be meant."""

    exit_code = ExitCode.USAGE


class InvalidDescriptor(CoopctlError):
    """Documents of the estate have problems; all of them are in ``diagnostics``."""

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, diagnostics: Sequence[Diagnostic], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.diagnostics = tuple(diagnostics)


class NotPermitted(CoopctlError):
    """The caller, or coopctl itself, lacks a right."""

    exit_code = ExitCode.NOT_PERMITTED


class PartlyFailed(CoopctlError):
    """Some resources, or some cooperatives of a fleet, failed; the others are done."""

    exit_code = ExitCode.PARTLY_FAILED
    default_hint = "mend what is named above and run the same command again: it goes on"


class UpgradeFailed(PartlyFailed):
    """A solution's upgrade failed, and the version before it is back."""


class UpgradeUnfinished(CoopctlError):
    """A cooperative's upgrade was cut off: nothing else may change it before `apply` has finished it or gone back."""

    exit_code = ExitCode.LOCKED


class PolicyViolated(CoopctlError):
    """A rule forbids what was asked for."""

    exit_code = ExitCode.POLICY


class NotFound(CoopctlError):
    """A cooperative, file, tool or resource that was named does not exist."""

    exit_code = ExitCode.NOT_FOUND


class Cancelled(CoopctlError):
    """Somebody answered no."""

    exit_code = ExitCode.CANCELLED


class TimedOut(CoopctlError):
    """Something did not become ready in its time."""

    exit_code = ExitCode.TIMED_OUT


class ProblemsFound(CoopctlError):
    """A verification, proof, preflight or doctor found problems."""

    exit_code = ExitCode.PROBLEMS


class Interrupted(CoopctlError):
    """SIGINT or SIGTERM ended the work in an orderly way."""

    exit_code = ExitCode.INTERRUPTED
    default_hint = "run the same command to go on"


class StackLocked(CoopctlError):
    """Another process holds the stack's lock."""

    exit_code = ExitCode.LOCKED
    default_hint = "wait for it and try again, or run `coopctl unlock NAME` if that process is gone"


class MigrationLocked(CoopctlError):
    """Another process works on the migration."""

    exit_code = ExitCode.LOCKED
    default_hint = "wait for it and try again; its lock is given back when it ends, however it ends"


class DataStoreMoving(CoopctlError):
    """A cooperative's data store is between two places: nothing of the cooperative may be changed meanwhile."""

    exit_code = ExitCode.LOCKED


class PlanRefused(CoopctlError):
    """A migration's open run cannot go on with this plan; nothing was changed."""

    default_hint = "end the open run first (go on with it as it was planned, or abort it), then begin anew"


class ChangedMeanwhile(CoopctlError):
    """An object was changed or deleted between being listed and being read; a further pass takes it as it is then."""


class Unreachable(CoopctlError):
    """A server (Kubernetes, PostgreSQL, S3, registry) does not answer."""


class DiskFull(CoopctlError):
    """This machine's disk has no room for what must be written, such as the state of a stack."""

    default_hint = "make room on that disk and run the same command again: it goes on where it stopped"


class NotOurs(CoopctlError):
    """A database, role, bucket or identity that a cooperative's name leads to belongs to somebody else."""

    exit_code = ExitCode.NOT_PERMITTED
    default_hint = "rename or remove it by hand if nobody needs it, or give the cooperative another name"


class SnapshotLost(CoopctlError):
    """The session that held the snapshot of a copy is gone: nothing that was copied in it may be gone on with."""

    default_hint = "start the copy again: it makes a new slot and begins with empty tables"


class StreamFailed(CoopctlError):
    """One of the two programs of a copy's stream failed; what it wrote was rolled back."""

    default_hint = "mend what is named above and start the copy again"


class StreamDisturbed(StreamFailed):
    """A stream failed in a way that may pass: a server is down or starting, its disk is full, the network is cut."""

    default_hint = "see to the server that is named above; the copy waits for a while and goes on by itself"


class SchemaChanged(ProblemsFound):
    """Tables or other objects of a database changed while it was being moved."""

    default_hint = "start the migration again from the copy, and keep the schema as it is until the cutover is done"


class FenceOpen(CoopctlError):
    """Clients could not be kept out of a database: sessions or prepared transactions are left."""

    default_hint = "end what is named above and try again; the fence was lifted"


class VerificationFailed(ProblemsFound):
    """The two sides of a migration do not hold the same; the report names every difference."""

    default_hint = "nothing was switched; see the report for the rows and objects that differ"


class WayBackEnded(ProblemsFound):
    """Nothing is brought back from a migration's target any more: it is on its way home, or stays there for good."""


class Unforeseen(CoopctlError):
    """An exception that nothing foresees: a fault of coopctl itself.

    Its own text is not shown, since it may hold anything, a secret too; the traceback (--debug) has it.
    """

    default_hint = "this is a fault of coopctl: run the command again with `--debug` and report the traceback"


class RenderingFailed(CoopctlError):
    """A solution's chart cannot be rendered; ``where`` is the template, as far as Helm names it."""

    default_hint = "`coopctl catalogue lint` shows all that is wrong with a chart"


class BuildFailed(CoopctlError):
    """A pinned tool could not be built from its sources."""

    default_hint = (
        "read the log named above; without network, take an archive from another machine: "
        "`coopctl toolchain import FILE`"
    )


def disk_full(error: BaseException) -> DiskFull | None:
    """The failure that stands for ``error`` if that says that a disk, or the user's share of it, is full."""
    if not isinstance(error, OSError) or error.errno not in {errno.ENOSPC, errno.EDQUOT}:
        return None
    where = f" with {error.filename}" if error.filename else ""
    return DiskFull(f"no room is left on the disk{where}", why=error.strerror)


def refused_by_system(error: OSError, message: str, *, hint: str | None = None) -> CoopctlError:
    """The failure that stands for what the operating system refused, with its words as the reason.

    A full disk is told as one; what the caller has no right to is NotPermitted.
    """
    kind = NotPermitted if isinstance(error, PermissionError) else CoopctlError
    return disk_full(error) or kind(message, why=error.strerror, hint=hint)


def untranslated(error: Exception) -> CoopctlError:
    """The failure that stands for an exception that nobody translated where it was met; it is chained to it.

    What the operating system refuses is told in its words; all else is unforeseen.
    """
    failure: CoopctlError
    if isinstance(error, OSError):
        named = f"{error.filename} cannot be used" if error.filename else str(error) or type(error).__name__
        failure = refused_by_system(error, named, hint=_RIGHTS if isinstance(error, PermissionError) else None)
    else:
        failure = _unforeseen(error)
    failure.__cause__ = error
    return failure


def _unforeseen(error: Exception) -> Unforeseen:
    """With the innermost place in coopctl's own code."""
    where = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _OWN_PACKAGES:
            where = Location(file=Path(trace.tb_frame.f_code.co_filename), line=trace.tb_lineno)
        trace = trace.tb_next
    return Unforeseen(f"an unforeseen {type(error).__name__} ended the work", where=where)
