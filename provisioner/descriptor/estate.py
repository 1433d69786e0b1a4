"""An estate: the folder (a git repository) that holds platform.yaml, cooperatives/ and what belongs to them."""

from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import NotFound

PLATFORM_FILE = "platform.yaml"


@dataclass(frozen=True, kw_only=True)
class Estate:
    """The folders and files of an estate; ``root`` is absolute."""

    root: Path

    @property
    def platform(self) -> Path:
        """The Platform document."""
        return self.root / PLATFORM_FILE

    @property
    def cooperatives(self) -> Path:
        """The folder of Cooperative documents, one file each, named as the cooperative."""
        return self.root / "cooperatives"

    @property
    def exceptions(self) -> Path:
        """The folder of PolicyException documents."""
        return self.root / "exceptions"

    @property
    def migrations(self) -> Path:
        """The folder of DataStoreMigration documents."""
        return self.root / "migrations"

    @property
    def images_lock(self) -> Path:
        """The digests of the images that plans pin."""
        return self.root / "images.lock"

    @property
    def templates(self) -> Path:
        """The estate's own templates; they come before those that coopctl ships."""
        return self.root / "tenant_templates"

    @property
    def charts(self) -> Path:
        """The estate's own solutions; they come before those that coopctl ships."""
        return self.root / "charts"

    @property
    def local(self) -> Path:
        """What belongs to this machine and is never committed."""
        return self.root / ".coopctl"


def find_estate(given: Path | None, *, start: Path) -> Estate:
    """Find the estate: the folder ``given``, else the nearest one upwards from ``start`` with platform.yaml.

    Raises NotFound if there is none.
    """
    if given is not None:
        if given.is_file():
            raise NotFound(f"{given} is a file, and an estate is a folder", hint=f"give its folder: {given.parent}")
        if not (given / PLATFORM_FILE).is_file():
            raise NotFound(f"{given} is not an estate: it has no {PLATFORM_FILE}", hint=f"run `coopctl init {given}`")
        return Estate(root=given.resolve())
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / PLATFORM_FILE).is_file():
            return Estate(root=folder)
    raise NotFound(
        f"no {PLATFORM_FILE} here or in any folder above", hint="run `coopctl init`, or give --estate or COOPCTL_ESTATE"
    )
