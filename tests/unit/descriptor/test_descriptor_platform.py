"""The Platform document: embedded, or servers of one's own with references to secrets, never their values."""

import json
from pathlib import Path

import pytest

from provisioner.descriptor.endpoints import EmbeddedEndpoints, embedded_files, write_endpoints
from provisioner.descriptor.loading import load_platform
from provisioner.descriptor.platform import SecretReference
from provisioner.errors import InvalidDescriptor
from provisioner.naming import CooperativeName
from tests.unit.descriptor.worlds import PLATFORM, world

OWN = """\
apiVersion: coopctl.dev/v1
kind: Platform
metadata: {name: test}
spec:
  cluster: {id: prod, kubeconfig: ~/.kube/config, context: prod, networks: [10.0.0.0/8]}
  domainSuffixes: [example.kr]
  postgres:
    host: db.example.kr
    pods: {address: 192.0.2.10, port: 5432}
    admin: {user: coopctl, password: {env: PG_PASSWORD}}
    caFile: certificates/ca.crt
    allowedExtensions: [pg_trgm]
  objects:
    url: https://s3.example.kr
    pods: {address: 192.0.2.11, port: 443}
    admin: {credentials: {file: secrets/s3}}
  registry: {address: registry.example.kr, allowed: [quay.example.kr/team/]}
  ingress: {className: nginx, controllerNamespace: ingress-nginx}
  dns: {namespace: kube-system, podLabels: {k8s-app: kube-dns}}
  storageClasses: [standard]
  state: {backend: 's3://state/coopctl', passphrase: {file: secrets/passphrase}}
"""


def _problems(tmp_path: Path, text: str) -> list[str]:
    return world(tmp_path, {}, platform=text).problems()


def test_the_embedded_platform_takes_its_endpoints_from_what_it_wrote(tmp_path: Path) -> None:
    estate = world(tmp_path).estate
    write_endpoints(EmbeddedEndpoints(postgres=23456, registry=23457), files=embedded_files(estate.root))
    platform = load_platform(estate)
    assert platform.embedded
    assert (platform.postgres.admin.host, platform.postgres.admin.port) == ("127.0.0.1", 23456)
    assert (platform.postgres.pods.host, platform.postgres.pods.port) == ("10.244.0.1", 23456)
    assert platform.registry.allowed == ("127.0.0.1:23457/",)
    assert platform.ingress.class_name == "coopctl"
    assert platform.dns.addresses == ("10.244.0.1",)
    assert platform.storage_classes == ("local",)


def test_buckets_begin_with_the_cluster_s_id_unless_told(tmp_path: Path) -> None:
    told = OWN.replace("    url: https://s3", "    bucketPrefix: old\n    url: https://s3")
    for folder, text, bucket in (("without", OWN, "prod-rice"), ("with", told, "old-rice")):
        platform = load_platform(world(tmp_path / folder, {}, platform=text).estate)
        assert platform.names_of(CooperativeName("rice")).bucket == bucket
    [problem] = _problems(tmp_path / "wrong", told.replace("Prefix: old", "Prefix: xn-"))
    assert "spec.objects.bucketPrefix" in problem


def test_state_and_passphrase_lie_in_the_estate_unless_told(tmp_path: Path) -> None:
    estate = world(tmp_path / "내 조합").estate
    state = load_platform(estate).state
    assert state.url == f"file://{estate.root}/.coopctl/state"
    assert state.passphrase_file == estate.root / ".coopctl" / "passphrase"


def test_a_relative_state_folder_is_the_estates(tmp_path: Path) -> None:
    estate = world(tmp_path, platform=f"{PLATFORM}  state: {{backend: 'file://state'}}\n").estate
    assert load_platform(estate).state.url == f"file://{estate.root}/state"


