"""PULUMI_HOME: a folder with exactly the plugins that coopctl's programs use."""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

KUBERNETES_VERSION = "4.25.0"


def assemble_home(cache: Path, *, plugins: Mapping[str, Path | str]) -> Path:
    """Make a PULUMI_HOME below ``cache`` with ``plugins`` and return it.

    ``plugins`` maps a plugin's folder name (``resource-kubernetes-v4.25.0``) to its executable, which is linked, or to
    the text of a script. Every set of plugins has a home of its own, so that two installations of coopctl do not
    change each other's; making one twice, or at the same time, is harmless.
    """
    digest = hashlib.sha256("\n".join(f"{name}={plugins[name]}" for name in sorted(plugins)).encode()).hexdigest()
    home = cache / "pulumi" / digest[:12]
    for name, program in plugins.items():
        folder = home / "plugins" / name
        folder.mkdir(parents=True, exist_ok=True)
        _place(folder / _program(name), program=program)
    return home


def kubernetes_plugin() -> str:
    """The folder name of the Kubernetes provider's plugin."""
    return f"resource-kubernetes-v{KUBERNETES_VERSION}"


def _program(plugin: str) -> str:
    return f"pulumi-{plugin.rpartition('-v')[0]}"


def _place(file: Path, *, program: Path | str) -> None:
    if file.exists():
        return
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    if isinstance(program, Path):
        temporary.symlink_to(program)
    else:
        temporary.write_text(program)
        temporary.chmod(0o755)
    temporary.replace(file)
