"""What goes into the folder: texts that are made, and what the platform's estate has of this one cooperative."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from provisioner.catalogue import Catalogue, charts_lock, images_lock
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_exceptions
from provisioner.descriptor.policy_exception import KnownRules
from provisioner.descriptor.writing import quoted
from provisioner.operations.own_estate.deciding import OBJECTS_CREDENTIALS, POSTGRES_PASSWORD, OwnPlatform

TEXTS = ("README.md", "README.ko.md", "platform.yaml")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What is known of solutions: the ``catalogue``, images of ``programs`` that coopctl runs itself, and ``rules``."""

    catalogue: Catalogue
    programs: tuple[str, ...]
    rules: KnownRules


def made_texts(own: OwnPlatform, *, cooperative: Cooperative, migration: str, registry: str) -> dict[Path, bytes]:
    """Pure: platform.yaml and what people read; images come from ``registry``."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - this is no HTML: in YAML the filters are the escaping
    )
    environment.filters["quoted"] = lambda value: quoted(str(value))
    environment.filters["listed"] = _listed
    environment.filters["line"] = lambda text: " ".join(str(text).split())
    facts = {
        "own": own,
        "domain": cooperative.network.domain,
        "migration": migration,
        "source_registry": registry,
        "files": {"postgres": POSTGRES_PASSWORD, "objects": OBJECTS_CREDENTIALS},
    }
    return {Path(name): environment.get_template(f"{name}.j2").render(facts).encode() for name in TEXTS}


def taken_along(estate: Estate, cooperative: Cooperative, *, offer: Offer) -> dict[Path, bytes]:
    """The descriptor, its members and exceptions, and its template and charts where they are the estate's own."""
    name = str(cooperative.name)
    descriptor = estate.cooperatives / f"{name}.yaml"
    exceptions = load_exceptions(estate, rules=offer.rules, names=(name,))
    chosen = [estate.charts / one.name for one in cooperative.solutions]
    files = [
        descriptor,
        *_members(descriptor),
        *(one.source.file for one in exceptions if one.cooperative == name),
        *_below(estate.templates / cooperative.template),
        *(file for chart in chosen for file in _below(chart)),
    ]
    return {_within(file, estate=estate): file.read_bytes() for file in files}


def locked_images(estate: Estate, cooperative: Cooperative, *, offer: Offer, file: Path) -> images_lock.ImagesLock:
    """The lock for ``file``: what the cooperative's solutions run, and coopctl's own programs where they are locked.

    Raises NotFound for an image of a solution that has no digest.
    """
    known = images_lock.read(estate.images_lock)
    needed = {image for one in cooperative.solutions for image in offer.catalogue.solution(one.name).images}
    own = {one for one in offer.programs if one in known.images}
    return images_lock.ImagesLock(source=file, images={name: known.image(name) for name in sorted(needed | own)})


def locked_charts(estate: Estate, cooperative: Cooperative, *, folder: Path) -> charts_lock.ChartsLock:
    """What is known of the contents of the estate's own charts that the cooperative chose."""
    names = {one.name for one in cooperative.solutions}
    found: Mapping[str, charts_lock.LockedChart] = charts_lock.read(estate.charts).charts
    kept = {name: chart for name, chart in found.items() if name in names}
    return charts_lock.ChartsLock(source=folder / charts_lock.FILE, charts=kept)


def _members(descriptor: Path) -> Iterator[Path]:
    """The members' file, if they are in one; the document was read and found valid before."""
    spec = yaml.safe_load(descriptor.read_text(encoding="utf-8"))["spec"]
    members = spec.get("members")
    if isinstance(members, dict):
        yield descriptor.parent / str(members["file"])


def _below(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _within(file: Path, *, estate: Estate) -> Path:
    """Where it is in the estate; a descriptor names no members outside, which loading refuses."""
    return Path(os.path.normpath(file)).relative_to(estate.root)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(quoted(str(one)) for one in values)
