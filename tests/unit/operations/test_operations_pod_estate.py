"""The estate of a migration's pod says the same as the one it was made from, with files in the place of secrets."""

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.platform import Endpoint
from provisioner.errors import UsageError
from provisioner.migration.postgres_sides import conninfo
from provisioner.operations.migration_pod_access import PodAccess
from provisioner.operations.migration_pod_estate import pod_endpoints, pod_files
from provisioner.operations.migration_site import IN_PLATFORM, MigrationSite, open_migration
from provisioner.plan.migration_job import ESTATE

STATE = "s3://team/one?endpoint=https://s3.example.kr:9000&region=us-east-1&s3ForcePathStyle=true"
PLATFORM = """\
apiVersion: coopctl.dev/v1
kind: Platform
metadata: {{name: test}}
spec:
  cluster: {{id: test, kubeconfig: kubeconfig, networks: [10.0.0.0/8]}}
  postgres:
    host: db.example.kr
    port: 6432
    pods: {{address: 10.0.5.10, port: 5432}}
    admin: {{user: postgres, password: {{env: SOURCE_PASSWORD}}}}
    sslmode: verify-full
    caFile: ca.pem
  objects:
    url: https://s3.example.kr:9000
    pods: {{address: 10.0.5.20, port: 8333, scheme: http}}
    admin: {{credentials: {{file: objects}}}}
    bucketPrefix: older
  registry: {{address: registry.example.kr}}
  ingress: {{className: nginx, controllerNamespace: ingress-nginx}}
  dns: {{namespace: kube-system, podLabels: {{k8s-app: kube-dns}}}}
  storageClasses: [standard]
  domainSuffixes: [example.kr]
  state: {state}
"""
MIGRATION = """\
apiVersion: coopctl.dev/v1
kind: DataStoreMigration
metadata: {name: rice-out}
spec:
  cooperative: rice
  scope: all
  target:
    postgres:
      dsn: {env: TARGET_DSN}
      pods: {address: 203.0.113.7, port: 5433}
    objects: {endpoint: "https://203.0.113.8:9000", bucket: moved, credentials: {env: TARGET_KEY}}
    cluster: {kubeconfig: {file: theirs}}
  cutover: {window: {from: 2026-12-05T22:00+09:00, to: 2026-12-06T04:00+09:00}, maxLag: 2MB}
  keepSource: 10d
"""
KEY = "[default]\naws_access_key_id = {0}\naws_secret_access_key = {0}-secret\n"
ACCESS = PodAccess(
    login="coopctl_move_1_job",
    password=Secret("job-pass"),
    follow=Secret("follow-pass"),
    key=AccessKey(id="OWN", secret=Secret("own-key")),
)
ENVIRONMENT = {
    "SOURCE_PASSWORD": "source-pass",
    "TARGET_DSN": "postgresql://mover:target-pass@db.rice.example.kr:7777/moved?sslmode=verify-full&sslrootcert={ca}",
    "TARGET_KEY": "TARGETKEY:target-secret",
}


def opened(root: Path, *, state: str = f'{{backend: "{STATE}", credentials: {{file: team}}}}') -> MigrationSite:
    """The migration of an estate in ``root``."""
    texts = {
        "platform.yaml": PLATFORM.format(state=state),
        "migrations/rice-out.yaml": MIGRATION,
        "cooperatives/rice.yaml": "",
        "objects": KEY.format("ADMIN"),
        "team": KEY.format("TEAM"),
        "ca.pem": "the platform's authority",
        "their-ca.pem": "the target's authority",
    }
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    dsn = ENVIRONMENT["TARGET_DSN"].format(ca=root / "their-ca.pem")
    return open_migration(Estate(root=root), "rice-out", environment=ENVIRONMENT | {"TARGET_DSN": dsn})


def in_pod(site: MigrationSite, folder: Path) -> MigrationSite:
    """The same as the pod opens it."""
    for path, text in pod_files(site, ACCESS).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return open_migration(Estate(root=folder), "rice-out", environment={IN_PLATFORM: "1"})


