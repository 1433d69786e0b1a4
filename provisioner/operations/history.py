"""The audit trail: who did what to a stack, when, from which commit, with which plan; append-only and hash-chained.

Each entry is a record of its own beside the state, ``history/STACK/00000001.json`` and so on, made only where there is
none yet. It holds the digest of the entry before it, and a seal (HMAC-SHA-256, RFC 2104) under a key that is derived
from the estate's passphrase: who can write to the state but lacks the passphrase can neither change nor add an entry.
Entries that are cut off at the end leave no gap; the number and digest of the last one that this machine saw are kept
in the stack's working folder, so that the machine that wrote them notices.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from provisioner.datastore.records import FileRecords, Records
from provisioner.errors import CoopctlError

_FOLDER = "history"
_LAST_SEEN = "history.json"
_KEY_PURPOSE = b"coopctl history seal v1"
_TRIES = 5
# Nested without end, JSON is more than the reader's stack holds.
_UNREADABLE = (ValueError, KeyError, TypeError, RecursionError)
_NUMBERED = re.compile(r"\d{8}\.json", re.ASCII)


class Action(StrEnum):
    """What was done to a stack."""

    APPLY = "apply"
    DESTROY = "destroy"
    REPAIR = "repair"
    PROVE = "prove"
    ERASE = "erase"
    HANDOVER = "handover"


class Ending(StrEnum):
    """How far it came. What was begun and has no other ending after it was cut off."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who did it, from where: ``commit`` is that of the estate's git repository, "" without one.

    ``dirty``: the estate had changes that were not committed.
    """

    user: str
    host: str
    commit: str = ""
    dirty: bool = False


@dataclass(frozen=True, kw_only=True)
class Event:
    """What happened: ``plan`` is the fingerprint of the plan, ``changes`` how many resources each operation concerned.

    ``details`` are what else belongs to an action, such as a proof's digest; never a secret.
    """

    action: Action
    ending: Ending
    at: datetime
    author: Author
    coopctl: str
    plan: str = ""
    changes: Mapping[str, int] = field(default_factory=dict)
    why: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An event in its place in the chain; ``digest`` is that of the record itself."""

    number: int
    event: Event
    previous: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Trail:
    """A stack's entries in order, and everything that shows that somebody changed them."""

    stack: str
    entries: tuple[Entry, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class History:
    """Reads and appends the audit trails of one estate; ``work`` is the folder with the stacks' working folders."""

    records: Records
    passphrase_file: Path
    work: Path

    def append(self, stack: str, event: Event) -> Entry:
        """Append ``event`` to the trail of ``stack``.

        Raises CoopctlError if it cannot be written. An entry that somebody else appends meanwhile comes before it.
        """
        for _ in range(_TRIES):
            last = self._last(stack)
            number, previous = (last[0] + 1, last[1]) if last else (1, "")
            content = _sealed(stack, event, number=number, previous=previous, key=self._key())
            if self.records.create(_path(stack, number), content):
                self._remember(stack, number=number, digest=_digest(content))
                return Entry(number=number, event=event, previous=previous, digest=_digest(content))
        raise CoopctlError(f"the history of {stack} could not be written", why="others write to it all the time")

    def read(self, stack: str) -> Trail:
        """The trail of ``stack``, verified; an entry that cannot be read is a problem, not an error."""
        found = {path: self.records.read(path) or b"" for path in self.records.list(f"{_FOLDER}/{stack}")}
        strangers = [path for path in sorted(found) if not _is_numbered(path)]
        contents = {path: found[path] for path in sorted(found) if _is_numbered(path)}
        problems = [f"{path} is no entry: somebody put it there" for path in strangers]
        problems += _gaps(stack, tuple(contents))
        entries: list[Entry] = []
        previous = ""
        for path, content in contents.items():
            digest = _digest(content)
            try:
                document = _document(content)
                problems += _faults(document, path=path, previous=previous, key=self._key())
                entries.append(_entry(document, digest=digest))
            except _UNREADABLE as error:
                problems.append(f"{path} cannot be read: {_shortly(error)}")
            previous = digest
        problems += self._cut_off(stack, found=[_digest(content) for content in contents.values()])
        return Trail(stack=stack, entries=tuple(entries), problems=tuple(problems))

    def last(self, stack: str, *, action: Action) -> Event | None:
        """The newest event of ``action`` that was done; an entry that somebody changed counts for none."""
        for path in reversed(self._paths(stack)):
            try:
                document = _document(self.records.read(path) or b"")
                if any(_faults(document, path=path, previous=document["previous"], key=self._key())):
                    continue
                event = _entry(document, digest="").event
            except _UNREADABLE:
                continue
            if (event.action, event.ending) == (action, Ending.DONE):
                return event
        return None

    def _paths(self, stack: str) -> list[str]:
        return [path for path in self.records.list(f"{_FOLDER}/{stack}") if _is_numbered(path)]

    def _last(self, stack: str) -> tuple[int, str] | None:
        paths = self._paths(stack)
        if not paths:
            return None
        content = self.records.read(paths[-1]) or b""
        return int(Path(paths[-1]).stem), _digest(content)

    def _key(self) -> bytes:
        try:
            passphrase = self.passphrase_file.read_bytes().strip()
        except OSError as error:
            raise CoopctlError(
                f"the passphrase file {self.passphrase_file} cannot be read",
                why="it seals the history",
                hint="bring it back from where you keep it",
            ) from error
        return hmac.digest(passphrase, _KEY_PURPOSE, "sha256")

    def _remember(self, stack: str, *, number: int, digest: str) -> None:
        seen = json.dumps({"number": number, "digest": digest}) + "\n"
        FileRecords(root=self.work / stack).write(_LAST_SEEN, seen.encode())

    def _cut_off(self, stack: str, *, found: Sequence[str]) -> Iterator[str]:
        try:
            seen = json.loads((self.work / stack / _LAST_SEEN).read_text())
            number, digest = int(seen["number"]), str(seen["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        if len(found) < number:
            yield f"entries are missing at the end: this machine wrote number {number}, there are {len(found)}"
        elif found[number - 1] != digest:
            yield f"entry {number} is not the one that this machine wrote"


def _path(stack: str, number: int) -> str:
    return f"{_FOLDER}/{stack}/{number:08d}.json"


def _is_numbered(path: str) -> bool:
    return _NUMBERED.fullmatch(path.rpartition("/")[2]) is not None


def _sealed(stack: str, event: Event, *, number: int, previous: str, key: bytes) -> bytes:
    document = {
        "apiVersion": "coopctl.dev/v1",
        "kind": "HistoryEntry",
        "stack": stack,
        "number": number,
        "previous": previous,
        "event": {**asdict(event), "at": event.at.isoformat()},
    }
    return _canonical({**document, "seal": _seal(document, key=key)})


def _seal(document: Mapping[str, Any], *, key: bytes) -> str:
    return hmac.new(key, _canonical(document), "sha256").hexdigest()


def _canonical(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _gaps(stack: str, paths: Sequence[str]) -> Iterator[str]:
    for number, path in enumerate(paths, start=1):
        if path != _path(stack, number):
            yield f"entry {number} of {stack} is missing"
            return


def _faults(document: Mapping[str, Any], *, path: str, previous: str, key: bytes) -> Iterator[str]:
    unsealed = {name: value for name, value in document.items() if name != "seal"}
    if not hmac.compare_digest(str(document["seal"]), _seal(unsealed, key=key)):
        yield f"{path} was changed: its seal does not fit"
    if document["previous"] != previous:
        yield f"{path} does not follow the entry before it"
    if path != _path(document["stack"], document["number"]):
        yield f"{path} stands in another place than it was written for"


def _document(content: bytes) -> Mapping[str, Any]:
    """The entry as it was written. Raises ValueError or TypeError."""
    document = json.loads(content)
    if not isinstance(document, dict):
        raise TypeError("it is no JSON object")
    return document


def _entry(document: Mapping[str, Any], *, digest: str) -> Entry:
    """The entry; what does not fit the types is refused, since whoever changed it chose what stands there."""
    try:
        event = TypeAdapter(Event).validate_python(document["event"])
    except ValidationError as error:
        place = ".".join(map(str, ("event", *error.errors()[0]["loc"])))
        raise ValueError(f"{place} is not what coopctl writes there") from error
    return Entry(number=document["number"], event=event, previous=document["previous"], digest=digest)


def _shortly(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)
