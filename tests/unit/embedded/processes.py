"""Small real processes for the supervisor's tests."""

import sys
from pathlib import Path

from provisioner.embedded.process import ProcessSpec, ReadyProbe

# Writes a file when it is ready and says when it is asked to stop.
_SERVER = """
import pathlib, signal, sys, time
name, marker, obedient = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3] == "True"
def stop(number, frame):
    print(f"{name} was asked to stop", flush=True)
    if obedient:
        sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print(f"{name} serves", flush=True)
marker.write_text(str(time.monotonic()))
while True:
    time.sleep(60)
"""


def server(folder: Path, name: str, **changes: object) -> ProcessSpec:
    """A process that is ready when ``folder/<name>.ready`` exists; ``obedient=False`` makes it ignore SIGTERM."""
    obedient = changes.pop("obedient", True)
    marker = folder / f"{name}.ready"
    wanted: dict[str, object] = {
        "name": name,
        "argv": (sys.executable, "-c", _SERVER, name, str(marker), str(obedient)),
        "log": folder / "logs" / f"{name}.log",
        "ready": ReadyProbe(description=f"the file {marker.name}", check=marker.exists),
        "start_timeout_seconds": 20.0,
        "stop_timeout_seconds": 10.0,
        "before_start": lambda: marker.unlink(missing_ok=True),
    }
    return ProcessSpec(**{**wanted, **changes})  # type: ignore[arg-type]  # any field may be given


def failing(folder: Path, name: str, *, says: str) -> ProcessSpec:
    """A process that says something and ends at once."""
    script = f"import sys; print({says!r}); sys.exit(3)"
    never = ReadyProbe(description="a wonder", check=lambda: False)
    return ProcessSpec(name=name, argv=(sys.executable, "-c", script), log=folder / "logs" / f"{name}.log", ready=never)
