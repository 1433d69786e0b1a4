"""How it looks when the platform's copy of a data store that has moved away is erased."""

from cli.views import human, json
from provisioner.operations.migration_erasing import Erased
from provisioner.operations.migration_site import MigrationSite


def question(site: MigrationSite) -> str:
    """What is destroyed."""
    names = site.tenant
    return (
        f"This erases what the platform still holds of {names.cooperative}, after a verified dump: the database"
        f" {names.database} at {site.source}, the bucket {names.bucket} with every version, its identity and all roles."
        f" The applications work at {site.target} and {site.target_bucket}."
    )


def show(found: Erased, *, output: str) -> None:
    """The proof."""
    if output == "json":
        content = {"migration": found.migration, "cooperative": found.cooperative}
        json.write("MigrationErased", {**content, "proof": dict(found.proof), "digest": found.digest})
        return
    console = human.stdout()
    console.print(
        f"{found.cooperative}: nothing of it is left on the platform's servers; looked up again", markup=False
    )
    console.print(f"the dump is {found.proof['dump']}; the proof has the SHA-256 {found.digest}", markup=False)
    console.print(f"`coopctl migrate report {found.migration}` shows what was there", markup=False)
