"""Whether this machine's disk has room for the work, asked before anything is begun."""

import shutil
from pathlib import Path

from provisioner.errors import DiskFull
from provisioner.operations.site import Site

# A stack's state (below 1 MB) is written anew beside the old one at each step and kept once more per apply; the rest is
# for the output and events of all the CLIs that may run at a time.
NEEDED_BYTES = 64 * 1024**2
_MIB = 1024**2


def require_room(site: Site) -> None:
    """Raise DiskFull if the folders that work on stacks writes to have too little room."""
    settings = site.engine.settings
    for folder in dict.fromkeys((settings.work, settings.state_folder or settings.work)):
        free = shutil.disk_usage(_existing(folder)).free
        if free < NEEDED_BYTES:
            raise DiskFull(
                f"the disk with {folder} has {free // _MIB} MiB left, and work on stacks needs {NEEDED_BYTES // _MIB}",
                hint="make room on that disk and run the same command again; nothing was begun",
            )


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there already."""
    return next(each for each in (folder, *folder.parents) if each.exists())
