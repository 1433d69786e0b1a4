"""A cooperative whose data store has moved, in a real cluster: nothing undoes the switch, nothing is drift after it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from provisioner.datastore.store_places import read_place, write_place
from provisioner.descriptor.migration import MigrationTarget, ObjectsTarget, PostgresTarget
from provisioner.descriptor.platform import Endpoint, SecretReference
from provisioner.errors import CoopctlError, DataStoreMoving
from provisioner.naming import CooperativeName, TenantNames, tenant_names
from provisioner.operations.migration_tenancy import Tenancy
from provisioner.plan.store_place import StorePlace, platform_place
from stacks.programs import StackPrograms
from tests.integration.engine.conftest import SiteMaker, apply, tenant
from tests.integration.engine.test_engine_drift import look

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.servers,
    pytest.mark.long(seconds=60),
]

AWAY = StorePlace(postgres=Endpoint(host="203.0.113.10", port=5433), objects=Endpoint(host="203.0.113.20", port=9000))
# Tests share a cluster and a server: each has a cooperative of its own.
MOVED, ENDED = "moved-away", "moved-for-good"
NOW = datetime(2026, 12, 5, 13, tzinfo=UTC)


def _tenancy(maker: SiteMaker, name: str) -> Tenancy:
    platform = maker.platform()
    return Tenancy(
        names=_names(maker, name),
        migration="out",
        home=platform_place(platform),
        away=AWAY,
        cluster=maker.cluster(),
        records=maker.site().records(),
    )


def _names(maker: SiteMaker, name: str) -> TenantNames:
    return tenant_names(CooperativeName(name), cluster=maker.platform().cluster.id)


def _leads_to(maker: SiteMaker, name: str) -> list[Any]:
    found = maker.cluster().get(
        api_version="discovery.k8s.io/v1",
        kind="EndpointSlice",
        name="postgres-coopctl",
        namespace=_names(maker, name).data_namespace,
    )
    assert found is not None
    return [found["endpoints"][0]["addresses"], found["ports"][0]["port"]]


def _logs_in(maker: SiteMaker, name: str) -> bool:
    found = maker.sql("SELECT rolname::text FROM pg_roles WHERE rolcanlogin")
    return (_names(maker, name).application_role,) in found


def _policies(maker: SiteMaker, name: str) -> set[str]:
    listed = maker.cluster().list(
        api_version="networking.k8s.io/v1", kind="NetworkPolicy", namespace=_names(maker, name).apps_namespace
    )
    return {one["metadata"]["name"] for one in listed}


def test_an_apply_after_the_switch_keeps_it_and_one_in_the_middle_is_refused(maker: SiteMaker) -> None:
    cooperative = tenant(MOVED)
    apply(maker.site(cooperative), MOVED)
    before, tenancy = _policies(maker, MOVED), _tenancy(maker, MOVED)
    secret = (_names(maker, MOVED).apps_namespace, "data-store", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY")
    credentials = maker.secret_values(*secret)

    tenancy.widen(AWAY)
    assert _policies(maker, MOVED) - before == {"to-postgres-next", "to-objects-next"}
    tenancy.note(NOW, moved=False, moving=True)
    maker.sql(f"ALTER ROLE {_names(maker, MOVED).application_role} NOLOGIN")
    with pytest.raises(DataStoreMoving, match="its data store is on its way by the migration out"):
        apply(maker.site(cooperative), MOVED)
    with pytest.raises(DataStoreMoving):
        look(maker.site(cooperative), MOVED, repair=True)
    assert not _logs_in(maker, MOVED)

    tenancy.lead(AWAY)
    tenancy.note(NOW, moved=True)
    tenancy.narrow(AWAY)
    assert _leads_to(maker, MOVED) == [["203.0.113.10"], 5433]
    assert _policies(maker, MOVED) == before
    apply(maker.site(cooperative), MOVED)
    assert _leads_to(maker, MOVED) == [["203.0.113.10"], 5433]
    assert not _logs_in(maker, MOVED)
    assert maker.secret_values(*secret) == credentials
    found = look(maker.site(cooperative), MOVED)[MOVED].found
    assert [change.resource for change in found.resources] == []

    maker.sql(f"ALTER ROLE {_names(maker, MOVED).application_role} LOGIN")
    assert look(maker.site(cooperative), MOVED, repair=True)[MOVED].repaired is not None
    assert not _logs_in(maker, MOVED), "who lifts the fence by hand is drift"

    tenancy.lead(tenancy.home)
    tenancy.note(NOW, moved=False)
    apply(maker.site(cooperative), MOVED)
    assert _leads_to(maker, MOVED) == [[maker.platform().postgres.pods.host], maker.platform().postgres.pods.port]
    assert _logs_in(maker, MOVED)
    assert maker.secret_values(*secret) == credentials
    record = read_place(maker.site().records(), MOVED)
    assert record is not None
    assert not record.moved


def test_after_the_end_of_a_move_an_apply_delivers_other_credentials_and_leaves_nothing_of_what_was_erased(
    maker: SiteMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cooperative, names, tenancy = tenant(ENDED), _names(maker, ENDED), _tenancy(maker, ENDED)
    apply(maker.site(cooperative), ENDED)
    tenancy.note(NOW, moved=True)
    apply(maker.site(cooperative), ENDED)
    secret = (names.apps_namespace, "data-store", "PGPASSWORD", "AWS_ACCESS_KEY_ID")
    password, key = maker.secret_values(*secret)

    tenancy.note(NOW, moved=True, final=True)
    site = maker.site(cooperative)
    with pytest.raises(CoopctlError, match="cannot be changed where its data store lives"):
        apply(site, ENDED)
    assert maker.secret_values(*secret) == [password, key], "nobody says how the target is reached"
    # The server that it has moved to is the same one here: what counts is that it is told, and that the Secret follows.
    servers = maker.world.servers
    dsn = f"host={servers.host} port={servers.postgres_port} user={servers.postgres_user} dbname=postgres"
    monkeypatch.setenv("MOVED_DSN", f"{dsn} password={servers.postgres_password_file.read_text().strip()}")
    target = MigrationTarget(
        postgres=PostgresTarget(dsn=SecretReference(env="MOVED_DSN")),
        objects=ObjectsTarget(
            endpoint=servers.objects_url,
            iam_url=servers.objects_url,
            bucket=names.bucket,
            region=servers.objects_region,
            credentials=SecretReference(file=servers.objects_credentials),
        ),
    )
    reached = StackPrograms(targets=lambda _: target)
    apply(replace(maker.site(cooperative), programs=reached), ENDED)
    renewed = maker.secret_values(*secret)
    assert renewed[0] != password
    assert renewed[1] != key
    maker.sql(f"ALTER ROLE {names.application_role} LOGIN")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        _log_in(maker, password)
    _log_in(maker, renewed[0])
    maker.sql(f"ALTER ROLE {names.application_role} NOLOGIN")
    assert [one.resource for one in look(maker.site(cooperative), ENDED)[ENDED].found.resources] == []

    record = read_place(maker.site().records(), ENDED)
    assert record is not None
    write_place(maker.site().records(), ENDED, replace(record, place=replace(record.place, erased=True)))
    # Without a way to the target: nothing is changed there any more.
    apply(maker.site(cooperative), ENDED)
    assert maker.secret_values(*secret) == renewed
    assert (names.database,) not in maker.sql("SELECT datname::text FROM pg_database")
    roles = [name for (name,) in maker.sql("SELECT rolname::text FROM pg_roles")]
    assert [name for name in roles if name.startswith(names.database)] == []
    assert names.bucket not in maker.buckets()
    assert [one.resource for one in look(maker.site(cooperative), ENDED)[ENDED].found.resources] == []


def _log_in(maker: SiteMaker, password: str) -> None:
    servers = maker.world.servers
    role, database = _names(maker, ENDED).application_role, _names(maker, ENDED).database
    psycopg.connect(
        host=servers.host, port=servers.postgres_port, user=role, password=password, dbname=database
    ).close()