def test_servers_keep_their_names_and_are_reached_as_pods_reach_them(tmp_path: Path) -> None:
    site = opened(tmp_path / "estate")
    pod = in_pod(site, tmp_path / "pod")

    assert str(pod.source) == str(site.source) == "PostgreSQL at db.example.kr:6432, database rice"
    assert str(pod.target) == str(site.target)
    assert str(pod.source_bucket) == str(site.source_bucket)
    assert str(pod.target_bucket) == str(site.target_bucket)
    source, target = conninfo(pod.source), conninfo(pod.target)
    for part in ("host=db.example.kr", "hostaddr=10.0.5.10", "port=5432", "sslmode=verify-full"):
        assert part in source
    for part in ("host=db.rice.example.kr", "hostaddr=203.0.113.7", "port=5433"):
        assert part in target
    assert pod.source_bucket.access.via == "http://10.0.5.20:8333"
    assert pod.source_bucket.s3.meta.endpoint_url == "http://10.0.5.20:8333"
    assert pod.target_bucket.s3.meta.endpoint_url == "https://203.0.113.8:9000"
    # The target's own server finds the source where it always does.
    publisher = conninfo(pod.publisher(pod.source.password))
    assert "host=db.example.kr" in publisher
    assert "port=6432" in publisher
    assert "hostaddr" not in publisher


def test_documents_say_the_same_and_credentials_are_files(tmp_path: Path) -> None:
    site = opened(tmp_path / "estate")
    pod = in_pod(site, tmp_path / "pod")

    assert pod.migration.window == site.migration.window
    assert (pod.migration.max_lag_bytes, pod.migration.keep_source) == (
        site.migration.max_lag_bytes,
        site.migration.keep_source,
    )
    assert pod.tenant == site.tenant
    assert pod.tenant.bucket == "older-rice"
    assert pod.migration.target.cluster is None
    assert pod.target.password.reveal() == "target-pass"
    assert pod.target_bucket.access.credentials.file is not None
    assert pod.platform.postgres.ca_file is not None
    assert pod.platform.postgres.ca_file.read_text() == "the platform's authority"
    given = pod_files(site, ACCESS)
    assert f"sslrootcert={ESTATE}/credentials/target-ca" in given["credentials/target"]
    assert given["credentials/target-ca"] == "the target's authority"
    documents = given["platform.yaml"] + given["migrations/rice-out.yaml"]
    assert not [one for one in ("-pass", "-key", "-secret") if one in documents]
    assert "job-pass" not in repr(ACCESS)


def test_a_pod_has_logins_of_its_own_and_nothing_of_an_administrator(tmp_path: Path) -> None:
    site = opened(tmp_path / "estate")
    pod = in_pod(site, tmp_path / "pod")

    assert (pod.source.user, pod.source.password.reveal()) == ("coopctl_move_1_job", "job-pass")
    assert pod.follow_password is not None
    assert pod.follow_password.reveal() == "follow-pass"
    assert site.follow_password is None
    everything = "".join(pod_files(site, ACCESS).values())
    assert "OWN" in everything
    assert not [one for one in ("source-pass", "ADMIN") if one in everything]


def test_a_pod_whose_target_follows_already_is_given_no_login_for_that(tmp_path: Path) -> None:
    given = pod_files(opened(tmp_path), replace(ACCESS, follow=None))
    assert "credentials/follow" not in given


def test_the_state_is_where_pods_reach_the_server_and_every_server_is_a_flow(tmp_path: Path) -> None:
    site = opened(tmp_path / "estate")
    pod = in_pod(site, tmp_path / "pod")

    assert pod.platform.state.url.startswith("s3://team/one?endpoint=http%3A%2F%2F10.0.5.20%3A8333&")
    assert set(pod_endpoints(site)) == {
        Endpoint(host="10.0.5.10", port=5432),
        Endpoint(host="10.0.5.20", port=8333),
        Endpoint(host="203.0.113.7", port=5433),
        Endpoint(host="203.0.113.8", port=9000),
    }


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("{}", "needs the state in a bucket"),
        (f'{{backend: "{STATE}"}}', "this machine's own environment"),
        ('{backend: "s3://team/one?region=eu", credentials: {file: team}}', "no address that a network policy"),
        ('{backend: "s3://team/one?endpoint=http://127.0.0.1:9", credentials: {file: team}}', "this machine alone"),
    ],
)
def test_a_state_that_no_pod_reaches_is_refused_with_what_to_do(tmp_path: Path, state: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        pod_endpoints(opened(tmp_path, state=state))
    assert words in refused.value.message
    assert refused.value.hint
