"""What lies beyond a real node: a network behind the host, and servers on the host itself, for pods to try."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

NAME = "coopctl-outside"
LINK = "coopw0"
HOST, GATEWAY = "192.0.2.1", "192.0.2.2"
LISTED = "203.0.113.10"
"""In the network that rice-processing's descriptor lists (RFC 5737: addresses for documentation)."""
UNLISTED = "198.51.100.10"
METADATA = "169.254.169.254"
"""Where clouds answer whoever asks on a machine with its credentials."""

_INSIDE = ("ip", "netns", "exec", NAME)
_LISTEN = """
import selectors, socket, sys
waiting = selectors.DefaultSelector()
for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    waiting.register(socket.create_server((host, int(port)), family=family), selectors.EVENT_READ)
print("listening", flush=True)
while True:
    for key, _ in waiting.select():
        key.fileobj.accept()[0].close()
"""


@contextmanager
def network_behind_the_host() -> Iterator[None]:
    """A network namespace that the caller's host routes to, with servers on LISTED, UNLISTED and METADATA."""
    addresses = (LISTED, UNLISTED, METADATA)
    commands = [
        ("ip", "netns", "add", NAME),
        ("ip", "link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", NAME),
        ("ip", "address", "add", f"{HOST}/24", "dev", LINK),
        ("ip", "link", "set", LINK, "up"),
        (*_INSIDE, "ip", "link", "set", "lo", "up"),
        (*_INSIDE, "ip", "address", "add", f"{GATEWAY}/24", "dev", "eth0"),
        (*_INSIDE, "ip", "link", "set", "eth0", "up"),
        *((*_INSIDE, "ip", "address", "add", f"{address}/32", "dev", "lo") for address in addresses),
        *(("ip", "route", "add", f"{address}/32", "via", GATEWAY) for address in addresses),
    ]
    take_away = ["ip", "netns", "delete", NAME]
    # One that a killed run left would be in the way.
    subprocess.run(take_away, check=False, capture_output=True)
    with ExitStack() as undo:
        undo.callback(subprocess.run, take_away, check=False, capture_output=True)
        for command in commands:
            subprocess.run(command, check=True, capture_output=True)
        places = [f"{LISTED}:443", f"{LISTED}:80", f"{UNLISTED}:443", f"{METADATA}:80"]
        undo.enter_context(listening(places, within=_INSIDE))
        yield


@contextmanager
def listening(places: Sequence[str], *, within: Sequence[str] = ()) -> Iterator[None]:
    """A server that takes connections at each of ``places`` (host:port)."""
    command = [*within, sys.executable, "-c", _LISTEN, *places]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == "listening\n"
            yield
        finally:
            server.kill()
