"""Ports: free when chosen, kept for life, holders named."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles, read_endpoints
from provisioner.embedded import ports
from provisioner.embedded.liveness import marks
from provisioner.embedded.supervisor import wait_until
from provisioner.errors import CoopctlError
from tests.free_ports import claimed_endpoints


@contextmanager
def listening(port: int = 0, address: str = "127.0.0.1") -> Iterator[int]:
    """Listen on a port while the block runs."""
    with socket.socket() as listener:
        # As servers do: connections of an earlier listener that have just ended do not count.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - a listener at every address is in the way
def test_port_with_a_listener_is_not_free(address: str) -> None:
    with listening(address=address) as port:
        assert not ports.is_free(port)
    assert ports.is_free(port)


def test_taken_port_moves_all_ports_together() -> None:
    default = claimed_endpoints()
    with listening(default.registry):
        chosen = ports.choose(default)
    assert chosen.registry != default.registry
    assert chosen.registry - default.registry == chosen.api_server - default.api_server


def test_port_whose_grpc_neighbour_is_taken_is_not_chosen() -> None:
    default = claimed_endpoints()
    with listening(default.objects + ports.GRPC_OFFSET):
        assert ports.choose(default).objects != default.objects


def test_chosen_ports_are_kept_even_when_they_are_taken_later(tmp_path: Path) -> None:
    files = EmbeddedFiles(root=tmp_path)
    chosen = ports.settled_endpoints(files)
    with listening(chosen.registry):
        assert ports.settled_endpoints(files) == chosen
    assert read_endpoints(files) == chosen


def test_no_free_port_is_an_error() -> None:
    # Far from the ports of other tests' servers, which these listeners would be in the way of.
    default = replace(claimed_endpoints(), registry=25000)
    taken = [default.registry + 100 * step for step in range(25)]
    with pytest.raises(CoopctlError, match="no free ports"):
        _choose_with_all_taken(default, taken)


def _choose_with_all_taken(default: EmbeddedEndpoints, taken: list[int]) -> None:
    if not taken:
        ports.choose(default)
        return
    if not ports.is_free(taken[0]):
        _choose_with_all_taken(default, taken[1:])
        return
    with listening(taken[0]):
        _choose_with_all_taken(default, taken[1:])


def test_holder_of_a_port_is_named() -> None:
    with listening() as port:
        held = ports.holder(port)
    assert held.pid == os.getpid()
    assert held.name
    assert held.estate is None


def test_holder_of_another_estate_is_recognised_with_its_remedy(tmp_path: Path) -> None:
    root = tmp_path / "other estate" / ".coopctl" / "embedded"
    script = "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen();"
    script += "print(s.getsockname()[1], flush=True); time.sleep(60)"
    environment = {**os.environ, **marks(root=root, name="etcd", program=sys.executable)}
    argv = [sys.executable, "-c", script]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        assert wait_until(lambda: ports.holder(port).pid == other.pid, seconds=5)
        with pytest.raises(CoopctlError) as refused:
            ports.require_free([port], process="etcd")
        other.kill()
    assert f"of the estate {tmp_path / 'other estate'}" in refused.value.message
    assert f"coopctl dev down --estate '{tmp_path / 'other estate'}'" in str(refused.value.hint)


def test_answering_port_is_recognised() -> None:
    with listening() as port:
        assert ports.answers(port)
    assert not ports.answers(port)
