"""Writing documents: a value as YAML takes it, and a file that is replaced whole or not at all."""

import json
import os
from pathlib import Path

from provisioner.errors import refused_by_system

_MISREAD = frozenset({"yes", "no", "on", "off", "y", "n", "true", "false", "null"})


def quoted(text: str) -> str:
    """``text`` as a YAML scalar: plain where nothing can be misread, else in double quotes (JSON is YAML 1.2)."""
    plain = text.replace("-", "").replace(".", "")
    if plain.isalpha() and text[0].isalpha() and text.lower() not in _MISREAD:
        return text
    return json.dumps(text, ensure_ascii=False)


def write_whole(file: Path, content: bytes, *, mode: int | None = None) -> None:
    """Make or replace ``file`` in one step: cut off in between, what was there (or nothing) is there still.

    Without ``mode`` the umask decides who may read it. Raises OSError.
    """
    made = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        opened = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666 if mode is None else 0o600)
        with os.fdopen(opened, "wb") as stream:
            if mode is not None:
                os.fchmod(opened, mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        made.replace(file)
    except OSError as error:
        error.filename = str(file)  # the one that the caller knows
        raise
    finally:
        made.unlink(missing_ok=True)


def replace_file(file: Path, content: bytes) -> None:
    """Replace ``file``, which is there, in one step; its mode stays. Raises NotPermitted, DiskFull or CoopctlError."""
    try:
        write_whole(file, content, mode=file.stat().st_mode & 0o7777)
    except OSError as error:
        raise refused_by_system(error, f"{file} cannot be written", hint="nothing was changed") from error
