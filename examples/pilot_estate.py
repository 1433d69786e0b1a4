"""The pilot estate on the embedded platform, as the demos bring it to life: copied, and worked on by shown commands."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provisioner.descriptor.endpoints import embedded_files
from provisioner.naming import SECRET_DATA_STORE

PILOT = Path(__file__).parent / "pilot"
COOPERATIVE = "rice-processing"
COOPCTL = Path(sys.executable).with_name("coopctl")


class DemoFailed(Exception):
    """Something that a demo promises did not happen."""


def home(name: str, *, variable: str) -> Path:
    """Where the demo's estate lives: as ``variable`` says, else a folder that PostgreSQL's user can reach."""
    if variable in os.environ:
        return Path(os.environ[variable]).resolve()
    if os.geteuid() == 0:
        return Path("/var/lib/coopctl") / name
    return Path.home() / ".local" / "share" / "coopctl" / name


def copy_estate(estate: Path) -> None:
    """Copy the pilot estate to ``estate``, whole or not at all; one that is there is kept."""
    if (estate / "platform.yaml").exists():
        return
    print(f"$ cp -r examples/pilot {estate}")
    copied = estate.with_name(f"{estate.name}.new")
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(PILOT, copied, ignore=shutil.ignore_patterns(".coopctl"))
    copied.replace(estate)


def run(*arguments: str, estate: Path, environment: Mapping[str, str] | None = None) -> None:
    """Show and run one coopctl command; its failure ends the demo with the same exit code."""
    print(f"\n$ coopctl {' '.join(arguments)}", flush=True)
    command = [str(COOPCTL), *arguments, "--estate", str(estate)]
    done = subprocess.run(command, env=None if environment is None else {**environment}, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def why_no_pods(estate: Path) -> str | None:
    """Why no pod really runs here, in the words of `coopctl dev status`; None if pods do."""
    command = [str(COOPCTL), "dev", "status", "--output", "json", "--estate", str(estate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    node = json.loads(done.stdout)["node"]
    return None if node["kind"] == "real" else f"no pod really runs: the node is simulated, because {node['reason']}"


def credentials(cooperative: str, *, estate: Path) -> dict[str, str]:
    """The connection details that the cooperative's solutions get, read from its Secret."""
    return secret(f"{cooperative}-apps", SECRET_DATA_STORE, estate=estate)


def secret(namespace: str, name: str, *, estate: Path) -> dict[str, str]:
    """What a Secret holds."""
    found = core_api(estate).read_namespaced_secret(name, namespace)
    return {key: base64.b64decode(value).decode() for key, value in found.data.items()}


def core_api(estate: Path) -> Any:
    """The client of the cluster's core objects, as administrator."""
    from kubernetes.client import CoreV1Api

    return CoreV1Api(api_client(estate))


def api_client(estate: Path) -> Any:
    """What the clients of all kinds of objects are made of."""
    from kubernetes.config import new_client_from_config

    return new_client_from_config(config_file=str(embedded_files(estate).kubeconfig))
