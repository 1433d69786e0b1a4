"""Opens what the commands of `coopctl migrate` work with."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from provisioner.catalogue import Catalogue
    from provisioner.descriptor.estate import Estate
    from provisioner.engine.state import Checkpoint
    from provisioner.operations.migration_site import MigrationSite, TargetSite
    from provisioner.operations.own_estate.contents import Offer


def site(estate_path: Path | None, name: str) -> "MigrationSite":
    """The migration ``name`` with both sides."""
    import os

    from cli import wiring
    from provisioner.operations.migration_site import open_migration

    return open_migration(wiring.open_estate(estate_path), name, environment=os.environ)


def whole(estate_path: Path | None, name: str, *, verb: str) -> "MigrationSite":
    """The same, for a command that a member's slice has no use for."""
    from provisioner.operations.migration_site import require_whole

    found = site(estate_path, name)
    require_whole(found, verb=verb)
    return found


def target(estate_path: Path | None, name: str) -> "TargetSite":
    """The target alone, from an estate or from a folder with nothing but the document."""
    import os

    from cli import wiring
    from provisioner.operations.migration_site import migration_estate, open_target

    estate = wiring.nearest_estate(None) if estate_path is None else None
    alone = estate or migration_estate(estate_path or Path.cwd(), name)
    return open_target(alone, name, environment=os.environ)


def offer(site: "MigrationSite") -> "Offer":
    """What is known of solutions in the estate of ``site``."""
    from cli import wiring
    from provisioner.operations.own_estate.contents import Offer
    from provisioner.rules.excepting import known_rules

    return Offer(
        catalogue=catalogue_of(site.estate),
        programs=tuple(program.name for program in wiring.programs(report=lambda _: None)),
        rules=known_rules(),
    )


def applied(site: "MigrationSite") -> "Callable[[], Checkpoint | None]":
    """Reads the state of the cooperative's stack each time that it is called; the estate is opened at the first."""
    from functools import cache

    from cli.site import open_site

    opened = cache(lambda: open_site(site.estate.root, names=()))
    return lambda: opened().engine.checkpoint(site.tenant.stack)


def catalogue_of(estate: "Estate") -> "Catalogue":
    """The solutions on offer in ``estate``."""
    from cli import wiring

    return wiring.open_catalogue(estate=estate)


def now() -> "datetime":
    """The time, with a zone."""
    from datetime import UTC, datetime

    return datetime.now(UTC)
