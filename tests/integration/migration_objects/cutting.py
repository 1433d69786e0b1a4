"""A TCP proxy that cuts connections, as a bad network does."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Proxy:
    """Passes bytes to ``port`` on loopback; each connection is cut after ``bytes_each``, or at once while ``down``."""

    port: int
    bytes_each: int
    down: bool = False
    cut: int = 0
    listener: socket.socket = field(default_factory=socket.socket)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        if self.down:
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self.port))
        left = [self.bytes_each]
        ways = [
            threading.Thread(target=self._pass, args=way, daemon=True)
            for way in ((client, server, left), (server, client, left))
        ]
        for way in ways:
            way.start()

    def _pass(self, source: socket.socket, sink: socket.socket, left: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                left[0] -= len(data)
                if left[0] < 0 or self.down:
                    self.cut += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextlib.contextmanager
def proxy(port: int, *, bytes_each: int) -> Iterator[Proxy]:
    """A proxy to ``port`` that runs while the block does."""
    made = Proxy(port=port, bytes_each=bytes_each)
    made.listener.bind(("127.0.0.1", 0))
    made.listener.listen(64)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.down = True
        made.listener.shutdown(socket.SHUT_RDWR)
        made.listener.close()
        thread.join()
