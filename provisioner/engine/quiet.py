"""The Automation API without the CLI processes that coopctl does not need.

`Stack.up` asks the CLI for outputs and history afterwards, selecting a stack asks it whether it is there: each costs a
process, and those that decrypt a key derivation of more than a second. Events have told all of it already.

Its language server, which runs the program in a thread of this process, is replaced by one that leaves no event loop
open when the CLI goes away in the middle.
"""

import asyncio
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import grpc
from pulumi.automation import LocalWorkspace, Stack, UpdateSummary, _stack
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2

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


class ClosingLanguageServer(LanguageServer):
    """Pulumi's, with the event loop of a program closed also if the CLI has gone.

    Pulumi cancels what is pending before it closes the loop. If the CLI is gone by then, that fails instead, and the
    closing with it: the loop and its sockets would stay open.
    """

    def Run(  # noqa: N802 - the name of the remote procedure
        self, request: language_pb2.RunRequest, context: grpc.ServicerContext
    ) -> language_pb2.RunResponse:
        """Run the program; the answer says if it could not be run."""
        try:
            answer: language_pb2.RunResponse = super().Run(request, context)  # type: ignore[no-untyped-call]
            return answer
        except Exception as error:  # noqa: BLE001 - whatever it was: nobody is left to be told but the CLI, if it lives
            _close_loops(error.__traceback__)
            return language_pb2.RunResponse(error=str(error))


def _close_loops(failed: TracebackType | None) -> None:
    # The loop is known to the frame alone that has failed to close it.
    for frame, _ in traceback.walk_tb(failed):
        for value in list(frame.f_locals.values()):
            if isinstance(value, asyncio.AbstractEventLoop) and not value.is_running():
                value.close()


# The Automation API takes its language server from its own module: there is no parameter for it.
_stack.LanguageServer = ClosingLanguageServer  # type: ignore[attr-defined]


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
