"""What a cooperative's document is checked against."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from provisioner.descriptor.expressions import Evaluator
from provisioner.descriptor.platform import Platform
from provisioner.descriptor.templates import TemplateShelf


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The estate's folder, templates, platform (None if it has problems of its own) and the names of the
    catalogue's solutions (None where no catalogue is at hand)."""

    estate_root: Path
    shelf: TemplateShelf
    evaluator: Evaluator
    platform: Platform | None
    catalogue_names: Collection[str] | None
