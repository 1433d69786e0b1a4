"""The Automation API without the CLI processes that coopctl does not need.

`Stack.up` asks the CLI for outputs and history afterwards, selecting a stack asks it whether it is there: each costs a
process, and those that decrypt a key derivation of more than a second. Events have told all of it already.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pulumi.automation import LocalWorkspace, Stack, UpdateSummary

from provisioner.errors import CoopctlError

Program = Callable[[], None]


class QuietWorkspace(LocalWorkspace):
    """A workspace that takes for granted that a stack is there: every operation names its stack and would fail."""

    def select_stack(self, stack_name: str) -> None:
        """Do nothing."""


class QuietStack(Stack):
    """A stack whose operations do not ask for outputs and history afterwards."""

    def outputs(self) -> dict[str, Any]:
        """No outputs: nobody asks for them."""
        return {}

    def info(self, show_secrets: bool = True) -> UpdateSummary:  # noqa: ARG002, FBT001, FBT002 - Pulumi's signature
        """An empty summary: the events have told more."""
        return UpdateSummary(
            kind="", start_time=datetime.now(UTC), message="", environment={}, config={}, result="succeeded"
        )


class RememberingProgram:
    """A program that remembers its own failure: Pulumi hands on only its text."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.failure: CoopctlError | None = None

    def __call__(self) -> None:
        """Run the program."""
        try:
            self._program()
        except CoopctlError as error:
            self.failure = error
            raise
