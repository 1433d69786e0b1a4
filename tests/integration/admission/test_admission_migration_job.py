"""A migration's Job on a guarded cluster: it is let in, begins when all of it is there, and nothing outlives it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue import images_lock
from provisioner.catalogue.images.coopctl_image import COOPCTL, REPOSITORY
from provisioner.catalogue.images_lock import LockedImage
from provisioner.datastore.records import FileRecords
from provisioner.datastore.shared_records import FileSharedRecords
from provisioner.descriptor.endpoints import EmbeddedFiles
from provisioner.errors import NotFound
from provisioner.naming import SYSTEM_NAMESPACE
from provisioner.operations import migration_in_platform, migration_job
from provisioner.operations.migration_in_platform import Begun, start_in_platform
from provisioner.operations.migration_job import end_in_platform
from provisioner.operations.migration_site import MigrationSite
from tests.integration.admission.conftest import CONTROLLERS_SECONDS, GuardedCluster, until
from tests.unit.operations.test_operations_pod_estate import ACCESS, opened

pytestmark = pytest.mark.cluster
KINDS = ("pods", "secrets", "jobs", "networkpolicies")
GROUPS = {"jobs": "/apis/batch/v1", "networkpolicies": "/apis/networking.k8s.io/v1"}


@pytest.fixture
def site(
    guarded: GuardedCluster, open_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MigrationSite]:
    """A migration whose platform is the guarded cluster, with coopctl's image locked; its notes are in a folder."""
    made, notes = opened(tmp_path), FileRecords(root=tmp_path / "notes")
    monkeypatch.setattr(migration_in_platform, "open_records", lambda *_, **__: notes)
    monkeypatch.setattr(migration_job, "open_shared", lambda *_, **__: FileSharedRecords(records=notes))
    # There are no servers here that it could be let in by.
    monkeypatch.setattr(migration_in_platform, "application_key", lambda *_, **__: ACCESS.key)
    monkeypatch.setattr(migration_in_platform, "_let_in", lambda *_, **__: ACCESS)
    monkeypatch.setattr(migration_in_platform, "renew_access", lambda *_, **__: None)
    monkeypatch.setattr(migration_job, "end_access", lambda *_, **__: None)
    kubeconfig = EmbeddedFiles(root=open_folder / "guarded").kubeconfig
    cluster = replace(made.platform.cluster, kubeconfig=kubeconfig, context=None)
    lock = images_lock.read(made.estate.images_lock)
    images_lock.write(lock.with_image(COOPCTL, LockedImage(repository=REPOSITORY, digest="sha256:" + "a" * 64)))
    found = replace(made, platform=replace(made.platform, cluster=cluster))
    yield found
    end_in_platform(found, say=lambda _: None)


def start(site: MigrationSite) -> Begun:
    """Start it; nobody is told how far it is."""
    return start_in_platform(site, now=lambda: datetime.now(UTC), report=lambda _: None)


def there(guarded: GuardedCluster, kind: str) -> list[Any]:
    """The objects of a kind in the platform's namespace."""
    path = f"{GROUPS.get(kind, '/api/v1')}/namespaces/{SYSTEM_NAMESPACE}/{kind}"
    return list(guarded.admin.get(path)["items"])


def test_the_job_begins_with_all_that_it_needs_and_its_pod_is_let_in(
    guarded: GuardedCluster, site: MigrationSite
) -> None:
    begun = start(site)
    again = start(site)

    [pod] = until(lambda: there(guarded, "pods"), seconds=CONTROLLERS_SECONDS, what="the Job's pod is made")
    [job], [secret] = there(guarded, "jobs"), there(guarded, "secrets")
    assert (begun.already, again.already) == (False, True)
    assert job["spec"]["suspend"] is False
    assert pod["spec"]["containers"][0]["image"].startswith("registry.example.kr/coopctl/coopctl@sha256:")
    assert [one["kind"] for one in secret["metadata"]["ownerReferences"]] == ["Job"]
    assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    # What the API server keeps of both names no secret.
    assert not [one for one in ("target-pass", "job-pass", "own-key") if one in f"{pod}{job}"]


def test_nothing_of_it_outlives_it(guarded: GuardedCluster, site: MigrationSite) -> None:
    start(site)
    until(lambda: there(guarded, "pods"), seconds=CONTROLLERS_SECONDS, what="the Job's pod is made")
    said: list[str] = []

    end_in_platform(site, say=said.append)
    end_in_platform(site, say=said.append)

    assert said == ["ending the Job migrate-rice-out in coopctl-system"]
    until(
        lambda: not any(there(guarded, kind) for kind in ("pods", "secrets", "jobs")),
        seconds=CONTROLLERS_SECONDS,
        what="all that the Job owned is gone",
    )
    until(
        lambda: [one["metadata"]["name"] for one in there(guarded, "networkpolicies")] == ["default-deny"],
        seconds=CONTROLLERS_SECONDS,
        what="its flows are closed",
    )


def test_without_the_image_nothing_is_made(guarded: GuardedCluster, site: MigrationSite) -> None:
    site.estate.images_lock.unlink()
    with pytest.raises(NotFound, match="'coopctl' has no digest") as refused:
        start(site)
    assert "coopctl images build coopctl --push" in str(refused.value.hint)
    assert there(guarded, "jobs") == []


def test_no_operator_of_a_tenant_reads_anything_there(guarded: GuardedCluster) -> None:
    for kind in KINDS:
        path = f"{GROUPS.get(kind, '/api/v1')}/namespaces/{SYSTEM_NAMESPACE}/{kind}"
        assert guarded.operator.attempt("GET", path).status == 403, kind
