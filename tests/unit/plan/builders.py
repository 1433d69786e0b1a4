"""The smallest world a plan can be made from: one cooperative, one platform, a lock with made-up digests."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from types import MappingProxyType

from provisioner.catalogue import Catalogue, load_catalogue
from provisioner.catalogue.images_lock import ImagesLock, LockedImage
from provisioner.catalogue.rendering import RenderedManifest
from provisioner.descriptor.cooperative import (
    Afterwards,
    Contact,
    ContainerLimits,
    Cooperative,
    Egress,
    Member,
    MemberLayout,
    NamespaceBudget,
    Network,
    ObjectStore,
    Operator,
    PostgresStore,
    SolutionChoice,
    SubjectKind,
    SupportPeriod,
)
from provisioner.descriptor.platform import (
    Cluster,
    DnsAccess,
    Endpoint,
    IngressAccess,
    ObjectsServer,
    Platform,
    PostgresServer,
    Registry,
    SecretReference,
    StateBackend,
)
from provisioner.descriptor.policy_exception import PolicyException
from provisioner.naming import ClusterId, CooperativeName
from provisioner.operations.policing import Policing
from provisioner.operations.policy_checking import charts_rendered_by
from provisioner.plan.resources import SolutionChart
from provisioner.toolchain import Toolchain

ROOT = Path(__file__).parents[3]
CHARTS = ROOT / "charts"
MIB = 1024**2
GIB = 1024**3
TODAY = date(2026, 11, 1)
FAKE_DIGEST = "sha256:" + "0123456789abcdef" * 4


def budget(*, pods: int = 30) -> NamespaceBudget:
    """A namespace's budget that grows with its pods."""
    return NamespaceBudget(
        requests_cpu_millis=pods * 100,
        limits_cpu_millis=pods * 250,
        requests_memory_bytes=pods * 128 * MIB,
        limits_memory_bytes=pods * 256 * MIB,
        requests_ephemeral_storage_bytes=pods * 64 * MIB,
        limits_ephemeral_storage_bytes=pods * 128 * MIB,
        requests_storage_bytes=20 * GIB,
        pods=pods,
        services=10,
        secrets=20,
        configmaps=20,
        persistentvolumeclaims=4,
        replicationcontrollers=0,
        deployments=10,
        replicasets=40,
        statefulsets=2,
        daemonsets=0,
        jobs=10,
        cronjobs=4,
        ingresses=5,
        networkpolicies=20,
        roles=5,
        rolebindings=5,
        serviceaccounts=10,
        resourcequotas=2,
        horizontalpodautoscalers=0,
        poddisruptionbudgets=10,
    )


def container_limits() -> ContainerLimits:
    """Limits that the portal fits into."""
    return ContainerLimits(
        default_cpu_millis=200,
        default_memory_bytes=128 * MIB,
        default_ephemeral_storage_bytes=128 * MIB,
        default_request_cpu_millis=50,
        default_request_memory_bytes=64 * MIB,
        default_request_ephemeral_storage_bytes=32 * MIB,
        max_cpu_millis=2000,
        max_memory_bytes=2 * GIB,
        max_ephemeral_storage_bytes=2 * GIB,
        min_cpu_millis=10,
        min_memory_bytes=16 * MIB,
        max_limit_request_ratio_cpu=10,
        max_limit_request_ratio_memory=4,
        max_claim_storage_bytes=10 * GIB,
    )


