"""An estate of its own: when it is refused, what the hand-over marks, and what a kill in the middle leaves."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue import images_lock
from provisioner.catalogue.images_lock import ImagesLock
from provisioner.datastore.marks import Mark, from_comment, from_tags, to_comment
from provisioner.naming import cooperative_uid, own_cluster_id
from tests.cluster_objects import ReadyCluster, serving
from tests.data_stores import client
from tests.integration.migration_switch.conftest import NAME, Switching
from tests.unit.descriptor.worlds import COOPERATIVE
from tests.unit.plan import builders

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=150)]
HANDING = "provisioner.operations.own_estate.handing"
CLUSTER = "    cluster: {kubeconfig: {file: theirs}}\n  cutover:"
REGISTRY = ("--registry", "registry.rice.kr", "--yes")


class Leaving:
    """A cooperative whose solutions are to follow to a cluster of its own."""

    def __init__(self, world: Switching, cluster: ReadyCluster) -> None:
        self.world, self.cluster, self.folder = world, cluster, world.root / "own"
        names = world.bucket.tenant.names
        self.before = world.bucket.tenant.mark
        own = own_cluster_id(names.cooperative, cluster=self.before.cluster)
        self.after = Mark(cluster=own, cooperative=cooperative_uid(names.cooperative, cluster=own))
        cluster.kubeconfig(world.root / "theirs")
        self.document = world.root / "migrations" / f"{NAME}.yaml"
        text = COOPERATIVE.replace("name: rice,", f"name: {names.cooperative},")
        (world.root / "cooperatives" / f"{names.cooperative}.yaml").write_text(text)
        lock = ImagesLock(source=world.root / "images.lock", images=builders.fake_lock().images)
        images_lock.write(lock)
        passphrase = world.root / ".coopctl" / "passphrase"
        passphrase.parent.mkdir(exist_ok=True)
        passphrase.write_text("secret")
        passphrase.chmod(0o600)

    def name_cluster(self) -> None:
        self.document.write_text(self.document.read_text().replace("  cutover:", CLUSTER))

    def estate(self, *options: str, folder: Path | None = None) -> tuple[int, str, str]:
        return self.world.run("migrate", "estate", NAME, str(folder or self.folder), *REGISTRY, *options)

    def marks(self) -> dict[str, Mark | None]:
        """Whose everything at the target is."""
        world, names = self.world, self.world.bucket.tenant.names
        comments: dict[str, Any] = dict(
            world.on_target(
                "SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles"  # noqa: S608 - a name
                f" WHERE rolname IN ('{names.owner_role}', '{names.application_role}')"
            )
        )
        database = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
        [[comments["database"]]] = world.on_target(database)
        bucket = {one["Key"]: one["Value"] for one in self._bucket_tags()}
        iam = client(world.target_objects, "iam")
        identity = {one["Key"]: one["Value"] for one in iam.list_user_tags(UserName=names.objects_identity)["Tags"]}
        return {
            **{name: from_comment(comment) for name, comment in comments.items()},
            "bucket": from_tags(bucket),
            "identity": from_tags(identity),
        }

    def _bucket_tags(self) -> list[dict[str, str]]:
        s3 = client(self.world.target_objects, "s3")
        try:
            found: list[dict[str, str]] = s3.get_bucket_tagging(Bucket=self.world.bucket.name)["TagSet"]
        except s3.exceptions.ClientError:
            return []
        return found


@pytest.fixture
def leaving(switching: Switching) -> Iterator[Leaving]:
    with serving(ReadyCluster()) as cluster:
        yield Leaving(switching, cluster)


def test_it_is_refused_with_nothing_changed_and_handed_over_once_whatever_was_cut_off(leaving: Leaving) -> None:
    world, folder = leaving.world, leaving.folder
    assert leaving.estate()[0] == 2, "the document names no cluster"
    leaving.name_cluster()
    code, _, said = leaving.estate()
    assert (code, "has not moved" in said) == (6, True)
    world.prepare()
    assert world.run("migrate", "cutover", NAME, "--yes")[0] == 0
    code, _, said = leaving.estate()
    assert (code, f"run `coopctl migrate finalise {NAME}` first" in said) == (11, True)
    assert world.run("migrate", "finalise", NAME, "--yes")[0] == 0
    shown = world.run("migrate", "status", NAME)[1]
    assert "the solutions are still here" in shown
    _refuse_what_is_not_ready(leaving)
    untouched = leaving.marks()
    assert untouched["database"] == leaving.before
    assert not folder.exists()

    _refuse_what_is_somebody_elses(leaving)
    code, _, said = leaving.estate(folder=world.root / "other")
    assert (code, f"it was begun in {folder}" in said) == (2, True)
    shown = world.run("migrate", "status", NAME)[1]
    assert f"the estate in {folder} was begun" in shown
    for boundary in (
        f"after:{HANDING}:write_estate",
        f"after:{HANDING}:hand_over_database",
        "after:provisioner.datastore.handing_over:mark_identity",
        f"before:{HANDING}:write_place",
        f"after:{HANDING}:write_place",
    ):
        options = (str(folder), *REGISTRY[:2])
        assert world.killed("estate", at=boundary, options=options)[0] == -signal.SIGKILL, boundary
    code, shown, said = leaving.estate()
    assert code == 0, said
    assert set(leaving.marks().values()) == {leaving.after}
    _look_around(leaving)


def _refuse_what_is_not_ready(leaving: Leaving) -> None:
    world = leaving.world
    occupied = world.root / "migrations"
    code, _, said = leaving.estate(folder=occupied)
    assert (code, "is not empty" in said) == (2, True)
    assert leaving.world.run("migrate", "estate", NAME, str(leaving.folder), *REGISTRY[:2])[0] == 2, "it asks"
    classes = leaving.cluster.objects.pop("/apis/networking.k8s.io/v1/ingressclasses")
    leaving.cluster.objects["/apis/networking.k8s.io/v1/ingressclasses"] = {"items": []}
    code, _, said = leaving.estate()
    assert (code, "has no IngressClass" in said) == (11, True)
    leaving.cluster.objects["/apis/networking.k8s.io/v1/ingressclasses"] = classes
    kubeconfig = world.root / "theirs"
    text = kubeconfig.read_text()
    kubeconfig.write_text(text.replace(str(leaving.cluster.port), "1"))
    code, _, said = leaving.estate()
    assert (code, "does not answer" in said) == (1, True)
    kubeconfig.write_text(text)


def _refuse_what_is_somebody_elses(leaving: Leaving) -> None:
    """A role of another owner's: nothing at all is marked."""
    world, role = leaving.world, leaving.world.bucket.tenant.names.application_role
    others = to_comment(
        Mark(
            cluster=own_cluster_id(world.bucket.tenant.names.cooperative, cluster=leaving.after.cluster),
            cooperative=leaving.after.cooperative,
        )
    )
    world.on_target(f"COMMENT ON ROLE {role} IS '{others}'")
    code, _, said = leaving.estate()
    assert (code, f"the PostgreSQL role {role} exists already and belongs to" in said) == (3, True)
    marks = leaving.marks()
    assert (marks["database"], marks["bucket"], marks["identity"]) == (leaving.before, None, None)
    world.on_target(f"COMMENT ON ROLE {role} IS NULL")