def test_servers_of_ones_own_are_named_with_references_to_secrets(tmp_path: Path) -> None:
    estate = world(tmp_path, {}, platform=OWN).estate
    platform = load_platform(estate)
    assert not platform.embedded
    assert platform.cluster.kubeconfig == Path.home() / ".kube" / "config"
    assert platform.postgres.admin_password == SecretReference(env="PG_PASSWORD")
    assert platform.postgres.ca_file == estate.root / "certificates" / "ca.crt"
    assert platform.postgres.sslmode == "verify-full"
    assert platform.objects.admin_credentials == SecretReference(file=estate.root / "secrets" / "s3")
    assert platform.objects.iam_url == "https://s3.example.kr"
    assert platform.registry.allowed == ("registry.example.kr/", "quay.example.kr/team/")
    assert platform.state.url == "s3://state/coopctl"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{env: PG_PASSWORD}", "hunter2", "spec.postgres.admin.password: must say where the secret is, not the secret"),
        ("{env: PG_PASSWORD}", "{value: hunter2}", "spec.postgres.admin.password.value: is not a known field"),
        ("{env: PG_PASSWORD}", "{env: 'hunter 2'}", "is not the name of an environment variable"),
        ("{env: PG_PASSWORD}", "{env: A, file: b}", "must have exactly one of env and file"),
        ("{env: PG_PASSWORD}", "{}", "must have exactly one of env and file"),
        ("https://s3.example.kr", "https://key:hunter2@s3.example.kr", "spec.objects.url: holds credentials"),
        (
            "https://s3.example.kr",
            "https://s3.example.kr:65536",
            "spec.objects.url: 'https://s3.example.kr:65536' is not",
        ),
        ("https://s3.example.kr", "'http://[::::]:8333'", "spec.objects.url: 'http://[::::]:8333' is not a URL"),
        ("address: registry.example.kr", "address: 'registry.example.kr:0'", "spec.registry.address: "),
        ("{file: secrets/passphrase}", "hunter2", "spec.state.passphrase: must say where the secret is"),
        ("address: 192.0.2.10", "address: db.example.kr", "spec.postgres.pods.address: 'db.example.kr' is not an IP"),
        ("id: prod", "id: sthree", "spec.cluster.id: gives buckets names that begin with 'sthree-', which S3 reserves"),
        ("id: prod", "id: production-of-the-operator", "spec.cluster.id: is 26 characters long; 16 are the most"),
        ("kubeconfig: ~/.kube/config, ", "", "spec.cluster.kubeconfig: is missing"),
        ("  storageClasses: [standard]\n", "", "spec.storageClasses: is missing"),
        ("{namespace: kube-system, podLabels: {k8s-app: kube-dns}}", "{}", "spec.dns: must have either addresses or"),
        (
            "{namespace: kube-system, podLabels: {k8s-app: kube-dns}}",
            "{namespace: a}",
            "spec.dns.podLabels: is missing",
        ),
        ("controllerNamespace: ingress-nginx", "httpPort: 80", "spec.ingress: must have either controllerAddresses"),
        ("s3://state/coopctl", "https://app.pulumi.com", "is not a state backend (write file://PATH or s3://BUCKET)"),
        ("quay.example.kr/team/", "quay.example.kr/team", "is not a registry prefix (it ends with a slash)"),
        ("domainSuffixes: [example.kr]", "domainSuffixes: []", "spec.domainSuffixes:"),
        ("metadata: {name: test}", "metadata: {name: kube-test}", "begins with 'kube-', which is reserved"),
    ],
)
def test_a_wrong_platform_is_explained_and_no_secret_is_shown(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert OWN.count(old) == 1
    found = _problems(tmp_path, OWN.replace(old, new))
    assert any(said in problem for problem in found), found
    assert not any("hunter" in problem for problem in found if "environment variable" not in problem)


@pytest.mark.parametrize(
    "line",
    ["registry: {address: r.example.kr}", "registry: {allowed: [r.example.kr/]}", "dns: {addresses: [10.0.0.10]}"],
)
def test_nothing_of_ones_own_stands_beside_embedded(tmp_path: Path, line: str) -> None:
    (problem,) = _problems(tmp_path, f"{PLATFORM}  {line}\n")
    assert "cannot stand beside `embedded`" in problem


def test_mirrors_stand_beside_embedded(tmp_path: Path) -> None:
    made = world(tmp_path, {}, platform=f"{PLATFORM}  registry: {{mirrors: [mirror.example.kr:5000/own]}}\n")
    platform = load_platform(made.estate, endpoints=EmbeddedEndpoints())
    assert platform.registry.mirrors == ("mirror.example.kr:5000/own",)
    assert platform.registry.address == "127.0.0.1:15000"
    assert platform.registry.allowed == ("127.0.0.1:15000/",), "nothing runs from a mirror"


def test_a_mirror_is_a_registry(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, f"{PLATFORM}  registry: {{mirrors: ['https://mirror.example.kr']}}\n")
    assert "spec.registry.mirrors[0]" in problem
    assert "is not a registry such as registry.example.kr:5000" in problem


def test_a_registry_of_ones_own_has_an_address(tmp_path: Path) -> None:
    text = PLATFORM.replace("  embedded: {}\n", "  registry: {mirrors: [mirror.example.kr]}\n")
    assert any("spec.registry.address: is missing" in problem for problem in _problems(tmp_path, text))


def test_every_missing_server_is_told_at_once(tmp_path: Path) -> None:
    found = _problems(tmp_path, PLATFORM.replace("  embedded: {}\n", ""))
    missing = ["cluster.kubeconfig", "dns", "ingress", "objects", "postgres", "registry", "storageClasses"]
    assert sorted(problem.split("spec.")[1].split(":")[0] for problem in found) == missing


def test_a_passphrase_that_others_can_read_is_refused(tmp_path: Path) -> None:
    made = world(tmp_path, {})
    made.write(".coopctl/passphrase", "secret").chmod(0o644)
    (problem,) = made.problems()
    assert "can be read by others (mode 0644)" in problem
    assert "chmod 600" in problem
    made.write(".coopctl/passphrase", "secret").chmod(0o600)
    assert made.problems() == []


def test_dumps_need_a_recipient_of_age(tmp_path: Path) -> None:
    key = "age1" + "q" * 58
    assert _problems(tmp_path, f"{PLATFORM}  dumps: {{location: /srv/dumps, recipient: {key}}}\n") == []
    (problem,) = _problems(tmp_path, f"{PLATFORM}  dumps: {{location: /srv/dumps, recipient: AGE-SECRET-KEY-1X}}\n")
    assert "is not an age public key (it begins with age1)" in problem


def _with_dumps(location: str) -> str:
    return f"{PLATFORM}  dumps: {{location: {json.dumps(location)}, recipient: age1{'q' * 58}}}\n"


@pytest.mark.parametrize(
    "location",
    [
        "dumps",
        "../dumps of 조합",
        "/srv/dumps",
        "~/dumps",
        "file:///srv/dumps",
        "s3://final-dumps",
        "s3://final-dumps/",
        "s3://final.dumps/pilot/2017",
    ],
)
def test_final_dumps_go_to_a_folder_or_a_bucket(tmp_path: Path, location: str) -> None:
    assert _problems(tmp_path, _with_dumps(location)) == []


@pytest.mark.parametrize(
    "location",
    [
        "s3://",
        "s3:///prefix",
        "s3://ab",
        "s3://Final_Dumps/prefix",
        "s3://final-dumps/a b",
        "s3://key:secret@final-dumps/prefix",
        "S3://final-dumps/prefix",
        "s3:final-dumps/prefix",
        "s3a://final-dumps/prefix",
        "gs://final-dumps/prefix",
        "https://s3.example.kr/final-dumps",
        "file://dumps",
        "file:dumps",
        "file:///srv/\ndumps",
        "sftp://host/dumps",
        "",
    ],
)
def test_no_other_place_for_final_dumps_is_accepted(tmp_path: Path, location: str) -> None:
    (problem,) = _problems(tmp_path, _with_dumps(location))
    assert problem.startswith("platform.yaml:8:21: spec.dumps.location: ")
    assert "s3://BUCKET/PREFIX" in problem or location == ""


def test_loading_raises_every_problem(tmp_path: Path) -> None:
    with pytest.raises(InvalidDescriptor) as caught:
        load_platform(world(tmp_path, platform="kind: Platform\ncolour: red\n").estate)
    assert len(caught.value.diagnostics) == 4
