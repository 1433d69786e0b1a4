"""Files that only their owner may read, replaced whole: generated passwords and keys, certificates' keys, kubeconfigs.

A value is generated once and then read for ever; cut off in between, either the old file or the new one is there.
"""

import os
import pwd
import secrets
from pathlib import Path

from provisioner.errors import NotPermitted

_TOKEN_BYTES = 24


def write_private(path: Path, content: str | bytes, *, mode: int = 0o600, owner: str | None = None) -> None:
    """Replace ``path`` by ``content``; ``owner`` is the account it belongs to when coopctl is root."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        os.fchmod(file.fileno(), mode)
    if owner:
        give(temporary, owner=owner)
    temporary.replace(path)


def write_if_changed(path: Path, content: str, *, mode: int = 0o600, owner: str | None = None) -> None:
    """As write_private, but leave a file alone that already holds ``content``."""
    if not path.exists() or path.read_text() != content:
        write_private(path, content, mode=mode, owner=owner)


def private_folder(path: Path, *, owner: str | None = None, mode: int = 0o700) -> Path:
    """Make the folder ``path`` with ``mode`` if it is absent, for the account ``owner``."""
    if not path.exists():
        path.mkdir(parents=True)
        path.chmod(mode)
        if owner:
            give(path, owner=owner)
    return path


def give(path: Path, *, owner: str) -> None:
    """Let ``path`` belong to the account ``owner``."""
    account = pwd.getpwnam(owner)
    try:
        os.chown(path, account.pw_uid, account.pw_gid)
    except PermissionError as error:
        raise NotPermitted(f"{path} cannot be given to the account {owner}", hint="run this as root") from error


def generated(path: Path) -> str:
    """The secret in ``path``; generated (192 random bits) and written at the first call."""
    if not path.exists():
        private_folder(path.parent)
        write_private(path, secrets.token_urlsafe(_TOKEN_BYTES) + "\n")
    return path.read_text().strip()
