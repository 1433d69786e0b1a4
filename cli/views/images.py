"""How images look: a table of what was done, or of what is locked."""

from collections.abc import Sequence
from dataclasses import asdict

from cli.views import human, json
from provisioner.catalogue.images.estate_images import ImageState, ListedImage

MEBIBYTE = 1024 * 1024
SHORT_DIGEST = len("sha256:") + 12


def show_states(states: Sequence[ImageState], *, output: str) -> None:
    """Show what became of each image."""
    if output == "json":
        json.write("ImageList", {"images": [asdict(state) for state in states]})
        return
    rows: list[tuple[str, ...]] = [
        (state.name, state.repository, short(state.digest), f"{state.size_bytes / MEBIBYTE:.1f} MiB", _done(state))
        for state in states
    ]
    human.stdout().print(human.table("image", "repository", "digest", "size", "done", rows=rows))


def show_list(images: Sequence[ListedImage], *, output: str) -> None:
    """Show each image with its locked digest and the solutions that run it."""
    if output == "json":
        json.write("ImageList", {"images": [asdict(image) for image in images]})
        return
    rows: list[tuple[str, ...]] = [
        (
            image.name,
            image.repository,
            short(image.digest) if image.digest else "(not built)",
            ", ".join(image.solutions),
        )
        for image in images
    ]
    human.stdout().print(human.table("image", "repository", "digest", "solutions", rows=rows))


def short(digest: str) -> str:
    """Enough of a digest to tell it from others; JSON and images.lock have all of it."""
    return digest[:SHORT_DIGEST]


def _done(state: ImageState) -> str:
    done = {"built": state.built, "locked": state.locked, "pushed": state.pushed}
    return ", ".join(word for word, happened in done.items() if happened) or "unchanged"
