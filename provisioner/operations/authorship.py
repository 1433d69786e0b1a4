"""Who runs coopctl, and from which commit of the estate: what an audit trail says of a change."""

import getpass
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

from provisioner.operations.history import Author

# In a pipeline the account is the runner's; these name the person who started it.
_PIPELINE_USERS = ("GITLAB_USER_LOGIN", "GITHUB_ACTOR", "BUILD_USER_ID")
_GIT_SECONDS = 10


def author(estate: Path, *, environment: Mapping[str, str] = os.environ) -> Author:
    """The person and machine, and the estate's commit; an estate that is in no git repository has none."""
    commit = _git(estate, "rev-parse", "HEAD")
    changed = bool(commit) and bool(_git(estate, "status", "--porcelain", "--", "."))
    return Author(user=_user(environment), host=platform.node(), commit=commit, dirty=changed)


def _user(environment: Mapping[str, str]) -> str:
    named = next((environment[name] for name in _PIPELINE_USERS if environment.get(name)), None)
    if named is not None:
        return named
    try:
        return environment.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # an account that no password database knows, as in containers
        return str(os.getuid())


def _git(estate: Path, *arguments: str) -> str:
    """What git says; nothing where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(estate), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_GIT_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
