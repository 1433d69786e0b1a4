"""Each right, attribute and policy of the data store's database, weakened by itself: the proof reports it."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import LiteralString

import pytest
from psycopg import sql

from provisioner.datastore.postgres import postgres_access
from provisioner.datastore.postgres_connection import Connection, connect
from provisioner.proof.attempts import Area
from provisioner.proof.proving import prove_database
from provisioner.proof.verdicts import Ending, Finding, problems, settled
from tests.integration.proof.conftest import ProvedWorld
from tests.proof_mutations import NEIGHBOUR, OWN, sampled, store_parts

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
DATABASE, OTHER = (name.replace("-", "_") for name in (OWN, NEIGHBOUR))
ATTRIBUTES = ("SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS", "INHERIT", "CONNECTION LIMIT -1")
LOGINS = ("application", "reader", "migration")
ALTERATIONS: dict[str, LiteralString] = {
    "application": "ALTER ROLE {own}_app ",
    "reader": "ALTER ROLE {own}_reader ",
    "migration": "ALTER ROLE {own}_migration ",
}
SEEN = {Ending.GOT_THROUGH, Ending.FAILED_CONTROL}


@dataclass(frozen=True, kw_only=True)
class Weakening:
    """Statements of the administrator that weaken a database, and those that take back what no apply looks at.

    ``lots`` is a table of the tenant's, with rows of members. ``through``: an attack must get through, a look alone
    is not enough.
    """

    do: LiteralString
    undo: LiteralString = ""
    database: str = DATABASE
    through: bool = False


WEAKENINGS = {
    "another's role may read a table": Weakening(do="GRANT SELECT ON lots TO {other}_app", undo="DROP TABLE lots"),
    "another's role may read all that will be made": Weakening(
        do="ALTER DEFAULT PRIVILEGES FOR ROLE {own}_owner GRANT SELECT ON TABLES TO {other}_app;"
        " GRANT CONNECT ON DATABASE {own} TO {other}_app; GRANT USAGE ON SCHEMA public TO {other}_app",
        through=True,
    ),
    "another's role may connect": Weakening(do="GRANT CONNECT ON DATABASE {own} TO {other}_app"),
    "everybody may connect": Weakening(do="GRANT CONNECT ON DATABASE {own} TO PUBLIC"),
    # The event trigger that keeps members apart refuses these roles a temporary table, too.
    "everybody may make temporary tables": Weakening(do="GRANT TEMPORARY ON DATABASE {own} TO PUBLIC"),
    "everybody may enter the maintenance database": Weakening(
        do="GRANT CONNECT ON DATABASE postgres TO PUBLIC", database="postgres", through=True
    ),
    "everybody may enter a template": Weakening(
        do="GRANT CONNECT ON DATABASE template1 TO PUBLIC", database="postgres", through=True
    ),
    "a role of the tenant may enter another's database": Weakening(
        do="GRANT CONNECT ON DATABASE {other} TO {own}_app",
        undo="REVOKE CONNECT ON DATABASE {other} FROM {own}_app",
        through=True,
    ),
    "the owner may log in": Weakening(do="ALTER ROLE {own}_owner LOGIN"),
    "the owner may have sessions": Weakening(do="ALTER ROLE {own}_owner CONNECTION LIMIT -1"),
    "the application owns everything": Weakening(do="GRANT {own}_owner TO {own}_app", through=True),
    "the reader writes what the application does": Weakening(do="GRANT {own}_app TO {own}_reader", through=True),
    "another's role owns everything": Weakening(
        do="GRANT {own}_owner TO {other}_app", undo="REVOKE {own}_owner FROM {other}_app"
    ),
    "a role reads every database": Weakening(do="GRANT pg_read_all_data TO {own}_reader", through=True),
    "a role runs programs of the server": Weakening(do="GRANT pg_execute_server_program TO {own}_app", through=True),
    "a role reads files of the server": Weakening(do="GRANT pg_read_server_files TO {own}_migration", through=True),
    "a role reads what others ask": Weakening(do="GRANT pg_read_all_stats TO {own}_app", through=True),
    "the tenant owns its database": Weakening(do="ALTER DATABASE {own} OWNER TO {own}_owner", through=True),
    "the database has no limit": Weakening(do="ALTER DATABASE {own} CONNECTION LIMIT -1"),
    "the database bears another's mark": Weakening(
        do="COMMENT ON DATABASE {own} IS NULL", undo="COMMENT ON DATABASE {own} IS {mark}"
    ),
    "an extension that is not allowed": Weakening(do="CREATE EXTENSION hstore", undo="DROP EXTENSION hstore"),
    "the tenant may install extensions": Weakening(do="GRANT CREATE ON DATABASE {own} TO {own}_owner", through=True),
    "the application may make tables": Weakening(do="GRANT CREATE ON SCHEMA public TO {own}_app", through=True),
    "the application may empty tables": Weakening(
        do="ALTER DEFAULT PRIVILEGES FOR ROLE {own}_owner GRANT TRUNCATE ON TABLES TO {own}_app", through=True
    ),
    "the reader may write": Weakening(
        do="ALTER DEFAULT PRIVILEGES FOR ROLE {own}_owner GRANT INSERT ON TABLES TO {own}_reader", through=True
    ),
    "everybody may write large objects": Weakening(
        do="GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC", through=True
    ),
    "a column is everybody's": Weakening(do="GRANT SELECT (member_id) ON lots TO PUBLIC"),
    # Without that setting the event trigger would mend it at once.
    "rows are not kept apart": Weakening(
        do="SET coopctl.restoring = 'on'; ALTER TABLE lots DISABLE ROW LEVEL SECURITY"
    ),
    "the policy that bounds the reader is gone": Weakening(do="DROP POLICY coopctl_member ON lots"),
    "the policy that bounds the reader says nothing": Weakening(do="ALTER POLICY coopctl_member ON lots USING (true)"),
    "the policy that bounds the reader is for another": Weakening(
        do="ALTER POLICY coopctl_member ON lots TO {own}_migration"
    ),
    "new tables are not secured": Weakening(do="ALTER EVENT TRIGGER coopctl_member_rows DISABLE", through=True),
    "the event trigger is gone": Weakening(do="DROP EVENT TRIGGER coopctl_member_rows", through=True),
    "row security is gone": Weakening(do="DROP SCHEMA coopctl CASCADE", through=True),
    "every member sees the rows of all": Weakening(
        do="CREATE OR REPLACE FUNCTION coopctl.my_members() RETURNS text[] STABLE LANGUAGE sql"
        " AS 'SELECT ARRAY[''001'', ''002'', ''coopctl-proof-1'']'",
        undo="DROP SCHEMA coopctl CASCADE",
        through=True,
    ),
    "a member sees rows of another": Weakening(
        do="INSERT INTO coopctl.member_access VALUES ('{own}_member_001', 'coopctl-proof-1')",
        undo="DELETE FROM coopctl.member_access WHERE member = 'coopctl-proof-1'",
        through=True,
    ),
    "a member does not see its rows": Weakening(
        do="DELETE FROM coopctl.member_access WHERE role = '{own}_member_001'",
    ),
    "no table is one of members": Weakening(
        do="CREATE OR REPLACE FUNCTION coopctl.condition(relation oid) RETURNS text"
        " LANGUAGE sql AS 'SELECT NULL::text'",
        undo="DROP SCHEMA coopctl CASCADE",
        through=True,
    ),
    "the reader reads who may see what": Weakening(
        do="GRANT USAGE ON SCHEMA coopctl TO {own}_reader; GRANT SELECT ON coopctl.member_access TO {own}_reader"
    ),
}


LOTS = "SET ROLE {own}_owner; CREATE TABLE lots (member_id text); INSERT INTO lots VALUES ('m1'), ('m2')"


class Database:
    """The tenant's database, to be weakened and mended."""

    def __init__(self, world: ProvedWorld) -> None:
        cluster = world.cluster()
        self.world, self.target, self.means = world, world.target(cluster), world.means(cluster)
        self.parts = [key for key in store_parts() if key.startswith("postgres-")]
        with self._connect("postgres") as session:
            found = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
            ((self.mark,),) = session.execute(found, [DATABASE]).fetchall()

    def run(self, statements: LiteralString, *, database: str = DATABASE) -> None:
        """Execute statements as the administrator."""
        names = {"own": sql.SQL(DATABASE), "other": sql.SQL(OTHER), "mark": sql.Literal(self.mark)}
        with self._connect(database) as session:
            session.execute("SET search_path = public")
            session.execute(sql.SQL(statements).format(**names))

    def problems(self) -> list[Finding]:
        """What the database's part of a proof finds that shows no isolation."""
        found = problems(settled(prove_database(self.target, means=self.means)))
        return [one for one in found if one.about.area is Area.DATABASE]

    def endings(self) -> set[Ending]:
        """How these end."""
        return {one.verdict.ending for one in self.problems()}

    def mend(self, undo: LiteralString) -> None:
        """Take back what an apply does not, and apply."""
        if undo:
            self.run(undo)
        self.run("DROP TABLE IF EXISTS lots")
        self.world.mend(*self.parts)

    def _connect(self, database: str) -> AbstractContextManager[Connection]:
        return connect(postgres_access(self.world.platform.postgres), environment=os.environ, database=database)


