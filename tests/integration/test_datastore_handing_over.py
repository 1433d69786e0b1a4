"""A database that a migration has brought changes hands: its marks, those of its members, and what secures its rows."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from provisioner.datastore.handing_over import Handover, hand_over_database
from provisioner.datastore.marks import Mark, from_comment, to_comment
from provisioner.errors import NotOurs
from provisioner.migration.postgres_sides import Side, session
from provisioner.naming import ClusterId, CooperativeName, TenantNames, cooperative_uid, tenant_names
from tests.postgres_servers import PostgresServer, as_user

pytestmark = pytest.mark.servers
OLD, NEW = ClusterId("old"), ClusterId("new")
# Made by the platform's administrator, brought by a migration: roles bear no mark, the rest bears the platform's.
BROUGHT = """
CREATE ROLE {admin}_old NOLOGIN; CREATE ROLE {admin}_new SUPERUSER LOGIN PASSWORD 'new-secret';
CREATE ROLE {db}_owner; CREATE ROLE {db}_app LOGIN; CREATE ROLE {db}_reader; CREATE ROLE {db}_migration;
CREATE ROLE {db}_member_m_1 LOGIN; CREATE ROLE {db}s_app LOGIN;
CREATE SCHEMA member_m_1; COMMENT ON SCHEMA member_m_1 IS '{mark}';
CREATE SCHEMA member_gone; COMMENT ON SCHEMA member_gone IS '{kept}';
CREATE SCHEMA lots; COMMENT ON SCHEMA lots IS 'the cooperative''s own words';
CREATE SCHEMA coopctl; COMMENT ON SCHEMA coopctl IS 'a digest';
CREATE TABLE coopctl.access (member text); CREATE VIEW coopctl.seen AS SELECT * FROM coopctl.access;
CREATE FUNCTION coopctl.secure(oid) RETURNS void LANGUAGE sql AS '';
ALTER SCHEMA coopctl OWNER TO {admin}_old; ALTER TABLE coopctl.access OWNER TO {admin}_old;
ALTER VIEW coopctl.seen OWNER TO {admin}_old; ALTER FUNCTION coopctl.secure(oid) OWNER TO {admin}_old;
COMMENT ON DATABASE {db} IS '{mark}';
"""
DATABASE = """
    SELECT 'database', shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()
"""
SCHEMAS = """
    SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace
    WHERE nspname !~ '^(pg_|public|information_schema)'
"""
OWNERS = (
    "SELECT nspname, pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'coopctl'",
    """
    SELECT relname, pg_get_userbyid(relowner) FROM pg_class
    WHERE relnamespace = 'coopctl'::regnamespace AND relkind IN ('r', 'v')
    """,
    "SELECT proname, pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = 'coopctl'::regnamespace",
)


@dataclass(frozen=True, kw_only=True)
class Brought:
    """A database at the target."""

    server: PostgresServer
    names: TenantNames
    by: Handover
    side: Side

    def hand_over(self) -> None:
        with session(self.side) as connection:
            hand_over_database(connection, self.names, by=self.by)

    def ask(self, query: str) -> list[tuple[str, str | None]]:
        return [(str(name), value) for name, value in self.server.execute(query, database=self.names.database)]

    def marks(self) -> dict[str, Mark | None]:
        database = self.names.database
        roles = f"SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname LIKE '{database}%'"  # noqa: S608
        found = [*self.ask(DATABASE), *self.ask(roles), *self.ask(SCHEMAS)]
        return {name.removeprefix(f"{database}_"): from_comment(comment) for name, comment in found}

    def owners(self) -> set[str | None]:
        """To whom the administrator's own things belong."""
        return {owner for query in OWNERS for _, owner in self.ask(query)}


@pytest.fixture
def brought(target_postgres: PostgresServer) -> Iterator[Brought]:
    name = CooperativeName(f"rice-{secrets.token_hex(4)}")
    names, admin = tenant_names(name, cluster=OLD), f"admin_{secrets.token_hex(4)}"
    before, after = (Mark(cluster=one, cooperative=cooperative_uid(name, cluster=one)) for one in (OLD, NEW))
    target_postgres.execute(f"CREATE DATABASE {names.database} TEMPLATE template0")
    marks = {"mark": to_comment(before), "kept": to_comment(replace(before, retained=True))}
    target_postgres.execute(BROUGHT.format(db=names.database, admin=admin, **marks), database=names.database)
    yield Brought(
        server=target_postgres,
        names=names,
        by=Handover(before=before, after=after, administrator=f"{admin}_old"),
        side=as_user(target_postgres.side(names.database), f"{admin}_new", "new-secret"),
    )
    target_postgres.execute(f"DROP DATABASE {names.database}")


def test_all_that_was_brought_bears_the_new_mark_and_nothing_else_does(brought: Brought) -> None:
    for _ in range(2):
        brought.hand_over()
        marks, after = brought.marks(), brought.by.after
        own = ("database", "owner", "app", "reader", "migration", "member_m_1")
        assert {name: marks[name] for name in own} == dict.fromkeys(own, after)
        assert marks["member_gone"] == replace(after, retained=True), "what was kept closed stays so"
        others = {name: mark for name, mark in marks.items() if name not in {*own, "member_gone"}}
        assert others == {f"{brought.names.database}s_app": None, "lots": None, "coopctl": None}
        assert brought.owners() == {brought.side.user}


@pytest.mark.parametrize(
    ("what", "mark"),
    [
        ("DATABASE {db}", None),
        ("DATABASE {db}", "others"),
        ("ROLE {db}_reader", "others"),
        ("ROLE {db}_member_m_1", "others"),
    ],
)
def test_what_is_somebody_elses_stays_so_and_nothing_is_marked(brought: Brought, what: str, mark: str | None) -> None:
    others = Mark(cluster=ClusterId("others"), cooperative=brought.by.after.cooperative)
    text = f"'{to_comment(others)}'" if mark else "NULL"
    thing = what.format(db=brought.names.database)
    brought.server.execute(f"COMMENT ON {thing} IS {text}", database=brought.names.database)
    before = brought.marks()
    with pytest.raises(NotOurs):
        brought.hand_over()
    assert brought.marks() == before
    assert brought.owners() == {brought.by.administrator}
