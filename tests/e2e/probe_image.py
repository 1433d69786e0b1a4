"""The image of the pods that try a tenant's flows: the node tests' probe beside psql and curl, as solutions have them.

Built as the solutions' images are, from Debian packages, and pulled by digest from the platform's registry.
"""

from pathlib import Path

from provisioner.catalogue.images.building import BuiltImage, build
from provisioner.catalogue.images.definition import ImageDefinition, ImageFile

PSQL = "/usr/lib/postgresql/15/bin/psql"


def build_probe_image(probe: Path, *, cache: Path) -> BuiltImage:
    """Build the image around the program ``probe``; fetches packages, so it needs the machine's network."""
    definition = ImageDefinition(
        name="flows-probe",
        repository="coopctl-test/flows-probe",
        description="Tries what a tenant's pods can reach.",
        packages=("coreutils", "curl", "dash", "postgresql-client-15"),
        # Needed by scripts that are not run or used here; Perl among it.
        without=("debconf", "postgresql-client-common", "sensible-utils"),
        files=(ImageFile(source=probe, target="usr/bin/probe", mode=0o755),),
        prune=("usr/lib/*/gconv", "usr/share/postgresql"),
        entrypoint=("/usr/bin/probe",),
        user_id=65532,
        user_name="probe",
        port=8080,
        source=probe,
    )
    return build(definition, cache=cache, report=print)
