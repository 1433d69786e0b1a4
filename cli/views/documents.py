"""How documents are shown: what was written, what is valid, the schema."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli import failures
from cli.views import json as json_view
from provisioner.descriptor.loading import EstateCheck


def show_estate(folder: Path, *, made: Sequence[Path], output: str) -> None:
    """Say which files make up the new estate, and what comes next."""
    if output == "json":
        json_view.write("Estate", {"folder": str(folder.resolve()), "files": [str(file) for file in made]})
        return
    _write([f"made the estate {folder.resolve()}:", *(f"  {file}" for file in made)])
    sys.stderr.write(
        "The passphrase encrypts the secrets in the state: keep a copy in your password store.\n"
        "Next: coopctl dev up, then coopctl new NAME.\n"
    )


def show_cooperative(name: str, *, made: Sequence[Path], output: str) -> None:
    """Say which files describe the new cooperative, and what comes next."""
    if output == "json":
        json_view.write("NewCooperative", cooperative_document(name, made=made))
        return
    tell_made(name, made=made)
    sys.stderr.write(f"Next: list its members in members/{name}.csv, then coopctl plan {name}.\n")


def cooperative_document(name: str, *, made: Sequence[Path]) -> dict[str, Any]:
    """The JSON form of a new cooperative."""
    return {"name": name, "files": [str(file) for file in made]}


def tell_made(name: str, *, made: Sequence[Path]) -> None:
    """Say which files describe the new cooperative."""
    _write([f"made the cooperative {name}:", *(f"  {file}" for file in made)])


def show_valid(found: EstateCheck, *, output: str) -> None:
    """Say that the documents are valid; warnings go to stderr."""
    names = [one.cooperative.name for one in found.resolved if one.cooperative]
    if output == "json":
        diagnostics = [failures.diagnostic_document(problem) for problem in found.problems]
        json_view.write("Validation", {"valid": True, "cooperatives": names, "diagnostics": diagnostics})
        return
    for problem in found.problems:
        sys.stderr.write("\n".join(failures.diagnostic_lines(problem)) + "\n")
    noun = "cooperative" if len(names) == 1 else "cooperatives"
    _write([f"valid: the platform and {len(names)} {noun}"])


def show_schema(schema: Mapping[str, Any], *, kind: str | None, output: str) -> None:
    """Print the schema of ``kind`` (None: of all): alone, or as part of a document."""
    if output == "json":
        json_view.write("Schema", {"of": kind, "schema": schema})
        return
    _write([json.dumps(schema, ensure_ascii=False, indent=2)])


def show_completion(script: str, *, shell: str, output: str) -> None:
    """Print the completion script of ``shell``: alone, or as part of a document."""
    if output == "json":
        json_view.write("Completion", {"shell": shell, "script": script})
        return
    _write([script])


def _write(lines: Sequence[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