@pytest.fixture(scope="module")
def database(proved: ProvedWorld) -> Database:
    """The tenant's database."""
    return Database(proved)


def test_a_database_with_tables_of_members_is_sound(database: Database) -> None:
    database.run(LOTS)
    try:
        assert database.problems() == []
    finally:
        database.mend("")


@pytest.mark.parametrize("what", sampled(WEAKENINGS, every=6, seconds=3))
def test_a_database_that_is_weakened_is_reported(database: Database, what: str) -> None:
    weakening = WEAKENINGS[what]
    database.run(LOTS)
    try:
        database.run(weakening.do, database=weakening.database)
        found = database.endings()
    finally:
        database.mend(weakening.undo)
    assert found & SEEN
    assert Ending.GOT_THROUGH in found or not weakening.through


@pytest.mark.parametrize("attribute", sampled(ATTRIBUTES, every=4, seconds=3))
@pytest.mark.parametrize("kind", LOGINS)
def test_a_role_with_one_attribute_more_is_reported(database: Database, kind: str, attribute: LiteralString) -> None:
    database.run(ALTERATIONS[kind] + attribute)
    try:
        found = database.endings()
    finally:
        database.mend("")
    assert found & SEEN
    assert attribute != "SUPERUSER" or Ending.GOT_THROUGH in found
