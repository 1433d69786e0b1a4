"""The fixtures of the Pod Security Standards, from the published module that the toolchain's Kubernetes is built with.

They are not copied: Go's own client has the module in its cache since Kubernetes was built, or fetches it, and checks
it against go.sum.
"""

import json
import logging
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from provisioner.rules.pod_security import VERSION
from provisioner.toolchain import Toolchain
from provisioner.toolchain.building import build_environment
from provisioner.toolchain.go import ensure_go

MODULE = "k8s.io/pod-security-admission"
LEVELS = ("baseline", "restricted")


@dataclass(frozen=True, kw_only=True)
class Fixture:
    """A pod, the level it is tried on, and whether the standard accepts it."""

    level: str
    accepted: bool
    name: str
    pod: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.level}/{'pass' if self.accepted else 'fail'}/{self.name}"


def pod_security_fixtures(toolchain: Toolchain) -> tuple[Fixture, ...]:
    """All fixtures of both levels in our version of the standard."""
    folder = _module_folder(toolchain) / "test" / "testdata"
    return tuple(fixture for level in LEVELS for fixture in _fixtures(folder / level / VERSION, level=level))


def _fixtures(folder: Path, *, level: str) -> Iterator[Fixture]:
    for verdict in ("pass", "fail"):
        for file in sorted((folder / verdict).glob("*.yaml")):
            pod = yaml.safe_load(file.read_text(encoding="utf-8"))
            yield Fixture(level=level, accepted=verdict == "pass", name=file.stem, pod=pod)


def _module_folder(toolchain: Toolchain) -> Path:
    go = ensure_go(
        toolchain.store,
        requirements=toolchain.go_requirements,
        environment=toolchain.environment,
        report=logging.getLogger(__name__).info,
    )
    # In the folder of the module that pins it, so that its version and sum hold.
    done = subprocess.run(
        [str(go), "mod", "download", "-json", MODULE],
        cwd=toolchain.sources / "kube",
        env=build_environment(toolchain.environment),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr or done.stdout
    return Path(json.loads(done.stdout)["Dir"])
