"""How the pinned tools look: a table, and what an archive took or brought."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cli.views import human, json
from provisioner.toolchain import Tool
from provisioner.toolchain.archive import Exported, Imported

_MEGABYTE = 1_000_000


def show_tools(tools: Sequence[Tool], *, output: str) -> None:
    """Show each tool's version, origin, size and path."""
    if output == "json":
        json.write("ToolList", {"tools": [_document(tool) for tool in tools]})
        return
    rows: list[tuple[str, ...]] = [
        (tool.name, tool.wanted, tool.version if tool.path else "-", str(tool.origin), _size(tool), _path(tool))
        for tool in tools
    ]
    human.stdout().print(human.table("tool", "wanted", "found", "from", "size", "path", rows=rows))


def show_exported(exported: Exported, *, output: str) -> None:
    """Show the archive and the checksum that its receiver should compare."""
    if output == "json":
        document = {"file": str(exported.file), "size": exported.size, "sha256": exported.sha256}
        json.write("ToolchainExport", {**document, "manifest": asdict(exported.manifest)})
        return
    out = human.stdout()
    manifest = exported.manifest
    out.print(
        f"{exported.file}: {len(manifest.tools)} tools for {manifest.os}/{manifest.arch}, "
        f"{exported.size / _MEGABYTE:.0f} MB",
        markup=False,
    )
    out.print(f"SHA-256 {exported.sha256}", markup=False)


def show_imported(imported: Imported, *, output: str) -> None:
    """Show which tools are new in the cache."""
    if output == "json":
        json.write("ToolchainImport", asdict(imported))
        return
    out = human.stdout()
    out.print(f"added: {', '.join(imported.added) or 'nothing'}", markup=False)
    if imported.present:
        out.print(f"here already: {', '.join(imported.present)}", markup=False)


def _document(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "wanted": tool.wanted,
        "version": tool.version if tool.path else None,
        "origin": tool.origin.name.lower(),
        "path": _path(tool) or None,
        "sizeBytes": tool.size_bytes,
    }


def _size(tool: Tool) -> str:
    return f"{tool.size_bytes / _MEGABYTE:.0f} MB" if tool.size_bytes is not None else ""


def _path(tool: Tool) -> str:
    return str(tool.path) if tool.path else ""
