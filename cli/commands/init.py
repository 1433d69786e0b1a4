"""`coopctl init`: a new estate."""

from pathlib import Path

import click

from cli import options


@click.command(epilog="Example: coopctl init /srv/estate --domain-suffix coops.example.kr")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--name", help="The platform's name (default: the folder's name).")
@click.option(
    "--domain-suffix",
    default="example.kr",
    show_default=True,
    help="Every cooperative's domain lies below it; platform.yaml may list more.",
)
@options.output
def init(*, folder: Path, name: str | None, domain_suffix: str, output: str) -> None:
    """Make a new estate: platform.yaml for the embedded platform, empty folders, and the passphrase of its state.

    Nothing that exists is overwritten; a folder that is an estate already is refused.
    """
    from cli.views import documents
    from provisioner.descriptor.scaffolding import create_estate, estate_name, new_cluster_id

    made = create_estate(
        folder, name=name or estate_name(folder), cluster_id=new_cluster_id(), domain_suffix=domain_suffix
    )
    documents.show_estate(folder, made=made, output=output)
