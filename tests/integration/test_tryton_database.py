"""Tryton on a tenant's own database: the migration role makes the tables, the application's role serves them."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from psycopg.errors import InsufficientPrivilege

from examples.tryton_client import TrytonClient, TrytonRefused
from provisioner.catalogue import load_catalogue
from provisioner.datastore.credentials import Secret
from provisioner.datastore.dump_programs import find_tools
from provisioner.migration.postgres_sides import Clients, Side, service_file
from provisioner.migration.postgres_sides import session as sides_session
from provisioner.migration.postgres_streams import SOURCE, TARGET
from provisioner.migration.slice_classifying import SliceRequest
from provisioner.migration.slice_copying import SliceWork, copy_slice
from provisioner.migration.slice_planning import SliceSides, plan_slice
from provisioner.migration.slice_survey import survey_slice
from provisioner.migration.slice_verification import verify_rows
from provisioner.naming import member_names, slice_uid
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import Tenant, make_data_store, new_tenant, postgres_of, session
from tests.tryton import TrytonFiles, unpacked_image
from tests.unit.plan.builders import CHARTS

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=300), pytest.mark.timeout(7200)]

# What runs in one server, on the tables of one database.
CATALOGUE = load_catalogue(CHARTS)
SOLUTIONS = [CATALOGUE.solution("ledger"), *CATALOGUE.extending("ledger")]
FOREIGN_KEYS = """
    SELECT t.relname, a.attname, target.relname
    FROM pg_constraint k
    JOIN pg_class t ON t.oid = k.conrelid JOIN pg_class target ON target.oid = k.confrelid
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
    WHERE k.contype = 'f'
"""

PASSWORD = "a-password-of-the-test"
MEMBER_COLUMN = "member_id"
# Tryton gives the id of a history table a default when it registers the table for the second time; nothing uses it.
COLUMNS = """
    SELECT t.tableowner, c.table_name, c.column_name, c.data_type, c.is_nullable,
           CASE WHEN c.column_name = 'id' AND right(c.table_name, 9) = '__history' THEN NULL ELSE c.column_default END
    FROM information_schema.columns c JOIN pg_tables t ON t.tablename = c.table_name AND t.schemaname = c.table_schema
    WHERE c.table_schema = 'public' ORDER BY c.table_name, c.column_name
"""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A tenant's database on the session's server, and Tryton's files."""

    tryton: TrytonFiles
    servers: Servers
    folder: Path
    passwords: dict[RoleKind, Secret] = field(default_factory=dict)
    tenant: Tenant = field(default_factory=new_tenant)

    @property
    def database(self) -> str:
        """The database's name."""
        return self.tenant.names.database

    def connection(self, kind: RoleKind) -> dict[str, str]:
        """What libpq reads, as the tenant's Secrets have it."""
        return {
            "PGHOST": self.servers.host,
            "PGPORT": str(self.servers.postgres_port),
            "PGSSLMODE": "require",
            "PGUSER": self.tenant.role(kind).name,
            "PGPASSWORD": self.passwords[kind].reveal(),
        }

    def migrate(self) -> None:
        """Bring the tables up to date: the migration role becomes the owner for the whole of its session."""
        password, configuration = self.folder / "password", self.folder / "migrated.conf"
        password.write_text(PASSWORD)
        configuration.write_text(self.tryton.configuration())
        as_owner = {"PGOPTIONS": f"-c role={self.tenant.names.owner_role}", "TRYTONPASSFILE": str(password)}
        modules = sorted({module for solution in SOLUTIONS for module in solution.modules})
        wanted = ("--email", "", "--activate-dependencies", "-u", *modules)
        given: list[str | Path] = ["-c", configuration, "-d", self.database, *wanted]
        self.tryton.admin(*given, **self.connection(RoleKind.MIGRATION), **as_owner)

    def schema(self) -> list[tuple[str, ...]]:
        """Every column of every table, with the table's owner."""
        with session(self.servers, database=self.database) as inside:
            return inside.execute(COLUMNS).fetchall()

    def parties(self, name: str) -> int:
        """How many parties of that name PostgreSQL holds."""
        with session(self.servers, database=self.database) as inside:
            found = inside.execute("SELECT count(*) FROM party_party WHERE name = %s", [name]).fetchone()
            return int(found[0]) if found else 0


