"""Gives a folder a second, short path: the kubelet makes sockets below its folder, and a socket's path has 107 bytes.

A link would not do: the kubelet compares mount points with the path that it was given.
"""

from pathlib import Path

from provisioner.embedded.node.commands import run
from provisioner.embedded.node.removal import mounts_below


def bind(folder: Path, *, at: Path) -> None:
    """Let ``folder`` be at ``at`` too; harmless when it is. Both are made if absent. Raises CoopctlError."""
    for path in (folder, at):
        path.mkdir(parents=True, exist_ok=True)
    if at.resolve() in mounts_below([at]):
        return
    run(["mount", "--bind", folder, at])
    # Shared, as the kubelet wants it; but not with the folder's own file system, or every mount would be there twice.
    run(["mount", "--make-private", at])
    run(["mount", "--make-shared", at])
