"""Files that are encrypted with age while they are written: their plaintext never touches a disk.

Each file is encrypted to the recipient and to an identity that exists only in this process's memory, which reads the
finished file back: what is kept is proved to be what was streamed, without the recipient's private key.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import pyrage
from pyrage import x25519

from provisioner.datastore.dump_places import DumpFiles, Sink
from provisioner.datastore.stopping import Stopping, require_going_on
from provisioner.errors import CoopctlError, UsageError

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class EncryptedFile:
    """A finished file: its name, its size and SHA-256 as it is kept, and those of its content in clear."""

    name: str
    size_bytes: int
    sha256: str
    content_bytes: int
    content_sha256: str


def parse_recipient(text: str) -> x25519.Recipient:
    """An age public key. Raises UsageError if it is none."""
    try:
        return x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        raise UsageError(
            f"{text!r} is not an age recipient", why=str(error), hint="make a key pair with `age-keygen`; age1... is it"
        ) from error


def encrypt(
    chunks: Generator[bytes, None, None],
    *,
    name: str,
    files: DumpFiles,
    recipient: x25519.Recipient,
    stopping: Stopping,
) -> EncryptedFile:
    """Encrypt what ``chunks`` give into the new file ``name``, and read it back.

    Raises what ``chunks`` raise, CoopctlError if the file cannot be written or reads back differently, Interrupted
    after a signal.
    """
    witness = x25519.Identity.generate()
    source = _Reader(chunks, stopping=stopping)
    with closing(chunks), files.write(name) as target:
        sink = _Writer(target)
        with _telling((source, sink), where=f"{files.location}/{name}"):
            pyrage.encrypt_io(source, sink, [recipient, witness.to_public()])
    stored = _Reader(files.read(name), stopping=stopping)
    clear = _Digest()
    with _telling((stored,), where=f"{files.location}/{name}"):
        pyrage.decrypt_io(stored, clear, [witness])
    content = source.content
    if (clear.count, clear.hexdigest()) != (content.count, content.hexdigest()):
        raise CoopctlError(
            f"{files.location}/{name} reads back differently from what was written", hint="check the disk"
        )
    return EncryptedFile(
        name=name,
        size_bytes=stored.content.count,
        sha256=stored.content.hexdigest(),
        content_bytes=content.count,
        content_sha256=content.hexdigest(),
    )


def digest_of(chunks: Iterator[bytes]) -> tuple[int, str]:
    """Size and SHA-256 of what ``chunks`` give."""
    digest = _Digest()
    for chunk in chunks:
        digest.write(chunk)
    return digest.count, digest.hexdigest()


class _Digest:
    """Counts and hashes what is written to it."""

    def __init__(self) -> None:
        self.count = 0
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.count += len(data)
        self._sha256.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


class _Reader:
    """Lets a library that reads pull from an iterator; keeps the iterator's own exception, which the library hides."""

    def __init__(self, chunks: Iterator[bytes], *, stopping: Stopping) -> None:
        self._chunks, self._stopping = chunks, stopping
        self._rest = memoryview(b"")
        self.content = _Digest()
        self.failure: BaseException | None = None

    def read(self, size: int) -> bytes:
        while not self._rest:
            try:
                require_going_on(self._stopping)
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                return b""
            except BaseException as error:
                self.failure = error
                raise
        part, self._rest = bytes(self._rest[:size]), self._rest[size:]
        self.content.write(part)
        return part


class _Writer:
    """Passes on what is written; keeps the sink's own exception."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.failure: BaseException | None = None

    def write(self, data: bytes) -> int:
        return self._kept(lambda: self._sink.write(data))

    def flush(self) -> None:
        self._kept(self._sink.flush)

    def _kept(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except BaseException as error:
            self.failure = error
            raise


@contextmanager
def _telling(parts: tuple[_Reader | _Writer, ...], *, where: str) -> Iterator[None]:
    """Gives a failure its cause: what a part raised, or what the library says."""
    try:
        yield
    except (OSError, pyrage.EncryptError, pyrage.DecryptError) as error:
        for part in parts:
            if part.failure is not None:
                raise part.failure from None
        raise CoopctlError(
            f"{where} cannot be encrypted, or not read back", why=str(error), hint="check the disk"
        ) from error
