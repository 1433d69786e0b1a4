"""Starting one process so that it outlives coopctl, with its log, its marks and its own session."""

import hashlib
import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import BinaryIO

from provisioner.embedded.liveness import Record, birth, marks
from provisioner.embedded.process import ProcessSpec
from provisioner.errors import CoopctlError, NotFound

LOG_LIMIT_BYTES = 8 * 1024 * 1024
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

# The shell ends at once, so that the process belongs to init and leaves no zombie here, and says its pid.
_DETACH = '"$@" >&2 </dev/null & echo $!'


def launch(spec: ProcessSpec, *, root: Path) -> Record:
    """Start ``spec`` detached for the embedded platform in ``root``; raises CoopctlError if it cannot be executed."""
    if not os.access(spec.argv[0], os.X_OK):
        raise NotFound(f"{spec.name} cannot be started: {spec.argv[0]} is no program", hint="run `coopctl doctor`")
    _rotate(spec.log)
    with open_log(spec.log) as log:
        pid = _detached(spec, log=log, environment=_environment(spec, root=root))
    started = birth(pid)
    return Record(
        name=spec.name,
        pid=pid,
        birth=started or "ended at once",
        digest=digest(spec),
        argv=spec.argv,
        log=str(spec.log),
        depends_on=spec.depends_on,
        stop_signal=int(spec.stop_signal),
        stop_timeout_seconds=spec.stop_timeout_seconds,
    )


def digest(spec: ProcessSpec) -> str:
    """What must stay the same for a running process to be the one that ``spec`` describes."""
    identity = [spec.argv, sorted(spec.environment.items()), spec.user, spec.fingerprint]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending; only its owner reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _rotate(path: Path) -> None:
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(path.suffix + ".1"))


def _detached(spec: ProcessSpec, *, log: BinaryIO, environment: dict[str, str]) -> int:
    account = pwd.getpwnam(spec.user) if spec.user else None
    try:
        shell = subprocess.run(
            ["/bin/sh", "-c", _DETACH, "sh", *spec.argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd=spec.working_directory or "/",
            start_new_session=True,
            umask=0o022,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=os.getgrouplist(account.pw_name, account.pw_gid) if account else None,
            check=True,
            text=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CoopctlError(f"{spec.name} cannot be started", why=str(error)) from error
    return int(shell.stdout)


def _environment(spec: ProcessSpec, *, root: Path) -> dict[str, str]:
    home = pwd.getpwnam(spec.user).pw_dir if spec.user else str(Path.home())
    path = os.pathsep.join(dict.fromkeys([*os.environ.get("PATH", "").split(os.pathsep), *_SYSTEM_FOLDERS]))
    return {
        "HOME": home,
        "LANG": "C.UTF-8",
        "PATH": path,
        **spec.environment,
        **marks(root=root, name=spec.name, program=spec.argv[0]),
    }