@pytest.fixture(scope="module")
def installed(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A tenant whose database was migrated once."""
    folder = tmp_path_factory.mktemp("tryton")
    made = Installation(tryton=unpacked_image(folder), servers=servers, folder=folder)
    for solution in SOLUTIONS:
        if module := solution.own_module:
            shutil.copytree(solution.chart / "module" / module.name, made.tryton.modules / module.name)
    made.passwords.update(make_data_store(postgres_of(servers), made.tenant, member_column=MEMBER_COLUMN))
    made.migrate()
    return made


@pytest.fixture(scope="module")
def client(installed: Installation) -> Iterator[TrytonClient]:
    """The server, which has the application's role alone."""
    connection = installed.connection(RoleKind.APPLICATION)
    with installed.tryton.serving(installed.database, folder=installed.folder, **connection) as client:
        yield client


def test_the_tables_belong_to_the_owner_and_nobody_has_a_right_too_many(installed: Installation) -> None:
    assert {owner for owner, *_ in installed.schema()} == {installed.tenant.names.owner_role}
    wanted = installed.tenant.grants(member_column=MEMBER_COLUMN)
    assert postgres_of(installed.servers).read_deviations(wanted) == ()


def test_the_data_maps_say_of_every_table_whose_its_rows_are(installed: Installation) -> None:
    tables = frozenset(table for _, table, *_ in installed.schema())
    maps = [solution.data_map for solution in SOLUTIONS if solution.data_map]
    assert len(maps) == len(SOLUTIONS)
    unmapped = [frozenset(one.unmapped(tables)) for one in maps]
    assert frozenset.intersection(*unmapped) == frozenset()
    assert {table for one in maps for table in one.members} <= tables


def test_each_path_of_a_data_map_leads_over_foreign_keys_to_a_company(installed: Installation) -> None:
    columns = {(table, column) for _, table, column, *_ in installed.schema()}
    with session(installed.servers, database=installed.database) as inside:
        leads = {(table, column): target for table, column, target in inside.execute(FOREIGN_KEYS.encode()).fetchall()}
    for table, path in [
        item for solution in SOLUTIONS if solution.data_map for item in solution.data_map.members.items()
    ]:
        place = table
        for column in path[:-1]:
            place = leads[place, column]
        assert (place, path[-1]) in columns, table
        assert leads.get((place, path[-1]), place) == "company_company", table


@pytest.mark.parametrize(
    ("model", "fields", "first"),
    [
        ("food.type", ["code", "name"], {"code": "R10", "name": "곡류가공품"}),
        ("gas.cylinder", ["code", "inspected_every"], {"code": "G03", "inspected_every": 60}),
        ("plating.process", ["symbol", "thinnest", "thickest"], {"symbol": "Zn", "thinnest": 5.0, "thickest": 25.0}),
    ],
)
def test_the_trades_own_codes_are_there(
    client: TrytonClient, model: str, fields: list[str], first: dict[str, object]
) -> None:
    login = client.login("admin", PASSWORD)
    codes = client.call(f"model.{model}.search_read", [], 0, 1, None, fields, {}, session=login)
    assert codes == [{"id": 1, **first}]


@pytest.fixture
def gas(client: TrytonClient) -> tuple[str | None, int]:
    """A session, and a product that comes in cylinders which are inspected every five years."""
    login = client.login("admin", PASSWORD)
    (unit,) = client.call("model.product.uom.search", [["symbol", "=", "u"]], 0, 1, None, {}, session=login)
    (cylinder,) = client.call("model.gas.cylinder.search", [["code", "=", "G20"]], 0, 1, None, {}, session=login)
    goods = {
        "name": "프로판",
        "type": "goods",
        "default_uom": unit,
        "gas_cylinder": cylinder,
        "products": [["create", [{}]]],
    }
    (template,) = client.call("model.product.template.create", [goods], {}, session=login)
    (product,) = client.call(
        "model.product.product.search", [["template", "=", template]], 0, 1, None, {}, session=login
    )
    return login, product


def test_a_cylinder_is_inspected_again_when_its_months_are_over(
    client: TrytonClient, gas: tuple[str | None, int]
) -> None:
    login, product = gas
    day = {"__class__": "date", "year": 2026, "month": 2, "day": 28}
    lots = [{"number": "K-0001", "product": product, "inspected_on": day}, {"number": "K-0002", "product": product}]
    made = client.call("model.stock.lot.create", lots, {}, session=login)
    read = client.call("model.stock.lot.read", made, ["inspect_by"], {}, session=login)
    assert [one["inspect_by"] for one in read] == [{**day, "year": 2031}, None]


@pytest.fixture(scope="module")
def sale(client: TrytonClient) -> int:
    """A sale that nobody has confirmed, of a company that the first user works for."""
    login = client.login("admin", PASSWORD)
    whole = {"__class__": "Decimal", "decimal": "1"}
    won = {"name": "원", "symbol": "₩", "code": "KRW", "digits": 0, "rounding": whole}
    (currency,) = client.call("model.currency.currency.create", [won], {}, session=login)
    own, customer = client.call(
        "model.party.party.create", [{"name": "회원사 010"}, {"name": "고객"}], {}, session=login
    )
    (company,) = client.call("model.company.company.create", [{"party": own, "currency": currency}], {}, session=login)
    (user,) = client.call("model.res.user.search", [["login", "=", "admin"]], 0, 1, None, {}, session=login)
    works_for = {"companies": [["add", [company]]], "company": company}
    client.call("model.res.user.write", [user], works_for, {}, session=login)
    wanted = {"company": company, "party": customer, "currency": currency}
    (made,) = client.call("model.sale.sale.create", [wanted], {"company": company}, session=login)
    return int(made)


@pytest.mark.parametrize(("thickness", "made"), [(5.0, True), (25.0, True), (4.9, False), (25.1, False)])
def test_a_layer_that_the_process_cannot_make_is_refused_with_its_bounds(
    client: TrytonClient, sale: int, thickness: float, made: bool
) -> None:
    login = client.login("admin", PASSWORD)
    (zinc,) = client.call("model.plating.process.search", [["symbol", "=", "Zn"]], 0, 1, None, {}, session=login)
    line = {"sale": sale, "type": "comment", "plating": zinc, "thickness": thickness}
    if made:
        assert client.call("model.sale.line.create", [line], {}, session=login)
        return
    with pytest.raises(TrytonRefused, match=r"5\.0 to 25\.0 µm"):
        client.call("model.sale.line.create", [line], {}, session=login)


def test_a_member_s_slice_holds_its_company_and_nobody_else_s(
    installed: Installation, client: TrytonClient, sale: int, tmp_path: Path
) -> None:
    login = client.login("admin", PASSWORD)
    (other,) = client.call("model.sale.sale.read", [sale], ["company", "currency"], {}, session=login)
    own, guest = client.call("model.party.party.create", [{"name": "회원사 020"}, {"name": "손님"}], {}, session=login)
    made = {"party": own, "currency": other["currency"]}
    (company,) = client.call("model.company.company.create", [made], {}, session=login)
    user = client.call("model.res.user.search", [["login", "=", "admin"]], 0, 1, None, {}, session=login)
    works_for = {"companies": [["add", [company]]], "company": company}
    client.call("model.res.user.write", user, works_for, {}, session=login)
    wanted = {"company": company, "party": guest, "currency": other["currency"]}
    client.call("model.sale.sale.create", [wanted], {"company": company}, session=login)
    # Who works for several members belongs to one of them, and is no part of another one's slice.
    leaves = {"company": other["company"], "companies": [["remove", [company]]]}
    client.call("model.res.user.write", user, leaves, {}, session=login)
    names, source = installed.tenant.names, side_of(installed.servers, installed.database)
    request = SliceRequest(
        member="m-020",
        key=str(company),
        schema=member_names("m-020", database=names.database).schema,
        member_column=MEMBER_COLUMN,
        maps={one.name: one.data_map for one in SOLUTIONS if one.data_map},
    )
    sides = SliceSides(source="here", target="there", source_bucket="ours", target_bucket="theirs")
    with sides_session(source) as connection:
        plan = plan_slice("m-020-out", facts=survey_slice(connection), request=request, sides=sides)
        connection.execute("CREATE DATABASE member_020 TEMPLATE template0")
    target = replace(source, database="member_020")
    tools = find_tools(server_version=15, search_path=os.environ["PATH"])

    with service_file({SOURCE: source, TARGET: target}, folder=tmp_path / "services") as services:
        work = SliceWork(
            plan=plan,
            uid=slice_uid(names.uid, member="m-020"),
            source=source,
            target=target,
            clients=Clients(tools=tools, service_file=services, environment={}),
            folder=services.parent,
            say=print,
        )
        copy_slice(work)

    assert plan.refused == ()
    assert verify_rows(plan, source=source, target=target).differences == ()
    with sides_session(target) as copied:
        assert copied.execute("SELECT id FROM public.company_company").fetchall() == [(company,)]
        assert copied.execute("SELECT DISTINCT company FROM public.sale_sale").fetchall() == [(company,)]
        parties = {name for (name,) in copied.execute("SELECT name FROM public.party_party").fetchall()}
    assert {"회원사 020", "손님"} <= parties
    assert "고객" not in parties, "whom another member alone sells to"


def side_of(servers: Servers, database: str) -> Side:
    """The administrator's way to a database."""
    return Side(
        host=servers.host,
        port=servers.postgres_port,
        user=servers.postgres_user,
        database=database,
        password=Secret(servers.postgres_password_file.read_text().strip()),
        extra=(("sslmode", "require"),),
    )


def test_the_web_client_is_served(client: TrytonClient) -> None:
    assert "tryton-sao.min.js" in client.page()


def test_a_party_that_is_saved_after_a_login_is_in_postgresql(client: TrytonClient, installed: Installation) -> None:
    login = client.login("admin", PASSWORD)
    assert login is not None
    client.call("model.party.party.create", [{"name": "회원사 001"}], {}, session=login)
    assert installed.parties("회원사 001") == 1


def test_a_wrong_password_opens_nothing(client: TrytonClient) -> None:
    assert client.login("admin", "wrong") is None


@pytest.mark.parametrize(
    "change", ["CREATE TABLE intruder ()", "ALTER TABLE party_party ADD spy text", "DROP TABLE party_party"]
)
def test_the_application_s_role_cannot_change_the_schema(installed: Installation, change: str) -> None:
    user, password = installed.tenant.names.application_role, installed.passwords[RoleKind.APPLICATION]
    with session(installed.servers, database=installed.database, user=user, password=password) as inside:
        assert inside.execute("SELECT count(*) FROM party_party").fetchone() is not None
        with pytest.raises(InsufficientPrivilege):
            inside.execute(change.encode())


def test_a_second_migration_changes_nothing_and_keeps_what_is_there(
    installed: Installation, client: TrytonClient
) -> None:
    login = client.login("admin", PASSWORD)
    client.call("model.party.party.create", [{"name": "회원사 002"}], {}, session=login)
    before = installed.schema()
    installed.migrate()
    assert installed.schema() == before
    assert installed.parties("회원사 002") == 1
