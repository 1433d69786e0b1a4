"""The provider's executable as the pulumi CLI starts it: it says its port, answers, and never outlives its parent."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from provisioner.engine.relaying import for_people
from stacks.provider import PLUGIN_NAME, VERSION, executable

ROOT = Path(__file__).parents[2]
# A parent that starts the plugin, passes its port on, and waits to be killed.
PARENT = """
import subprocess, sys, time
plugin = subprocess.Popen([sys.argv[1], "127.0.0.1:1"], stdout=subprocess.PIPE, text=True)
print(plugin.pid, plugin.stdout.readline().strip(), flush=True)
time.sleep(600)
"""
PATIENCE_SECONDS = 20


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """The executable, in a folder with a space and Hangul in its name."""
    file = tmp_path / "조합 home" / PLUGIN_NAME
    file.parent.mkdir()
    file.write_text(executable(Path(sys.executable), paths=(ROOT,)))
    file.chmod(0o755)
    return file


@pytest.fixture
def port(plugin: Path) -> Iterator[int]:
    """A running plugin."""
    with subprocess.Popen([plugin, "127.0.0.1:1", "--logtostderr"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()


def test_it_answers_with_its_version_and_clear_errors(port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        provider = provider_pb2_grpc.ResourceProviderStub(channel)
        schema = provider.GetSchema(provider_pb2.GetSchemaRequest()).schema
        assert json.loads(schema) == {"name": "coopctl", "version": VERSION}
        urn = "urn:pulumi:rice::coopctl::coopctl:postgres:Role::owner"
        with pytest.raises(grpc.RpcError) as caught:
            provider.Delete(provider_pb2.DeleteRequest(urn=urn, id="owner"))
        shown = for_people(caught.value.details() or "")
        assert shown == "the provider is not configured (hint: declare it with CoopctlProvider)"
        with pytest.raises(grpc.RpcError) as caught:
            provider.Invoke(provider_pb2.InvokeRequest(tok="coopctl:index:nothing"))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_it_ends_when_the_cli_that_started_it_was_killed(plugin: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, plugin], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[0])
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the plugin outlives its parent"
        time.sleep(0.1)


def test_the_executable_starts_the_given_interpreter_and_quotes_its_path() -> None:
    text = executable(Path("/opt/my python/bin/python"))
    assert text == "#!/bin/sh\nexec '/opt/my python/bin/python' -P -m stacks.provider \"$@\"\n"
