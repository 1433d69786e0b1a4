"""The seven pilot cooperatives on one platform: applied together; one leaves without touching the others."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from pyrage import x25519

from provisioner.catalogue import images_lock
from provisioner.naming import TenantNames, is_member_role, member_role_prefix
from tests.integration.engine.completeness import names_of
from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.snapshots import Snapshot, changed, settled_snapshot
from tests.portal_pilots import copy_portal_pilots
from tests.unit.plan import builders

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
LEAVING = "publishing"
# Kinds of which every cooperative has at least one; a snapshot holds all kinds that the cluster knows.
KINDS = {
    "ConfigMap",
    "Deployment",
    "EndpointSlice",
    "Ingress",
    "LimitRange",
    "NetworkPolicy",
    "Pod",
    "PodDisruptionBudget",
    "ReplicaSet",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
}


@pytest.fixture
def pilots(cli_estate: CliEstate, tmp_path: Path) -> CliEstate:
    """The pilots on the test's servers, with the portal alone: nothing here runs the ledger's migration."""
    copied = copy_portal_pilots(tmp_path / "pilots")
    for part in ("cooperatives", "members"):
        shutil.copytree(copied / part, cli_estate.root / part)
    identity = x25519.Identity.generate()
    dumps = f"  dumps: {{location: dumps, recipient: {identity.to_public()}}}\n"
    cli_estate.write(platform_extra=dumps)
    images_lock.write(replace(builders.fake_lock(), source=cli_estate.root / "images.lock"))
    return cli_estate


def of_one(keys: Iterable[str], names: TenantNames) -> set[str]:
    """Those keys of a snapshot that are one cooperative's: what lies in its namespaces, and these; its data store.

    Its members' roles are among them: their names begin with the database's.
    """
    namespaces = (names.apps_namespace, names.data_namespace)
    named = {
        *(f"v1 Namespace /{namespace}" for namespace in namespaces),
        f"database {names.database}",
        *(f"role {role}" for role in names.roles),
        f"bucket {names.bucket}",
        f"identity {names.objects_identity}",
    }
    members = f"role {member_role_prefix(names.database)}"
    return {
        key
        for key in keys
        if key in named or key.startswith(members) or key.rpartition(" ")[2].partition("/")[0] in namespaces
    }


def without_members(keys: Iterable[str]) -> set[str]:
    """Those keys that are no member's role."""
    return {key for key in keys if not (key.startswith("role ") and is_member_role(key.removeprefix("role ")))}


def put_data(estate: CliEstate, names: TenantNames) -> None:
    """A row and an object that tell whose they are."""
    estate.maker.sql(f"CREATE TABLE kept AS SELECT '{names.cooperative}' AS word", database=names.database)
    estate.maker.put_object(names.bucket, key="kept", content=names.cooperative.encode())


def word_of(estate: CliEstate, names: TenantNames) -> str:
    """What the row says."""
    ((word,),) = estate.maker.sql("SELECT word FROM kept", database=names.database)
    return str(word)


def require_only_one_touched(before: Snapshot, after: Snapshot, names: TenantNames) -> None:
    """Nothing but what is this cooperative's differs."""
    touched = changed(before, after)
    assert touched == of_one(touched, names)


@pytest.mark.long(seconds=180)
def test_seven_pilots_live_side_by_side_and_one_leaves_without_touching_the_others(pilots: CliEstate) -> None:
    everyone = {path.stem: names_of(pilots.maker, path.stem) for path in (pilots.root / "cooperatives").glob("*.yaml")}
    leaving = everyone[LEAVING]

    applied = json.loads(pilots.done("apply", "--all", "--yes", "--timeout", "0", "--output", "json"))
    planned = json.loads(pilots.done("plan", "--all", "--refresh", "--detailed-exitcode", "--output", "json"))
    for names in everyone.values():
        put_data(pilots, names)
    before = settled_snapshot(pilots.maker)
    destroyed = json.loads(pilots.done("destroy", LEAVING, "--yes", "--output", "json"))
    after = settled_snapshot(pilots.maker)

    assert len(everyone) == 7
    assert applied["failed"] == 0
    assert planned["changes"] is False
    assert {stack["stack"] for stack in planned["stacks"]} == set(everyone)
    for names in everyone.values():
        own = of_one(before, names)
        assert {key.split()[1] for key in own if "/" in key} >= KINDS
        named = {key for key in without_members(own) if "/" not in key}
        assert len(named) == 7, "database, four roles, bucket, identity"
        listed = (pilots.root / "members" / f"{names.cooperative}.csv").read_text().splitlines()[1:]
        assert len(own - without_members(own)) == len(listed)
    require_only_one_touched(before, after, leaving)
    assert destroyed["dataDeleted"] is False
    # Database and bucket are kept, with the roles that own something in it; the identity and all objects are gone.
    assert without_members(of_one(after, leaving)) == {
        f"database {leaving.database}",
        f"bucket {leaving.bucket}",
        *(f"role {role}" for role in leaving.roles),
    }

    pilots.done("apply", LEAVING, "--yes", "--timeout", "0")
    assert [word_of(pilots, names) for names in everyone.values()] == list(everyone)
    require_only_one_touched(before, settled_snapshot(pilots.maker), leaving)

    gone = json.loads(pilots.done("destroy", LEAVING, "--delete-data", "--yes", "--output", "json"))
    last = settled_snapshot(pilots.maker)
    assert gone["dataDeleted"] is True
    assert list(Path(gone["dump"]).glob("*.age"))
    require_only_one_touched(before, last, leaving)
    assert of_one(last, leaving) == set()


@pytest.mark.long(seconds=25)
def test_data_are_not_deleted_where_no_dump_can_be_made(cli_estate: CliEstate) -> None:
    cli_estate.write("undumped")
    cli_estate.done("apply", "undumped", "--yes")

    refused = cli_estate.run("destroy", "undumped", "--delete-data", "--yes")

    assert refused.returncode == 2
    assert "spec.dumps" in refused.stderr
    assert cli_estate.maker.sql("SELECT 1 FROM pg_database WHERE datname = 'undumped'") == [(1,)]