def cooperative(
    name: str = "rice-processing",
    *,
    display_name: str = "한국쌀가공식품협회",
    pods: int = 30,
    solutions: tuple[SolutionChoice, ...] = (SolutionChoice(name="portal"),),
    egress: tuple[Egress, ...] = (Egress(cidr="203.0.113.0/24", ports=(443,), why="tax office gateway"),),
) -> Cooperative:
    """A cooperative whose every field is set."""
    return Cooperative(
        name=CooperativeName(name),
        display_name=display_name,
        sector="food-processing",
        template="manufacturing",
        template_version="1",
        size="medium",
        support=SupportPeriod(start=date(2014, 6, 1), end=date(2017, 5, 31), afterwards=Afterwards.OWN_INFRASTRUCTURE),
        contact=Contact(name="조합 사무국", phone="02-000-0000", email="office@rice.example.kr"),
        members=(Member(id="001", name="회원사 001", employees=8), Member(id="002", name="회원사 002", employees=13)),
        operators=(Operator(kind=SubjectKind.USER, name="rice-operator"),),
        network=Network(domain="rice.example.kr", egress=egress),
        postgres=PostgresStore(
            member_layout=MemberLayout.COLUMN, storage_bytes=20 * GIB, connection_limit=40, extensions=("pgcrypto",)
        ),
        objects=ObjectStore(quota_bytes=50 * GIB, versioning=True),
        apps_budget=budget(pods=pods),
        data_budget=replace(budget(pods=6), requests_storage_bytes=0),
        container_limits=container_limits(),
        solutions=solutions,
        source=Path(f"cooperatives/{name}.yaml"),
        origins=MappingProxyType({}),
    )


def platform() -> Platform:
    """A platform like the embedded one."""
    return Platform(
        name="pilot",
        embedded=True,
        cluster=Cluster(id=ClusterId("pilot"), kubeconfig=Path("kubeconfig"), context=None),
        postgres=PostgresServer(
            admin=Endpoint(host="127.0.0.1", port=15432),
            pods=Endpoint(host="10.244.0.1", port=15432),
            admin_user="postgres",
            admin_password=SecretReference(env="POSTGRES_ADMIN_PASSWORD"),
            sslmode="verify-ca",
            ca_file=None,
            allowed_extensions=("pgcrypto",),
        ),
        objects=ObjectsServer(
            url="http://127.0.0.1:18333",
            iam_url="http://127.0.0.1:18333",
            region="us-east-1",
            pods=Endpoint(host="10.244.0.1", port=18333),
            pods_scheme="http",
            admin_credentials=SecretReference(env="OBJECTS_ADMIN"),
            ca_file=None,
        ),
        registry=Registry(address="127.0.0.1:15000", allowed=("127.0.0.1:15000/",)),
        state=StateBackend(url="file://.coopctl/state", passphrase_file=Path(".coopctl/passphrase")),
        domain_suffixes=("example.kr",),
        ingress=IngressAccess(class_name="coopctl", controller_addresses=("10.244.0.1",), http_port=18080),
        dns=DnsAccess(addresses=("10.244.0.1",)),
        storage_classes=("local",),
        priority_classes=(),
        help_desk=Contact(name="플랫폼 헬프데스크", phone="1577-0000", email="help@platform.example.kr"),
        dumps=None,
        source=Path("platform.yaml"),
    )


def catalogue() -> Catalogue:
    """The catalogue that coopctl ships."""
    return load_catalogue(CHARTS)


def fake_lock() -> ImagesLock:
    """A lock whose digests never change."""
    return ImagesLock(
        source=Path("images.lock"),
        images={
            name: LockedImage(repository=f"coopctl/{name}", digest=FAKE_DIGEST)
            for name in ("member-files", "portal", "tryton")
        },
    )


def rendered(chart: SolutionChart) -> list[RenderedManifest]:
    """A chart's manifests; the renderer is looked for when the first chart comes."""
    return charts_rendered_by(Toolchain().ensure(["helm-render"], report=print)["helm-render"])(chart)


def policing(*cooperatives: Cooperative, platform: Platform, exceptions: tuple[PolicyException, ...] = ()) -> Policing:
    """What ``cooperatives`` are held to on a day that never changes."""
    return Policing(
        platform=platform,
        cooperatives={str(one.name): one for one in cooperatives},
        exceptions=exceptions,
        today=TODAY,
        render=rendered,
        pack=ROOT / "policies",
    )
