"""What the estate of a cooperative's own says, and what goes into its folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue import images_lock
from provisioner.catalogue.charts_lock import ChartsLock
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_estate, load_platform
from provisioner.errors import NotFound, UsageError
from provisioner.naming import own_cluster_id
from provisioner.operations.migration_site import MigrationSite, open_migration
from provisioner.operations.migration_tenancy import target_place
from provisioner.operations.own_estate.contents import (
    Offer,
    locked_charts,
    locked_images,
    made_texts,
    taken_along,
)
from provisioner.operations.own_estate.deciding import OwnEstateOptions, OwnPlatform, decide
from provisioner.operations.own_estate.folder import require_free, write_estate
from provisioner.rules.excepting import known_rules
from tests.unit.descriptor.test_descriptor_migrations import FILE, MIGRATION
from tests.unit.descriptor.test_descriptor_platform import OWN
from tests.unit.descriptor.worlds import COOPERATIVE, TEMPLATE, World, world
from tests.unit.operations.test_operations_cluster_checks import READY
from tests.unit.plan import builders

ENVIRONMENT = {
    "PG_PASSWORD": "x",
    "RICE_DSN": "postgresql://mover:hush-hush@db.rice.kr:5433/rice?sslmode=verify-full&sslrootcert=/etc/ca.pem",
}
PLACED = MIGRATION.replace("{env: RICE_DSN}", "{env: RICE_DSN}, pods: {address: 192.0.2.7, port: 5433}").replace(
    "{file: secret/key}", "{file: secret/key}, pods: {address: 192.0.2.8, port: 443}"
)
CLUSTER = "    cluster: {kubeconfig: {file: kube/config}, context: theirs}\n"
EXCEPTION = """\
apiVersion: coopctl.dev/v1
kind: PolicyException
metadata: {{name: {name}}}
spec: {{cooperative: {cooperative}, rule: pod-annotations, who: 담당자, why: a webhook, until: 2027-12-31}}
"""
OFFER = Offer(catalogue=builders.catalogue(), programs=("probe",), rules=known_rules())


def made(folder: Path, *, cooperatives: dict[str, str] | None = None) -> World:
    found = world(folder, cooperatives or {"rice": COOPERATIVE}, platform=OWN)
    found.write(FILE, PLACED + CLUSTER)
    found.write("secret/key", "[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    found.write("secrets/s3", "[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    return found


def site_of(found: World, **environment: str) -> MigrationSite:
    return open_migration(found.estate, "rice-out", environment={**ENVIRONMENT, **environment})


def cooperative_of(found: World) -> Cooperative:
    _, [cooperative] = load_estate(found.estate, names=["rice"])
    return cooperative


def decided(
    found: World, *, registry: str = "registry.rice.kr", site: MigrationSite | None = None, **changes: Any
) -> OwnPlatform:
    site = site or site_of(found)
    cluster = site.migration.target.cluster
    assert cluster is not None
    facts = changes.pop("facts", READY)
    encrypted = changes.pop("encrypted", True)
    return decide(
        site,
        cooperative_of(found),
        cluster=cluster,
        facts=facts,
        encrypted=encrypted,
        place=target_place(site),
        options=OwnEstateOptions(registry=registry, **changes),
    )


def written(found: World, own: OwnPlatform, folder: Path) -> Estate:
    texts = made_texts(own, cooperative=cooperative_of(found), migration="rice-out", registry="old.example.kr")
    images = images_lock.ImagesLock(source=folder / "images.lock")
    charts = ChartsLock(source=folder / "charts" / "charts.lock")
    write_estate(Estate(root=folder), texts, images=images, charts=charts)
    return Estate(root=folder)


def test_platform_yaml_says_what_the_migration_and_the_cluster_know(tmp_path: Path) -> None:
    found = made(tmp_path / "here")
    platform = load_platform(written(found, decided(found), tmp_path / "own"))
    assert platform.cluster.id == own_cluster_id(cooperative_of(found).name, cluster=site_of(found).platform.cluster.id)
    assert (platform.cluster.kubeconfig, platform.cluster.context) == (found.estate.root / "kube/config", "theirs")
    assert platform.cluster.networks == READY.networks
    postgres, objects = platform.postgres, platform.objects
    assert (postgres.admin.host, postgres.admin.port, postgres.admin_user) == ("db.rice.kr", 5433, "mover")
    assert (postgres.sslmode, postgres.ca_file) == ("verify-full", Path("/etc/ca.pem"))
    assert (postgres.pods.host, objects.pods.host, objects.pods_scheme) == ("192.0.2.7", "192.0.2.8", "https")
    assert postgres.admin_password.file == tmp_path / "own/secrets/postgres-password"
    assert platform.names_of(cooperative_of(found).name).bucket == "prod-rice"
    assert (platform.registry.address, platform.ingress.class_name) == ("registry.rice.kr", "nginx")
    assert (platform.storage_classes, platform.domain_suffixes) == (("standard",), ("example.kr",))
    assert platform.dns.pod_labels == (("k8s-app", "kube-dns"),)


def test_options_go_before_what_the_cluster_offers(tmp_path: Path) -> None:
    found = made(tmp_path / "here")
    several = replace(READY, ingress_classes=("a", "b"), default_storage=None, default_priorities=("usual",))
    with pytest.raises(UsageError, match="IngressClasses are a, b"):
        decided(found, facts=several)
    own = decided(
        found,
        facts=several,
        ingress_class="b",
        ingress_addresses=("192.0.2.1",),
        dns_addresses=("192.0.2.2",),
        storage_classes=("fast",),
    )
    platform = load_platform(written(found, own, tmp_path / "own"))
    assert (platform.ingress.class_name, platform.ingress.controller_addresses) == ("b", ("192.0.2.1",))
    assert (platform.dns.addresses, platform.dns.namespace) == (("192.0.2.2",), None)
    assert (platform.storage_classes, platform.priority_classes) == (("fast",), ("usual",))
    with pytest.raises(UsageError, match="is not a registry"):
        decided(found, registry="https://registry.rice.kr")


@pytest.mark.parametrize(("encrypted", "mode"), [(True, "require"), (False, "disable")])
def test_a_dsn_that_leaves_encryption_open_is_settled_by_what_came_of_it(
    tmp_path: Path, encrypted: bool, mode: str
) -> None:
    found = made(tmp_path / "here")
    site = site_of(found, RICE_DSN="postgresql://mover:x@db.rice.kr/rice?sslmode=prefer")
    assert decided(found, site=site, encrypted=encrypted).sslmode == mode


def test_a_strange_name_breaks_neither_yaml_nor_page_and_no_secret_is_written(tmp_path: Path) -> None:
    strange = 'a: [b] # {{ 1 + 1 }} \\" #'
    text = COOPERATIVE.replace("displayName: 쌀조합", f'displayName: "{strange}"')
    found = made(tmp_path / "here", cooperatives={"rice": text})
    own = decided(found)
    estate = written(found, own, tmp_path / "own")
    assert load_platform(estate).name == "rice"
    for file in (file for file in estate.root.rglob("*") if file.is_file()):
        assert "hush-hush" not in file.read_text()
    assert (estate.root / "README.md").read_text().startswith('# a: [b] # {{ 1 + 1 }} " #: an estate of its own')
    assert "데이터 저장소" in (estate.root / "README.ko.md").read_text()
    assert (estate.root / ".gitignore").read_text() == ".coopctl/\nsecrets/\n"
    assert (estate.local / "passphrase").stat().st_mode & 0o777 == 0o600


def test_written_again_the_passphrase_stays(tmp_path: Path) -> None:
    found = made(tmp_path / "here")
    first = (written(found, decided(found), tmp_path / "own").local / "passphrase").read_text()
    assert (written(found, decided(found), tmp_path / "own").local / "passphrase").read_text() == first


def test_what_is_the_estate_s_own_goes_along_as_it_is_and_nothing_of_others(tmp_path: Path) -> None:
    text = COOPERATIVE.replace(
        "members: [{id: m-1, name: 회원사 001, employees: 8}]", "members: {file: ../members/r.csv}"
    )
    own = text.replace("template: manufacturing", "template: own")
    other = COOPERATIVE.replace("name: rice,", "name: plastics,").replace("rice.example", "plastics.example")
    found = made(tmp_path, cooperatives={"rice": own, "plastics": other})
    found.write("members/r.csv", "id,name,employees\nm-1,회원사 001,8\n")
    found.write("members/plastics.csv", "id,name,employees\n")
    found.write("tenant_templates/own/template.yaml", TEMPLATE)
    found.write("tenant_templates/theirs/template.yaml", TEMPLATE.replace("name: own", "name: theirs"))
    for name, cooperative in (("webhook", "rice"), ("others", "plastics")):
        found.write(f"exceptions/{name}.yaml", EXCEPTION.format(name=name, cooperative=cooperative))
    files = taken_along(found.estate, cooperative_of(found), offer=OFFER)
    assert sorted(map(str, files)) == [
        "cooperatives/rice.yaml",
        "exceptions/webhook.yaml",
        "members/r.csv",
        "tenant_templates/own/template.yaml",
    ]
    assert files[Path("cooperatives/rice.yaml")].decode() == own


def test_only_the_images_that_it_runs_are_locked(tmp_path: Path) -> None:
    found = made(tmp_path)
    with pytest.raises(NotFound, match="'portal' has no digest"):
        locked_images(found.estate, cooperative_of(found), offer=OFFER, file=tmp_path / "own.lock")
    images_lock.write(replace(builders.fake_lock(), source=found.estate.images_lock))
    lock = locked_images(found.estate, cooperative_of(found), offer=OFFER, file=tmp_path / "own.lock")
    assert list(lock.images) == ["portal"]
    assert locked_charts(found.estate, cooperative_of(found), folder=tmp_path).charts == {}


def test_nothing_of_somebody_s_is_written_over(tmp_path: Path) -> None:
    require_free(tmp_path / "new")
    (tmp_path / "file").touch()
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(UsageError, match="is not empty"):
            require_free(taken)
