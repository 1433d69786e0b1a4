"""How it looks what was taken into the catalogue, verified, or copied to other registries."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cli.views import human, json
from cli.views.images import MEBIBYTE, short
from cli.views.policy import counted
from provisioner.catalogue.images.mirroring import MirroredImage
from provisioner.operations.adding import Added
from provisioner.operations.verifying_catalogue import CatalogueCheck, ChartCheck


def show_added(added: Added, *, output: str) -> None:
    """Say which chart is in the catalogue now, and what comes next."""
    if output == "json":
        json.write("AddedChart", {**asdict(added), "chart": str(added.chart)})
        return
    instead = f" in place of {added.replaced or 'what could not be read'}" if added.replaced is not None else ""
    human.stdout().print(f"added {added.name} {added.version}{instead}: {added.chart} (proposed)", markup=False)
    look = f"look at it (coopctl catalogue show {added.name})"
    sys.stderr.write(f"Next: {look}, then set coopctl.dev/review: approved in its Chart.yaml.\n")


def show_check(found: CatalogueCheck, *, output: str) -> None:
    """Show each image and each chart with what is wrong, then how much is."""
    if output == "json":
        json.write("CatalogueCheck", _check_document(found))
        return
    out = human.stdout()
    rows: list[tuple[str, ...]] = [
        ("image", one.name, one.reference, "; ".join(one.problems) or f"whole, {one.size_bytes / MEBIBYTE:.1f} MiB")
        for one in found.images
    ]
    rows += [("chart", one.name, _version(one), "; ".join(one.problems) or _as_it_was(one)) for one in found.charts]
    out.print(human.table("what", "name", "as locked", "found", rows=rows))
    wrong = sum(bool(one.problems) for one in found.images) + sum(bool(one.problems) for one in found.charts)
    of = f"{counted(len(found.images), 'image')}, {counted(len(found.charts), 'chart')}"
    out.print(f"{of}: {counted(wrong, 'problem') if wrong else 'no problem'}", markup=False)


def show_mirrored(images: Sequence[MirroredImage], *, output: str) -> None:
    """Show which registry has which image now."""
    if output == "json":
        json.write("MirroredImages", {"images": [asdict(one) for one in images]})
        return
    rows: list[tuple[str, ...]] = [
        (one.name, one.repository, short(one.digest), one.source, one.target) for one in images
    ]
    human.stdout().print(human.table("image", "repository", "digest", "from", "to", rows=rows))


def _version(one: ChartCheck) -> str:
    return f"{one.locked.version} {short(one.locked.digest)}" if one.locked else "(not recorded)"


def _as_it_was(one: ChartCheck) -> str:
    return "as it was" if one.locked else "not compared"


def _check_document(found: CatalogueCheck) -> dict[str, Any]:
    return {
        "well": found.is_well,
        "images": [
            {"name": one.name, "reference": one.reference, "sizeBytes": one.size_bytes, "problems": list(one.problems)}
            for one in found.images
        ],
        "charts": [
            {
                "name": one.name,
                "version": one.locked.version if one.locked else None,
                "digest": one.locked.digest if one.locked else None,
                "problems": list(one.problems),
            }
            for one in found.charts
        ],
    }
