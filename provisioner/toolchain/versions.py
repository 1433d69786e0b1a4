"""Looks for programs on PATH and asks them for their version; what does not state a fitting one is not taken."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from provisioner.toolchain.pins import Candidate, VersionRange

ASK_TIMEOUT_SECONDS = 15.0
_MOST_OUTPUT = 64 * 1024


def find_on_path(name: str, candidate: Candidate, *, environment: Mapping[str, str]) -> tuple[Path, str] | None:
    """The first program ``name`` on PATH that states a fitting version, with that version."""
    for program in programs_on_path(name, search_path=environment.get("PATH", "")):
        version = stated_version([str(program), *candidate.ask], states=candidate.states, environment=environment)
        if version is not None and fits(version, candidate.fits):
            return program, version
    return None


def programs_on_path(name: str, *, search_path: str) -> Iterator[Path]:
    """Every executable file ``name`` on the search path, first ones first, each once.

    Relative parts of the path are left out: what they mean depends on where coopctl is called.
    """
    seen = set()
    for folder in search_path.split(os.pathsep):
        program = Path(folder) / name
        if folder and program.is_absolute() and program not in seen and _is_executable(program):
            seen.add(program)
            yield program


def stated_version(argv: list[str], *, states: re.Pattern[str], environment: Mapping[str, str]) -> str | None:
    """The version that a program states when called with ``argv``; None if it fails, hangs or states none."""
    # No program may look for news, write its settings or wait for an answer while it is asked.
    quiet = {**environment, "PULUMI_SKIP_UPDATE_CHECK": "true", "GOTOOLCHAIN": "local", "LC_ALL": "C.UTF-8"}
    # A file, not a pipe: what the program starts and leaves behind would keep a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        try:
            subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=quiet,
                timeout=ASK_TIMEOUT_SECONDS,
                check=True,
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        output.seek(0)
        found = states.search(output.read(_MOST_OUTPUT).decode("utf-8", errors="replace"))
    return found[1] if found else None


def fits(version: str, wanted: VersionRange) -> bool:
    """Whether a version of numbers and dots lies in a range."""
    return numbers(version) in wanted


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 3.6.13 -> (3, 6, 13), 15.4rc1 -> (15, 4), none -> ()."""
    leading = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in leading[0].split(".")) if leading else ()


def _is_executable(program: Path) -> bool:
    try:
        return program.is_file() and os.access(program, os.X_OK)
    except OSError:
        return False
