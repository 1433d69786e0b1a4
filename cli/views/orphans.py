"""How orphans look: stacks that are applied and have no descriptor any more, each with what to do about it."""

from collections.abc import Sequence
from typing import Any

from cli.views import human
from cli.views.telling import teller
from provisioner.operations.orphans import Orphan


def documents(orphans: Sequence[Orphan]) -> list[dict[str, Any]]:
    """The JSON form of orphans."""
    return [
        {
            "stack": orphan.stack,
            "displayName": orphan.display_name or None,
            "domain": orphan.domain or None,
            "resources": orphan.resources,
            "remedy": orphan.remedy,
        }
        for orphan in orphans
    ]


def show(orphans: Sequence[Orphan]) -> None:
    """Show each orphan for people."""
    console = human.stdout()
    for orphan in orphans:
        what = f"applied ({orphan.resources} resources), but has no descriptor"
        console.print(f"{orphan}: {what}", style="bold red", markup=False)
        console.print(f"  hint: {orphan.remedy}", markup=False)


def warn(doubt: str, *, events: bool) -> None:
    """Tell of a doubt that nobody is asked about."""
    teller(events=events)(f"warning: {doubt}")
