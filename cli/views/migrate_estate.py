"""How it looks when a cooperative gets an estate of its own."""

from pathlib import Path

from cli.views import human, json
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.own_estate.handing import HandedOver


def question(site: MigrationSite, folder: Path) -> str:
    """What changes hands."""
    return (
        f"Write the estate of {site.tenant.cooperative} into {folder}, and hand its data store at {site.target} and"
        f" {site.target_bucket} over to it? Nothing of it is changed from here any more; what runs here goes on until"
        " the first apply there."
    )


def show(found: HandedOver, *, output: str) -> None:
    """Where it is, and what comes next."""
    if output == "json":
        files = [str(file.relative_to(found.folder)) for file in found.files]
        content = {"migration": found.migration, "cooperative": found.cooperative, "folder": str(found.folder)}
        json.write("MigrationEstate", {**content, "cluster": str(found.cluster), "files": files})
        return
    console = human.stdout()
    console.print(f"{found.migration}: the estate of {found.cooperative} is in {found.folder}", markup=False)
    console.print(f"the data store is handed over to its cluster {found.cluster}", markup=False)
    console.print("next: README.md (README.ko.md) there says every command in its order", markup=False)
