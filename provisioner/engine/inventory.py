"""Which stacks there are, and the working directory of each."""

import contextlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from pulumi.automation import LocalWorkspace, StackNotFoundError
from pulumi.automation.errors import CommandError

from provisioner.datastore.records import open_records
from provisioner.engine import state
from provisioner.engine.cli import PulumiCli
from provisioner.engine.settings import PROJECT, EngineSettings
from provisioner.engine.state import (
    Checkpoint,
    drop_torn_locks,
    list_stack_files,
    lock_folder,
    parse_checkpoint,
    read_checkpoint_file,
)
from provisioner.errors import CoopctlError, NotFound, NotPermitted, Unreachable

_PROJECT_FILE = f"name: {PROJECT}\nruntime: python\n"
_WHO = "check the file of `state.credentials` in the Platform document; without it, the AWS environment says who works"

# What the CLI prints of a bucket (gocloud.dev/blob/s3blob, AWS SDK for Go 2) -> what it means. The first wins.
_REFUSALS: tuple[tuple[re.Pattern[str], Callable[[str], CoopctlError]], ...] = (
    (
        re.compile(r"NoSuchBucket|code=NotFound"),
        lambda where: NotFound(f"{where} has no bucket", hint="make the bucket, or correct `state.backend`"),
    ),
    (
        re.compile(r"shared config profile|shared credentials|no EC2 IMDS role found|refresh cached credentials"),
        lambda where: NotFound(f"there are no credentials for {where}", hint=_WHO),
    ),
    (
        re.compile(r"StatusCode: 40[13]\b|AccessDenied"),
        lambda where: NotPermitted(f"{where} may not be used with these credentials", hint=_WHO),
    ),
    (
        re.compile(r"\bdial (tcp|udp)\b|TLS handshake timeout|exceeded maximum number of attempts"),
        lambda where: Unreachable(f"{where} does not answer", hint="check its endpoint and your network"),
    ),
)


def checkpoint(settings: EngineSettings, *, stack: str, cli: PulumiCli) -> Checkpoint | None:
    """The state of ``stack``, or None if there is no such stack."""
    if settings.state_folder is not None:
        return _read_file(settings.state_folder, stack=stack, spare=_spare(settings, stack=stack))
    workspace = _workspace(settings, folder=settings.folder(stack), cli=cli)
    try:
        deployment = workspace.export_stack(stack).deployment
    except StackNotFoundError:
        return None
    except CommandError as error:
        raise _refused(settings, error) from error
    return parse_checkpoint(deployment or {})


def keep_spare(settings: EngineSettings, *, stack: str) -> str | None:
    """Keep the state as it is before an operation on ``stack``; says so if a torn one was replaced meanwhile."""
    if settings.state_folder is None:  # a bucket takes a state whole or not at all
        return None
    return state.keep_spare(settings.state_folder, stack=stack, spare=_spare(settings, stack=stack))


def _spare(settings: EngineSettings, *, stack: str) -> Path:
    return settings.folder(stack) / "state-before.json"


def _read_file(state_folder: Path, *, stack: str, spare: Path) -> Checkpoint | None:
    try:
        return read_checkpoint_file(state_folder, stack=stack)
    except CoopctlError:
        if not state.put_back(state_folder, stack=stack, spare=spare):
            raise
        return read_checkpoint_file(state_folder, stack=stack)


def stacks(settings: EngineSettings, *, cli: PulumiCli) -> tuple[str, ...]:
    """The names of all stacks in the state."""
    if settings.state_folder is not None:
        return list_stack_files(settings.state_folder)
    workspace = _workspace(settings, folder=settings.work, cli=cli)
    try:
        return tuple(sorted(summary.name.rsplit("/", 1)[-1] for summary in workspace.list_stacks()))
    except CommandError as error:
        raise _refused(settings, error) from error


def prepare(settings: EngineSettings, *, stack: str, find: Callable[[], Checkpoint | None]) -> None:
    """Make the working directory of ``stack``, with the encryption salt from the state if it was lost."""
    if settings.state_folder is not None:
        settings.state_folder.mkdir(parents=True, exist_ok=True)
    folder = settings.folder(stack)
    _write_once(folder / "Pulumi.yaml", _PROJECT_FILE)
    stack_file = folder / f"Pulumi.{stack}.yaml"
    if not stack_file.exists():
        found = find()
        if found is not None and found.salt:
            _write_once(stack_file, f"encryptionsalt: {json.dumps(found.salt)}\n")


def prepare_locks(settings: EngineSettings, *, stack: str) -> None:
    """See to it that Pulumi can read all that it takes for locks of ``stack``. Only for who holds the stack's lease.

    In a folder a kill may have left one half-written. Some S3 servers (SeaweedFS) show a folder that has become empty
    as an object without content, for minutes; so something is always kept below the folder of the locks, where Pulumi
    does not look for them.
    """
    if settings.state_folder is not None:
        drop_torn_locks(settings.state_folder, stack=stack)
        return
    below = f"{lock_folder(stack)}/not-a-lock"
    open_records(settings.backend_url, credentials_file=settings.credentials_file, folder=below).write("keep", b"")


def ensure_passphrase(settings: EngineSettings, *, stacks: Callable[[], Collection[str]]) -> None:
    """Make a passphrase where nothing was encrypted yet, as in a fresh clone of an estate that was never applied.

    Raises CoopctlError if it is missing and there are ``stacks``: a new one could read nothing of them.
    """
    file = settings.passphrase_file
    if file.is_file():
        return
    if stacks():
        raise CoopctlError(
            f"the passphrase file {file} is missing",
            why="it encrypts the secrets in the state, and there are stacks already",
            hint="bring it back from where you keep it",
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".passphrase-") as made:
        made.write(secrets.token_urlsafe(32) + "\n")
        made.flush()
        # Whoever comes first wins: two stacks that begin at the same time get one passphrase.
        with contextlib.suppress(FileExistsError):
            os.link(made.name, file)


def _workspace(settings: EngineSettings, *, folder: Path, cli: PulumiCli) -> LocalWorkspace:
    _write_once(folder / "Pulumi.yaml", _PROJECT_FILE)
    return LocalWorkspace(work_dir=str(folder), env_vars=settings.environment, pulumi_command=cli)


def _write_once(path: Path, text: str) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(path)


def _refused(settings: EngineSettings, error: CommandError) -> CoopctlError:
    """Why the state in a bucket cannot be read, by what the CLI says of it."""
    text, where = str(error), f"the state at {settings.backend_url}"
    found = next((make(where) for pattern, make in _REFUSALS if pattern.search(text)), None)
    known = found or CoopctlError(f"{where} cannot be read")
    return type(known)(known.message, why=_last_line(text), hint=known.hint)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else text
