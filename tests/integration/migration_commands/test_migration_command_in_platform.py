"""What a migration's pod is let in with: it copies everything, though it may write nothing and open nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from provisioner.descriptor.estate import Estate
from provisioner.errors import NotFound
from provisioner.migration.journal_entries import RunKind
from provisioner.migration.postgres_rollback import Leftover, read_leftovers
from provisioner.migration.postgres_sides import conninfo, session
from provisioner.operations.migrating import start
from provisioner.operations.migration_pod_access import GOOD_FOR, PodAccess, end_access, make_access, renew_access
from provisioner.operations.migration_pod_estate import pod_files
from provisioner.operations.migration_run import opened
from provisioner.operations.migration_site import MigrationSite, open_migration
from tests.integration.conftest import Between
from tests.integration.migration_commands.conftest import NAME, World
from tests.integration.migration_commands.pods import as_job, now, pod_of, reach_as_pods
from tests.integration.migration_commands.teams import Team
from tests.postgres_servers import as_user

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=90)]
# All that only somebody with wide rights reads.
HIDDEN = """
SET SESSION AUTHORIZATION {db}_owner;
CREATE TABLE secrets (id int PRIMARY KEY, text text);
INSERT INTO secrets VALUES (1, 'one'), (2, 'two');
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY nobody ON secrets USING (false);
SELECT lo_from_bytea(0, 'large');
"""
FORBIDDEN = (
    "INSERT INTO notes VALUES ('mine')",
    "DELETE FROM lots",
    "CREATE TABLE mine (id int)",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "CREATE PUBLICATION mine FOR ALL TABLES",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT lo_unlink(oid) FROM pg_largeobject_metadata",
)


@pytest.fixture
def team(moving: World, between: Between) -> Iterator[Team[World]]:
    """An estate with its state in a bucket, whose servers are where pods reach them."""
    reach_as_pods(moving, between)
    moving.on_source(HIDDEN.format(db=moving.source.database))
    made = Team(between.objects, moving)
    yield made
    made.remove()


def site_of(world: World) -> MigrationSite:
    return open_migration(Estate(root=world.root), NAME, environment=world.programs())


def let_in(world: World) -> PodAccess:
    with opened(site_of(world), kind=RunKind.MIGRATION, now=now, report=lambda _: None) as run:
        return make_access(run, key=world.bucket.key, now=now)


def pod(world: World, access: PodAccess, *, folder: Path) -> World:
    return pod_of(world, pod_files(site_of(world), access), folder=folder)


def test_it_copies_everything_and_the_target_follows(
    team: Team[World], tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = team.first
    access = let_in(world)
    inside = pod(world, access, folder=tmp_path_factory.mktemp("pod"))
    code, status = world.json("migrate", "status", NAME)
    assert status["jobLogin"]["name"] == access.login
    assert access.login in world.run("migrate", "status", NAME)[1]

    code, _, said = inside.run("migrate", "start", NAME)

    assert code == 0, said
    code, found = world.json("migrate", "verify", NAME)
    assert (code, found["clean"]) == (0, True), found
    assert world.on_target("SELECT count(*) FROM secrets") == [(2,)]
    assert world.on_target("SELECT count(*) FROM pg_largeobject_metadata") == [(1,)]
    assert len(world.target_bucket.bodies()) == 3
    roles = "SELECT rolname, rolpassword FROM pg_authid"
    here, there = dict(world.on_source(roles)), dict(world.on_target(roles))
    application = f"{world.source.database}_app"
    assert here[application] == there[application] is not None
    # A second Job copies what has come since; the password by which the target follows stays what it was.
    world.bucket.put("scans/late", b"late")
    again = let_in(world)
    assert again.follow is None
    second = pod(world, again, folder=tmp_path_factory.mktemp("second"))
    assert second.run("migrate", "start", NAME)[0] == 0
    assert "scans/late" in world.target_bucket.bodies()
    assert world.json("migrate", "status", NAME)[1]["lag"]["active"]

    assert world.run("migrate", "abort", NAME, "--yes")[0] == 0
    assert world.leftovers() == []
    assert world.json("migrate", "status", NAME)[1]["jobLogin"] is None


def test_its_login_changes_nothing(team: Team[World]) -> None:
    job = as_job(team.first, let_in(team.first))
    for statement in FORBIDDEN:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            job.execute(statement.encode())
    job.close()


def test_its_login_opens_no_other_database(team: Team[World], between: Between) -> None:
    access = let_in(team.first)
    between.source.execute("CREATE DATABASE others")
    between.source.execute("REVOKE CONNECT ON DATABASE others FROM PUBLIC")
    side = replace(as_user(team.first.source, access.login, access.password.reveal()), database="others")
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(conninfo(side))
    finally:
        between.source.execute("DROP DATABASE others")


def test_its_key_opens_no_other_bucket(team: Team[World]) -> None:
    key = let_in(team.first).key
    assert team.first.bucket.bucket_as(key).s3.list_objects_v2(Bucket=team.first.bucket.name)["KeyCount"] == 3
    with pytest.raises(Exception, match="AccessDenied"):
        team.first.bucket.bucket_as(key).s3.list_objects_v2(Bucket=team.first.target_bucket.name)


def test_its_password_is_good_for_a_time_which_is_renewed(team: Team[World]) -> None:
    world, site = team.first, site_of(team.first)
    access = let_in(world)
    world.on_source(f"ALTER ROLE {access.login} VALID UNTIL '2020-01-01'")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        as_job(world, access)

    renew_access(site, now=now)

    as_job(world, access).close()
    until = datetime.fromisoformat(world.json("migrate", "status", NAME)[1]["jobLogin"]["until"])
    assert timedelta(0) <= now() + GOOD_FOR - until < timedelta(minutes=1)
    end_access(site)
    end_access(site)
    renew_access(site, now=now)
    assert world.json("migrate", "status", NAME)[1]["jobLogin"] is None


def test_what_was_given_up_is_not_begun_again_by_a_pod(
    team: Team[World], tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = team.first
    inside = pod(world, let_in(world), folder=tmp_path_factory.mktemp("pod"))
    assert world.run("migrate", "abort", NAME, "--yes")[0] == 0

    site = open_migration(Estate(root=inside.root), NAME, environment=inside.programs())
    with pytest.raises(NotFound, match="is not under way"):
        start(site, now=now, report=lambda _: None)


def test_a_login_that_is_left_is_an_orphan(team: Team[World]) -> None:
    world = team.first
    access = let_in(world)
    with session(world.source) as source:
        assert Leftover(kind="role", name=access.login, database="") in read_leftovers(source)
    team.empty()
    for file in (world.root / ".coopctl").rglob(f"{NAME}*"):
        file.unlink()

    assert world.run("migrate", "orphans", "--remove", "--yes")[0] == 0
    assert world.leftovers() == []
