"""Writing documents: a value as YAML takes it, and a file that is replaced whole or not at all."""

import json
import os
import tempfile
from pathlib import Path

from provisioner.errors import CoopctlError, NotPermitted, disk_full

_MISREAD = frozenset({"yes", "no", "on", "off", "y", "n", "true", "false", "null"})


def quoted(text: str) -> str:
    """``text`` as a YAML scalar: plain where nothing can be misread, else in double quotes (JSON is YAML 1.2)."""
    plain = text.replace("-", "").replace(".", "")
    if plain.isalpha() and text[0].isalpha() and text.lower() not in _MISREAD:
        return text
    return json.dumps(text, ensure_ascii=False)


def replace_file(file: Path, content: bytes) -> None:
    """Replace ``file``, which is there, in one step; its mode stays. Raises NotPermitted, DiskFull or CoopctlError."""
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        made = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            made.chmod(file.stat().st_mode & 0o7777)
            made.replace(file)
        finally:
            made.unlink(missing_ok=True)
    except OSError as error:
        kind = NotPermitted if isinstance(error, PermissionError) else CoopctlError
        refused = kind(f"{file} cannot be written", why=error.strerror, hint="nothing was changed")
        raise (disk_full(error) or refused) from error
