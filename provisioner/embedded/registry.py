"""The embedded platform's OCI registry, on loopback only: the node's containerd and coopctl are its clients."""

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from provisioner.embedded.ports import LOOPBACK
from provisioner.embedded.private_files import generated, private_folder, write_if_changed
from provisioner.embedded.process import ProcessSpec, ReadyProbe, Surroundings


@dataclass(frozen=True, kw_only=True)
class RegistryPart:
    """The registry (distribution v3) as a part of the embedded platform."""

    @property
    def name(self) -> str:
        """The name in progress lines."""
        return "registry"

    @property
    def tools(self) -> tuple[str, ...]:
        """The registry."""
        return ("registry",)

    def prepare(self, surroundings: Surroundings) -> None:
        """Make its folder and its settings."""
        private_folder(surroundings.data(self.name))
        write_if_changed(_settings(surroundings), _configuration(surroundings))

    def specs(self, surroundings: Surroundings) -> tuple[ProcessSpec, ...]:
        """The one process."""
        port = surroundings.endpoints.registry
        return (
            ProcessSpec(
                name=self.name,
                argv=(str(surroundings.tools["registry"]), "serve", str(_settings(surroundings))),
                log=surroundings.logs / "registry.log",
                environment={"OTEL_TRACES_EXPORTER": "none"},
                ready=ReadyProbe(description=f"the registry on port {port}", check=lambda: _serves(port)),
                ports=(port,),
                stop_timeout_seconds=5.0,
            ),
        )

    def complete(self, surroundings: Surroundings) -> None:
        """Nothing: images are pushed by `coopctl images build`."""

    def remove(self, surroundings: Surroundings) -> None:
        """Nothing outside the estate."""


def _configuration(surroundings: Surroundings) -> str:
    # JSON is YAML, and needs no quoting rules of its own for paths with spaces.
    return json.dumps(
        {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(surroundings.data("registry") / "storage")},
                "delete": {"enabled": True},
            },
            "http": {
                "addr": f"{LOOPBACK}:{surroundings.endpoints.registry}",
                "secret": generated(surroundings.files.root / "secrets" / "registry-http-secret"),
            },
        },
        indent=2,
    )


def _settings(surroundings: Surroundings) -> Path:
    return surroundings.data("registry") / "settings.yaml"


def _serves(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{LOOPBACK}:{port}/v2/", timeout=1) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
