"""Puts together what work on stacks needs: documents, plans, programs, tools, engine. Nothing here decides anything."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import provisioner
from cli import wiring
from cli.views.telling import teller
from policies import plugin as policy_pack
from provisioner.catalogue import images_lock
from provisioner.cluster.objects import open_cluster
from provisioner.datastore.objects import objects_access
from provisioner.datastore.objects_server import ObjectsServerAdmin
from provisioner.datastore.postgres import postgres_access
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.datastore.records import open_records
from provisioner.datastore.store_places import moved_to, target_of
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import cooperative_files, load_estate
from provisioner.descriptor.platform import Platform
from provisioner.engine.engine import Engine
from provisioner.engine.home import assemble_home, kubernetes_plugin
from provisioner.engine.interruption import Interruption
from provisioner.engine.policies import PolicyPack
from provisioner.engine.settings import EngineSettings, engine_folder
from provisioner.operations.health import Readers
from provisioner.operations.site import Site
from provisioner.operations.validating import choice_warnings
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.platform import platform_plan
from provisioner.plan.solution_chart import require_installable
from provisioner.toolchain import Toolchain
from stacks.programs import StackPrograms
from stacks.provider import plugin

# Our provider and the policy pack run with the interpreter and the modules that this coopctl runs with.
_MODULES = (Path(provisioner.__file__).parent.parent,)
ENGINE_TOOLS = ("pulumi", "pulumi-resource-kubernetes")


def open_site(estate_path: Path | None, *, names: Sequence[str] | None = None, events: bool = False) -> Site:
    """The estate's stacks; with ``names`` only those cooperatives are loaded: others' mistakes do not matter,
    but a name or domain that one of those and another both mean does.

    ``events``: how the making of tools, if there is any, is told.
    """
    estate = wiring.open_estate(estate_path)
    catalogue = wiring.open_catalogue(estate=estate)
    platform, cooperatives = load_estate(estate, catalogue_names=catalogue.names, names=names)
    tell = teller(events=events)
    for warning in choice_warnings(cooperatives, catalogue=catalogue):
        tell(f"warning: {warning}")
    policing = wiring.open_policing(estate, platform=platform, cooperatives=cooperatives, names=names, report=tell)
    images = images_lock.read(estate.images_lock)
    # Tools come last: where there are none yet they take many minutes, and what is told afterwards was known before.
    for cooperative in cooperatives if names else ():
        require_installable(cooperative, catalogue=catalogue, images=images)
    plugins, engine = _engine(estate, platform=platform, policies=policing.policy_pack, report=tell)
    records = open_records(platform.state.url, credentials_file=platform.state.credentials_file)
    return Site(
        estate=estate,
        platform=platform,
        cooperatives={str(cooperative.name): cooperative for cooperative in cooperatives},
        described=frozenset(file.stem for file in cooperative_files(estate)),
        plan_cooperative=lambda cooperative: cooperative_plan(
            cooperative,
            platform=platform,
            catalogue=catalogue,
            images=images,
            exceptions=policing.excepted(cooperative.name),
            moved_to=moved_to(records, cooperative.name),
        ),
        plan_platform=partial(platform_plan, platform),
        programs=StackPrograms(targets=partial(target_of, estate, records)),
        engine=engine,
        plugins=plugins,
        policing=policing,
    )


def open_readers(site: Site) -> Callable[[], Readers]:
    """Connects to the servers that health is read from; one connection per thread."""
    platform = site.platform
    return lambda: Readers(
        cluster=open_cluster(platform),
        postgres=PostgresServerAdmin(postgres_access(platform.postgres), environment=os.environ),
        objects=ObjectsServerAdmin(objects_access(platform.objects), environment=os.environ),
    )


def _engine(
    estate: Estate,
    *,
    platform: Platform,
    policies: Callable[[str], PolicyPack | None],
    report: Callable[[str], None],
) -> tuple[tuple[str, ...], Engine]:
    toolchain = wiring.open_toolchain()
    tools = toolchain.ensure(ENGINE_TOOLS, report=report)
    plugins: dict[str, Path | str] = {
        kubernetes_plugin(): tools["pulumi-resource-kubernetes"],
        f"resource-{plugin.PACKAGE}-v{plugin.VERSION}": plugin.executable(Path(sys.executable), paths=_MODULES),
        policy_pack.PLUGIN: policy_pack.executable(Path(sys.executable), paths=_MODULES),
    }
    settings = EngineSettings(
        pulumi=tools["pulumi"],
        home=assemble_home(_cache(toolchain), plugins=plugins),
        work=engine_folder(estate.local),
        backend_url=platform.state.url,
        passphrase_file=platform.state.passphrase_file,
        credentials_file=platform.state.credentials_file,
    )
    return tuple(plugins), Engine(settings=settings, interruption=Interruption(), policies=policies)


def _cache(toolchain: Toolchain) -> Path:
    return toolchain.store.root.parent
