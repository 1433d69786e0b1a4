"""`coopctl migrate estate`: the estate that a cooperative takes with it to a cluster of its own.

The command is longer than others by the names of its options alone.
"""

from pathlib import Path

import click

from cli import completion, options
from cli.commands import migrate_site as opening


@click.command(
    epilog="Example: coopctl migrate estate rice-own-infrastructure /srv/rice --registry registry.rice.example.kr"
)
@click.argument("name", shell_complete=completion.migrations)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--registry", required=True, metavar="REGISTRY", help="Its own registry: host, port and path, no scheme.")
@click.option("--ingress-class", default="", metavar="CLASS", help="Which IngressClass (default: the only one).")
@click.option(
    "--ingress-namespace",
    default="ingress-nginx",
    show_default=True,
    metavar="NAMESPACE",
    help="The namespace of the ingress controller's pods.",
)
@click.option(
    "--ingress-address",
    "ingress_addresses",
    multiple=True,
    metavar="ADDRESS",
    help="Instead of a namespace: from where the controller reaches pods; may be repeated.",
)
@click.option(
    "--dns-address",
    "dns_addresses",
    multiple=True,
    metavar="ADDRESS",
    help="Cluster DNS by address (default: the pods k8s-app=kube-dns of kube-system); may be repeated.",
)
@click.option(
    "--storage-class",
    "storage_classes",
    multiple=True,
    metavar="CLASS",
    help="A StorageClass that solutions may use (default: the cluster's default one, else all); may be repeated.",
)
@options.yes
@options.events
@options.estate
@options.output
def estate(
    *,
    name: str,
    folder: Path,
    registry: str,
    ingress_class: str,
    ingress_namespace: str,
    ingress_addresses: tuple[str, ...],
    dns_addresses: tuple[str, ...],
    storage_classes: tuple[str, ...],
    yes: bool,
    events: bool,
    estate_path: Path | None,
    output: str,
) -> None:
    """Write into FOLDER the estate of the cooperative on its own cluster, and hand the data store over to it. Asks.

    After `finalise` and the `apply` that changes the credentials, and for a migration that names a cluster. The folder
    holds platform.yaml, the descriptor and all that belongs to it, images.lock, and a README (English and Korean) with
    the commands in their order. The data store at the target gets the mark of that estate: its `apply` adopts it, and
    nothing of it is changed from here any more. What runs here goes on until then. Killed or interrupted, the same
    command goes on.
    """
    from cli.views import confirm
    from cli.views import migrate_estate as view
    from cli.views.migrate import reporter
    from provisioner.operations.own_estate.deciding import OwnEstateOptions
    from provisioner.operations.own_estate.handing import hand_over, require_ready

    site = opening.site(estate_path, name)
    applied = opening.applied(site)
    require_ready(site, folder, applied=applied)
    confirm.ask(view.question(site, folder), yes=yes, events=events)
    found = hand_over(
        site,
        folder,
        options=OwnEstateOptions(
            registry=registry,
            ingress_class=ingress_class,
            ingress_namespace=ingress_namespace,
            ingress_addresses=ingress_addresses,
            dns_addresses=dns_addresses,
            storage_classes=storage_classes,
        ),
        offer=opening.offer(site),
        applied=applied,
        catalogue_of=opening.catalogue_of,
        now=opening.now,
        report=reporter(events=events),
    )
    view.show(found, output=output)
