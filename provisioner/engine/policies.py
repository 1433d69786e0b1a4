"""The policy pack that a stack is held to, as the pulumi CLI is told of it: a folder and a configuration file.

Who judges is a process of its own that the CLI starts; so what it must know of the tenant goes through the file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIGURATION_FILE = "policies.json"


@dataclass(frozen=True, kw_only=True)
class PolicyPack:
    """A policy pack in ``folder``, the ``configuration`` of its policies, and the folder that its rules lie in."""

    folder: Path
    configuration: Mapping[str, Any]
    rules: Path

    @property
    def digest(self) -> str:
        """Changes whenever something may be judged otherwise."""
        digest = hashlib.sha256(_text(self.configuration).encode())
        for folder in (self.folder, self.rules):
            for file in sorted(folder.glob("*.py")):
                digest.update(f"{file.name}\0".encode() + file.read_bytes())
        return digest.hexdigest()

    def write_configuration(self, folder: Path) -> Path:
        """Write the configuration below ``folder``, in one step, and give its file."""
        file = folder / CONFIGURATION_FILE
        temporary = file.with_suffix(".new")
        temporary.write_text(_text(self.configuration), encoding="utf-8")
        temporary.replace(file)
        return file


def no_policies(_: str) -> PolicyPack | None:
    """Every stack is held to no policy pack."""
    return None


def _text(configuration: Mapping[str, Any]) -> str:
    return json.dumps(configuration, ensure_ascii=False, sort_keys=True)
