"""Reading the processes' logs, and following them while they grow."""

import time
from collections.abc import Iterator
from pathlib import Path

from provisioner.errors import NotFound

_POLL_SECONDS = 0.2
_CHUNK = 64 * 1024


def names(folder: Path) -> tuple[str, ...]:
    """The processes that have a log in ``folder``."""
    return tuple(sorted(path.stem for path in folder.glob("*.log")))


def read(folder: Path, *, name: str, lines: int) -> tuple[str, ...]:
    """The last ``lines`` lines of the log of ``name``; raises NotFound with the names there are."""
    text = _path(folder, name).read_bytes().decode(errors="replace")
    return tuple(text.splitlines()[-lines:])


def follow(folder: Path, *, name: str, lines: int) -> Iterator[str]:
    """As read, then every line as it is written, without end; a log that is begun anew is followed on."""
    path = _path(folder, name)
    inode, content = path.stat().st_ino, path.read_bytes()
    *whole, rest = content.split(b"\n")
    position = len(content)
    yield from (line.decode(errors="replace") for line in whole[-lines:])
    while True:
        state = path.stat() if path.exists() else None
        if state and (state.st_ino != inode or state.st_size < position):
            position, rest, inode = 0, b"", state.st_ino
        if state and state.st_size > position:
            content = _from(path, position)
            position += len(content)
            *whole, rest = (rest + content).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
        else:
            time.sleep(_POLL_SECONDS)


def _from(path: Path, position: int) -> bytes:
    with path.open("rb") as log:
        log.seek(position)
        return log.read(_CHUNK)


def _path(folder: Path, name: str) -> Path:
    known = names(folder)
    if name not in known:
        hint = f"there are {', '.join(known)}" if known else "run `coopctl dev up` first"
        raise NotFound(f"no process {name!r} has a log", hint=hint)
    return folder / f"{name}.log"
