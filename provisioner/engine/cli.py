"""Starts the pulumi CLI for the Automation API: on a leash, in a session of its own, output to a file.

Its temporary files go into a folder that is taken away with it: the Kubernetes provider writes the kubeconfig into one,
with every key and token that it embeds, and leaves it.

Why not the Automation API's own way of starting it: its pipes break when coopctl is killed (the CLI would die while
writing its progress, in the middle of an operation), a terminal's Ctrl-C would reach CLI and providers at once, and
finding out the version costs a process although the toolchain already knows it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pulumi.automation import PulumiCommand
from pulumi.automation._cmd import CommandResult, OnOutput
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from provisioner.engine import leash
from provisioner.engine.interruption import Interruption
from provisioner.engine.scratch import held_folder
from provisioner.errors import Interrupted

PULUMI_VERSION = VersionInfo(3, 259, 0)


@dataclass(kw_only=True)
class PulumiCli(PulumiCommand):
    """The pulumi CLI at ``executable``; ``mark`` is set in the environment of what it starts."""

    executable: Path
    interruption: Interruption
    mark: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.command = str(self.executable)
        self.version = PULUMI_VERSION

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,  # noqa: ARG002 - events tell more; kept for the Automation API's contract
        on_error: OnOutput | None = None,  # noqa: ARG002
    ) -> CommandResult:
        """Run the CLI and wait for it (the Automation API's contract: raises CommandError if it fails).

        Raises Interrupted if a signal came before, or ended it.
        """
        self.interruption.check()
        # Files without a name: they live as long as the CLI does, even if coopctl is gone, and leave nothing behind.
        with (
            held_folder(Path(cwd)) as (temporary, held),
            tempfile.TemporaryFile(dir=cwd) as stdout,
            tempfile.TemporaryFile(dir=cwd) as stderr,
        ):
            process = subprocess.Popen(
                [*self._leash(), self.command, "--non-interactive", *args],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env={**self._environment(additional_env), "TMPDIR": str(temporary)},
                pass_fds=(held,),
                start_new_session=True,
            )
            with self.interruption.forwarded_to(process.pid):
                code = process.wait()
            result = CommandResult(stdout=_text(stdout), stderr=_text(stderr), code=code)
        if code == 0:
            return result
        if self.interruption.signals:
            raise Interrupted("interrupted", why="operations that were in flight are finished and the state is saved")
        raise create_command_error(result)

    @staticmethod
    def _leash() -> list[str]:
        return [sys.executable, "-I", "-S", str(leash.__file__), str(os.getpid())]

    def _environment(self, additional: Mapping[str, str]) -> dict[str, str]:
        # Nothing of the caller's Pulumi settings may leak in: another backend or passphrase would be a disaster.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        return {**inherited, "PULUMI_AUTOMATION_API": "true", **additional, **self.mark}


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", errors="replace").rstrip()
