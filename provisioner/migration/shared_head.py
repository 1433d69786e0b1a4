"""Pure: what lies beside the state for a migration that a team works on: who does, until when, and which files count.

One small record, the head, says all of it, and is changed only by who has seen what it is now. So a file is of the
migration if, and as soon as, the head names it; and whoever works on it without knowing that another one has taken over
can upload what he likes: he cannot make the head name it.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from provisioner.errors import CoopctlError

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who works on a migration; ``id`` is another one each time."""

    id: str
    host: str
    pid: int
    user: str

    def __str__(self) -> str:
        return f"{self.user} on {self.host} (process {self.pid})"


@dataclass(frozen=True, kw_only=True)
class SharedFile:
    """A file of the migration: the record that has its content, and the content's SHA-256."""

    record: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Head:
    """Who holds the lease (None: nobody), for how many seconds from the record's writing on, and the files by name.

    ``expires`` says the same for people, by the holder's clock. ``entries`` is how long the journal is. ``turn`` makes
    every head another one than those before.
    """

    migration: str
    entries: int = 0
    files: Mapping[str, SharedFile] = field(default_factory=dict)
    holder: Holder | None = None
    seconds: float = 0.0
    expires: datetime | None = None
    turn: str = ""

    def to_bytes(self) -> bytes:
        """As it is kept."""
        expires = self.expires.isoformat() if self.expires else None
        return json.dumps({**asdict(self), "expires": expires, "version": VERSION}, indent=1).encode()

    def turned(self) -> "Head":
        """The same, to be written once more."""
        return replace(self, turn=secrets.token_hex(8))


def read_head(content: bytes, *, where: str) -> Head:
    """The head in ``content``. Raises CoopctlError if it is damaged, or a newer coopctl's."""
    try:
        found = json.loads(content)
        version = found.pop("version")
        if version > VERSION:
            raise CoopctlError(
                f"{where} was written by a newer coopctl (version {version}, this one knows {VERSION})",
                hint="use the coopctl that wrote it",
            )
        holder, expires, files = found.pop("holder"), found.pop("expires"), found.pop("files")
        return Head(
            **found,
            files={name: SharedFile(**one) for name, one in files.items()},
            holder=Holder(**holder) if holder else None,
            expires=datetime.fromisoformat(expires) if expires else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CoopctlError(f"{where} is damaged", why=str(error)) from error
