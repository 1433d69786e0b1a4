"""The program that Pulumi runs: its own failure is remembered, and nothing that it was run in stays open."""

import asyncio
from unittest.mock import Mock

import grpc
import pytest
from pulumi.automation import _stack
from pulumi.runtime.proto import language_pb2

from provisioner.engine.quiet import ClosingLanguageServer, RememberingProgram
from provisioner.errors import CoopctlError
from tests.free_ports import claimed_port


def test_the_event_loop_of_a_program_is_closed_also_if_the_cli_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def recorded() -> asyncio.AbstractEventLoop:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", recorded)
    gone = f"127.0.0.1:{claimed_port()}"
    request = language_pb2.RunRequest(project="p", stack="s", monitor_address=gone, parallel=4, args=[gone])
    answer = ClosingLanguageServer(lambda: None).Run(request, Mock(spec=grpc.ServicerContext))
    assert [loop.is_closed() for loop in made] == [True]
    assert "failed to connect" in answer.error


def test_the_automation_api_uses_the_language_server_that_closes() -> None:
    assert vars(_stack)["LanguageServer"] is ClosingLanguageServer


def test_a_program_remembers_the_error_that_it_raised() -> None:
    def program() -> None:
        raise CoopctlError("no such thing")

    remembering = RememberingProgram(program)
    with pytest.raises(CoopctlError):
        remembering()
    assert str(remembering.failure) == "no such thing"
