"""Pushes a built image to a registry, as skopeo does: by its content, unchanged."""

from provisioner.catalogue.images import skopeo
from provisioner.catalogue.images.building import BuiltImage
from provisioner.catalogue.images.oci_layout import REFERENCE


def push(image: BuiltImage, *, registry: str) -> None:
    """Copy ``image`` to ``registry`` (host and port); what is there already is not sent again.

    Raises what `skopeo.copy` raises.
    """
    skopeo.copy(f"oci:{image.layout}:{REFERENCE}", f"docker://{registry}/{image.repository}:{REFERENCE}")
