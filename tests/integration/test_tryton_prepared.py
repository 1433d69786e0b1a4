"""Both ways to a tenant's tables end alike: the image's own, which are loaded, and those that Tryton makes."""

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from provisioner.catalogue import load_catalogue
from provisioner.catalogue.images.prepared import FOLDER, LIST
from provisioner.datastore.credentials import Secret
from provisioner.operations.first_logins import derived_password
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import Tenant, make_data_store, new_tenant, postgres_of, session
from tests.tryton import TrytonFiles, shipped_image
from tests.tryton_job import MigrationJob, Ran
from tests.unit.plan.builders import CHARTS

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=900), pytest.mark.timeout(7200)]

SOLUTIONS = tuple(load_catalogue(CHARTS).solution(name) for name in ("ledger", "trade", "lot-tracing"))
MEMBER_COLUMN = "member_id"
MEASURED = logging.getLogger(__name__)
CPU_SECONDS = 10
# What is compared; tables by their names, so that no number of the server's catalogue is in it.
FACTS = {
    # Not their order: columns come in the order in which modules were added, all at once or set after set.
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    """,
    "tables": """
        SELECT relname, relkind, relpersistence, relrowsecurity, pg_get_userbyid(relowner), relacl::text,
               obj_description(oid, 'pg_class')
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S', 'v', 'm')
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
    """,
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    # Not where they stand: Tryton numbers its actions in the order in which modules come, too.
    "sequences": """
        SELECT s.sequencename, s.data_type::text, s.start_value, s.increment_by, s.max_value, s.cycle,
               (SELECT d.refobjid::regclass::text || '.' || d.refobjsubid FROM pg_depend d
                WHERE d.objid = format('public.%I', s.sequencename)::regclass AND d.deptype = 'a')
        FROM pg_sequences s WHERE s.schemaname = 'public'
    """,
    "policies": "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies",
    "rights to come": """
        SELECT pg_get_userbyid(defaclrole), defaclobjtype, defaclacl::text FROM pg_default_acl
    """,
}
NUMBERED = """
    SELECT c.relname, pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attrdef d
    JOIN pg_class c ON c.oid = d.adrelid
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    WHERE c.relnamespace = 'public'::regnamespace AND a.attname = 'id'
"""
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
# What stands in rows that every tenant has for itself, and no number of a row: Tryton gives these as they come.
USERS = "SELECT login, name, email, active, password_hash LIKE '$2b$%%', password_reset FROM res_user ORDER BY login"
LEFT_OVER = "SELECT count(*) FROM ir_model_field WHERE create_date < now() - interval '1 day'"
MODULES = "SELECT name, state FROM ir_module ORDER BY name"


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """A tenant's database after the Job."""

    servers: Servers
    tenant: Tenant
    passwords: dict[RoleKind, Secret]
    ran: Ran

    def ask(self, question: str) -> list[Any]:
        """The administrator's answer."""
        with session(self.servers, database=self.tenant.names.database) as inside:
            return inside.execute(question.encode()).fetchall()

    def facts(self, kind: str) -> set[str]:
        """What FACTS asks; the tenant's own names are put in general terms."""
        roles = dict(zip(self.tenant.names.roles, RoleKind, strict=True))
        found = [repr(row) for row in self.ask(FACTS[kind])]
        for role, general in sorted(roles.items(), key=lambda item: -len(item[0])):
            found = [row.replace(role, f"<{general}>") for row in found]
        return set(found)

    def counts(self) -> dict[str, int]:
        """The number of rows of each table."""
        with session(self.servers, database=self.tenant.names.database) as inside:
            tables = [name for (name,) in inside.execute(TABLES.encode()).fetchall()]
            count = "SELECT count(*) FROM {}"
            asked = [inside.execute(sql.SQL(count).format(sql.Identifier(name))).fetchone() for name in tables]
        return {name: row[0] if row else 0 for name, row in zip(tables, asked, strict=True)}

    def connection(self, kind: RoleKind) -> dict[str, str]:
        """What libpq reads, as the tenant's Secrets have it."""
        return _connection(self.servers, self.tenant, self.passwords, kind)


def migrated(tryton: TrytonFiles, servers: Servers) -> Migrated:
    """A new tenant after the Job for all solutions, with what the image holds at the moment."""
    tenant = new_tenant()
    passwords = make_data_store(postgres_of(servers), tenant, member_column=MEMBER_COLUMN)
    ran = MigrationJob(tryton=tryton, solutions=SOLUTIONS).run(
        tenant.names.database,
        servers=servers,
        connection=_connection(servers, tenant, passwords, RoleKind.MIGRATION),
        owner=tenant.names.owner_role,
    )
    MEASURED.info("%sCPU: %.1f s itself, %.1f s PostgreSQL", ran.log, ran.own_seconds, ran.server_seconds)
    return Migrated(servers=servers, tenant=tenant, passwords=passwords, ran=ran)


def _connection(servers: Servers, tenant: Tenant, passwords: dict[RoleKind, Secret], kind: RoleKind) -> dict[str, str]:
    return {
        "PGHOST": servers.host,
        "PGPORT": str(servers.postgres_port),
        "PGSSLMODE": "require",
        "PGUSER": tenant.role(kind).name,
        "PGPASSWORD": passwords[kind].reveal(),
    }


@pytest.fixture(scope="module")
def tryton(tmp_path_factory: pytest.TempPathFactory) -> TrytonFiles:
    """The image as it is shipped."""
    return shipped_image(tmp_path_factory.mktemp("tryton"))


@pytest.fixture(scope="module")
def loaded(tryton: TrytonFiles, servers: Servers) -> Migrated:
    """A tenant that got the image's tables."""
    return migrated(tryton, servers)


@pytest.fixture(scope="module")
def made(loaded: Migrated, tryton: TrytonFiles, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    """A tenant whose tables Tryton made: the image holds none meanwhile."""
    aside = shutil.move(tryton.root / FOLDER, tmp_path_factory.mktemp("aside") / "prepared")
    try:
        return migrated(tryton, servers)
    finally:
        shutil.move(aside, tryton.root / FOLDER)


def test_a_new_tenant_s_job_takes_less_than_ten_seconds_and_says_which_way_it_went(loaded: Migrated) -> None:
    assert "loading those of lot-tracing from the image" in loaded.ran.log
    assert "Tryton updates" not in loaded.ran.log
    assert loaded.ran.seconds < CPU_SECONDS


def test_the_first_user_logs_in_and_what_is_saved_is_in_postgresql(
    tryton: TrytonFiles, servers: Servers, tmp_path: Path
) -> None:
    """In a tenant of its own: a session and a party leave rows and numbers that the other ways do not have."""
    used = migrated(tryton, servers)
    password = derived_password(used.passwords[RoleKind.MIGRATION], user="admin").reveal()
    application = used.connection(RoleKind.APPLICATION)
    with tryton.serving(used.tenant.names.database, folder=tmp_path, **application) as client:
        assert client.login("admin", "lost again") is None
        login = client.login("admin", password)
        assert login is not None
        client.call("model.party.party.create", [{"name": "회원사 001"}], {}, session=login)
    assert used.ask("SELECT name FROM party_party") == [("회원사 001",)]


def test_rows_are_dated_by_the_tenant_s_own_migration(loaded: Migrated) -> None:
    assert loaded.ask(LEFT_OVER) == [(0,)]


def test_a_second_job_changes_nothing_and_is_done_at_once(
    loaded: Migrated, tryton: TrytonFiles, servers: Servers
) -> None:
    before = loaded.ask(USERS.replace("%%", "%"))
    again = MigrationJob(tryton=tryton, solutions=SOLUTIONS).run(
        loaded.tenant.names.database,
        servers=servers,
        connection=loaded.connection(RoleKind.MIGRATION),
        owner=loaded.tenant.names.owner_role,
    )
    assert again.log == "done\n"
    assert loaded.ask(USERS.replace("%%", "%")) == before


def test_nobody_has_a_right_too_many(loaded: Migrated) -> None:
    wanted = loaded.tenant.grants(member_column=MEMBER_COLUMN)
    assert postgres_of(loaded.servers).read_deviations(wanted) == ()


@pytest.mark.parametrize("kind", FACTS)
def test_both_ways_make_the_same(loaded: Migrated, made: Migrated, kind: str) -> None:
    assert "the image holds no tables" in made.ran.log
    assert loaded.facts(kind) == made.facts(kind)


def test_no_sequence_gives_a_number_that_a_row_has_already(loaded: Migrated) -> None:
    defaults = loaded.ask(NUMBERED)
    assert len(defaults) > 200
    for table, following in defaults:
        query = f'SELECT coalesce(max(id), 0) < {following} FROM "{table}"'  # noqa: S608 - the server's own words
        [(is_free,)] = loaded.ask(query)
        assert is_free, table


def test_both_ways_make_as_many_rows(loaded: Migrated, made: Migrated) -> None:
    assert loaded.counts() == made.counts()


@pytest.mark.parametrize("question", [USERS.replace("%%", "%"), MODULES])
def test_both_ways_give_the_tenant_the_same_users_and_modules(loaded: Migrated, made: Migrated, question: str) -> None:
    assert loaded.ask(question) == made.ask(question)


@pytest.fixture
def ledger_alone(tryton: TrytonFiles) -> Iterator[None]:
    """The image holds the ledger's tables, and no others."""
    file = tryton.root / FOLDER / LIST
    kept = file.read_text()
    document = json.loads(kept)
    document["sets"] = [one for one in document["sets"] if one["name"] == "ledger"]
    file.write_text(json.dumps(document))
    yield
    file.write_text(kept)


@pytest.mark.usefixtures("ledger_alone")
def test_a_set_that_is_not_prepared_begins_with_the_largest_that_is(
    tryton: TrytonFiles, servers: Servers, made: Migrated
) -> None:
    grown = migrated(tryton, servers)
    assert "loading those of ledger from the image" in grown.ran.log
    assert "Tryton updates account_invoice_stock" in grown.ran.log
    assert grown.ask(MODULES) == made.ask(MODULES)
    assert grown.facts("tables") == made.facts("tables")
    assert grown.facts("columns") == made.facts("columns")
    assert grown.facts("constraints") == made.facts("constraints")
    assert grown.ran.seconds < made.ran.seconds
