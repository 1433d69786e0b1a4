"""A network namespace for tests of a real node: they meet neither an embedded platform that runs on this machine
(`make demo` leaves one) nor another Kubernetes, and change no rule of the machine's.
"""

import ctypes
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class NetworkNamespace:
    """A network namespace with its loopback up; only the thread that enters it is in it, and what it starts."""

    _CLONE_NEWNET = 0x40000000

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        assert self._libc.unshare(self._CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        self._own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.leave()

    def enter(self) -> None:
        """Be in the namespace; children inherit it."""
        assert self._libc.setns(self._own, self._CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())

    def leave(self) -> None:
        """Be where the tests were started."""
        assert self._libc.setns(self._home, self._CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be inside for a while; tests in between may have left, so what ends inside enters again before."""
        self.enter()
        try:
            yield
        finally:
            self.leave()
        self._nobody_stays()

    def _nobody_stays(self) -> None:
        """No thread of this process is left inside: a library's would connect from there on behalf of later tests."""
        own = os.fstat(self._own).st_ino
        left = [task.name for task in Path("/proc/self/task").iterdir() if (task / "ns" / "net").stat().st_ino == own]
        names = [thread.name for thread in threading.enumerate() if str(thread.native_id) in left]
        assert not left, f"threads live on inside the network namespace: {left}, of them Python's: {names}"

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Be outside for a while: what needs the machine's network (packages) is got there."""
        self.leave()
        try:
            yield
        finally:
            self.enter()


def new_network_namespace() -> NetworkNamespace:
    """A network namespace of a test's own; the kernel takes it away with the last process in it.

    Without root the test that asks is left out.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root: a real node makes interfaces, mounts and packet filter rules")
    return NetworkNamespace()
