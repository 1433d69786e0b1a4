"""Another user's machine on this one: an account without rights, with a checkout, a Python and tools of its own.

All of it is linked file by file into a folder that the account may enter: the folders that this test run uses need not
be open to others (a home folder is not), and the account can change none of the files.
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.toolchain import Toolchain

ACCOUNT = "nobody"
ROOT = Path(__file__).parents[2]
SYSTEM_PROGRAMS = Path("/usr/bin")
# Tests of Python itself, and packages that the checkout's own environment does not use.
NOT_LINKED = shutil.ignore_patterns("site-packages", "test", "__pycache__")


@dataclass(frozen=True, kw_only=True)
class OrdinaryUser:
    """The account, and its home folder with all it needs."""

    home: Path

    @property
    def checkout(self) -> Path:
        """The user's own clone, with `.venv` as `make setup` makes it."""
        return self.home / "checkout"

    @property
    def python(self) -> Path:
        """The user's Python."""
        return self.checkout / ".venv" / "bin" / "python"

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program as the account, in its checkout, with a fresh environment."""
        account = pwd.getpwnam(ACCOUNT)
        return subprocess.run(
            command,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd=self.checkout,
            env={**self._environment(), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": f"{self.checkout / '.venv' / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.home / "tmp"),
        }


def settle(home: Path, *, toolchain: Toolchain) -> OrdinaryUser:
    """Make the account's world below ``home``: an empty folder that it may enter. Only root can."""
    user = OrdinaryUser(home=home)
    _copy_checkout(user.checkout)
    _link(Path(sys.prefix), user.checkout / ".venv")
    _settle_environment(user, python=_python(home))
    cache = home / ".cache" / "coopctl" / "toolchain"
    _link(toolchain.store.root, cache, leaving_out=shutil.ignore_patterns("locks", "logs", ".*"))
    (home / "tmp").mkdir()
    for folder in (home, home / "tmp", home / ".cache", home / ".cache" / "coopctl", cache, user.checkout):
        shutil.chown(folder, user=ACCOUNT, group=pwd.getpwnam(ACCOUNT).pw_gid)
    return user


def _copy_checkout(target: Path) -> None:
    """Copy what git knows of, and what it would take in."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, os.fsdecode(listed).split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def _link(source: Path, target: Path, *, leaving_out: object = None) -> None:
    shutil.copytree(source, target, symlinks=True, copy_function=_hard_link, ignore=leaving_out)  # type: ignore[arg-type]


def _hard_link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system
        shutil.copy2(source, target, follow_symlinks=False)


def _python(home: Path) -> Path:
    """The system's Python where it is of this one's version, else this one, linked below ``home``."""
    name = f"python3.{sys.version_info.minor}"
    if SYSTEM_PROGRAMS.joinpath(name).exists():
        return SYSTEM_PROGRAMS / name
    _link(Path(sys.base_prefix), home / "python", leaving_out=NOT_LINKED)
    return home / "python" / "bin" / name


def _settle_environment(user: OrdinaryUser, *, python: Path) -> None:
    """Let the linked `.venv` be one of the user's Python and checkout: nothing in it may lead to the original."""
    environment = user.checkout / ".venv"
    for name in ("python3", python.name):
        (environment / "bin" / name).unlink(missing_ok=True)
        (environment / "bin" / name).symlink_to(python)
    _replace(environment / "pyvenv.cfg", f"home = {python.parent}\ninclude-system-site-packages = false\n")
    _replace(environment / "bin" / "coopctl", f"#!{user.python}\nfrom cli.main import main\n\nmain()\n", mode=0o755)
    for file in environment.rglob("*editable*.pth"):
        _replace(file, f"{user.checkout}\n")


def _replace(file: Path, text: str, *, mode: int = 0o644) -> None:
    # Written anew: the old file is the original's too.
    file.unlink()
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