def _look_around(leaving: Leaving) -> None:
    """The estate is whole, the source is as it was, and everybody is told."""
    world, folder = leaving.world, leaving.folder
    assert world.run("migrate", "estate", NAME, str(folder), *REGISTRY)[0] == 2, "it is not written over"
    assert leaving.estate(folder=world.root / "again")[0] == 0, "but again, if the folder is lost"
    assert {file.name for file in folder.iterdir()} == {
        ".coopctl",
        ".gitignore",
        "README.ko.md",
        "README.md",
        "cooperatives",
        "images.lock",
        "platform.yaml",
        "secrets",
    }
    assert world.record()["place"]["handed_over"] == leaving.after.cluster
    assert world.on_target("SELECT count(*) FROM lots") == [(2000,)]
    assert world.on_source("SELECT count(*) FROM lots") == [(2000,)]
    [[mark]] = world.on_source(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    )
    found = from_comment(mark)
    assert found is not None
    assert leaving.before.owns(found)
    shown = world.run("migrate", "status", NAME)[1]
    assert "handed over on" in shown
    assert "`coopctl destroy" in shown
    secrets = [*world.environment.values()]
    texts = "".join(file.read_text() for file in folder.rglob("*") if file.is_file())
    assert not [one for one in secrets if one in texts]
