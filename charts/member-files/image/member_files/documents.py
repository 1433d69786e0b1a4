"""A member's documents: their rows and bytes, both in the member's own schema."""

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from member_files.database import Database, Realm
from member_files.refusals import Reason, Refused
from member_files.settings import Settings

NAME_MAX = 200
# So many bytes are in memory at once, here and in the server's messages.
PART_BYTES = 256 * 1024

_LIST = "SELECT id, name, note, bytes, sha256, added_at FROM member_files_document {} ORDER BY added_at DESC, id DESC"
_ADD = """
    INSERT INTO member_files_document (name, note, bytes, sha256) VALUES (%(name)s, %(note)s, %(bytes)s, %(sha256)s)
    RETURNING id
"""
_ADD_PART = "INSERT INTO member_files_part (document, place, content) VALUES (%s, %s, %s)"
# Two documents that come at once are counted one after the other.
_ONE_BY_ONE = "SELECT FROM member_files_account FOR UPDATE"
_USED = "SELECT coalesce(sum(bytes), 0)::bigint FROM member_files_document"
_PART = "SELECT content FROM member_files_part WHERE document = %s AND place = %s"


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document as it is listed."""

    id: int
    name: str
    note: str
    bytes: int
    sha256: str
    added_at: datetime


@dataclass(frozen=True, kw_only=True)
class Content:
    """The bytes from ``start`` to ``end`` of what was uploaded."""

    source: mmap.mmap | bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.end - self.start

    def parts(self) -> Iterator[bytes]:
        """The bytes, a part at a time."""
        for place in range(self.start, self.end, PART_BYTES):
            yield self.source[place : min(place + PART_BYTES, self.end)]


@dataclass(frozen=True, kw_only=True)
class Documents:
    """Everybody's documents; each call is about those of one member."""

    database: Database
    settings: Settings

    def listed(self, realm: Realm) -> tuple[Document, ...]:
        """The member's documents, the newest first."""
        with self.database.within(realm) as connection:
            rows = connection.execute(_LIST.format("")).fetchall()
        return tuple(_document(*row) for row in rows)

    def find(self, realm: Realm, number: int) -> Document:
        """One of them; raises Refused if it is not among them."""
        with self.database.within(realm) as connection:
            row = connection.execute(_LIST.format("WHERE id = %s"), [number]).fetchone()
        if row is None:
            raise Refused(Reason.NOT_FOUND)
        return _document(*row)

    def add(self, realm: Realm, content: Content, *, name: str, note: str = "") -> Document:
        """Keep a document. Raises Refused for a bad name, or if it or all of them would be too large."""
        _require_line(name)
        if note:
            _require_line(note)
        if content.size > self.settings.document_bytes:
            raise Refused(Reason.TOO_LARGE)
        digest = hashlib.sha256()
        for part in content.parts():
            digest.update(part)
        row = {"name": name, "note": note, "bytes": content.size, "sha256": digest.hexdigest()}
        with self.database.within(realm) as connection:
            connection.execute(_ONE_BY_ONE)
            used = connection.execute(_USED).fetchone()
            if used is not None and used[0] + content.size > self.settings.member_bytes:
                raise Refused(Reason.FULL)
            made = connection.execute(_ADD, row).fetchone()
            number = made[0] if made else 0
            for place, part in enumerate(content.parts()):
                connection.execute(_ADD_PART, [number, place, part])
        return self.find(realm, number)

    def content(self, realm: Realm, document: Document) -> Iterator[bytes]:
        """The bytes of a document, each part in a transaction of its own: a slow reader holds none open.

        Raises Refused if it is removed meanwhile.
        """
        for place in range(-(-document.bytes // PART_BYTES)):
            with self.database.within(realm) as connection:
                row = connection.execute(_PART, [document.id, place]).fetchone()
            if row is None:
                raise Refused(Reason.NOT_FOUND)
            yield bytes(row[0])

    def remove(self, realm: Realm, number: int) -> None:
        """Remove a document; raises Refused if it is not among the member's."""
        with self.database.within(realm) as connection:
            if connection.execute("DELETE FROM member_files_document WHERE id = %s", [number]).rowcount != 1:
                raise Refused(Reason.NOT_FOUND)


def _require_line(text: str) -> None:
    """Raise Refused for what is no line of visible text; that a name is no path, no program has to rely on."""
    if not 0 < len(text) <= NAME_MAX or text.isspace() or not text.isprintable() or {"/", "\\"} & set(text):
        raise Refused(Reason.NAME)


def _document(number: int, name: str, note: str, size: int, sha256: str, added_at: datetime) -> Document:
    return Document(id=number, name=name, note=note, bytes=size, sha256=sha256, added_at=added_at.astimezone(UTC))
