"""The claim on the machine's one real node: bridge, addresses and packet filter exist once in a network namespace.

A machine has one, unless somebody makes more; so the claim bears the namespace's number. It is a file below /run, so
a reboot ends it together with the interfaces and rules it stands for. It lasts from `dev up` to `dev down`, also while
no process of coopctl runs.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioner.embedded.node.layout import RUN_FOLDER
from provisioner.errors import CoopctlError


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Who holds the node: the estate's folder, and its folder of sockets."""

    estate: Path
    run: Path

    @property
    def abandoned(self) -> bool:
        """Whether the estate was deleted without `dev down`: then its leftovers may be taken away."""
        return not self.estate.exists()


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """Hold the lock of the claim's file for a moment; gives the file."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "node.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield _file(folder)


def holder(folder: Path = RUN_FOLDER) -> Claim | None:
    """Who holds the machine's real node now."""
    return _read(_file(folder))


def take(claim: Claim, *, folder: Path = RUN_FOLDER) -> None:
    """Claim the node for an estate; harmless when it holds it already.

    Raises CoopctlError when another estate holds it.
    """
    with _locked(folder) as file:
        current = _read(file)
        if current is not None and current.estate != claim.estate:
            raise CoopctlError(
                f"the estate {current.estate} holds this machine's real node",
                hint="run `coopctl dev down` there, or use `--node simulated` here",
            )
        temporary = file.with_suffix(".new")
        temporary.write_text(json.dumps({"estate": str(claim.estate), "run": str(claim.run)}))
        temporary.replace(file)


def release(estate: Path, *, folder: Path = RUN_FOLDER) -> None:
    """Give the claim up if ``estate`` holds it."""
    if not folder.exists():
        return
    with _locked(folder) as file:
        current = _read(file)
        if current is not None and current.estate == estate:
            file.unlink()


def _file(folder: Path) -> Path:
    namespace = Path("/proc/thread-self/ns/net")
    return folder / f"node-{namespace.stat().st_ino if namespace.exists() else 0}.json"


def _read(file: Path) -> Claim | None:
    try:
        content = json.loads(file.read_text())
        return Claim(estate=Path(content["estate"]), run=Path(content["run"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise CoopctlError(f"{file} is damaged", why=str(error), hint=f"remove {file}, or reboot") from error
