"""The survey of real servers: what it finds of an awkward database, and that it names whom a slot would wait for."""

import psycopg
import pytest

from provisioner.migration.postgres_facts import ReplicaIdentity, SourceFacts, TableFacts, TableName
from provisioner.migration.postgres_sides import Side, conninfo, session
from provisioner.migration.postgres_survey import survey_source, survey_target
from tests.postgres_servers import PostgresServer

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def facts(awkward_source: Side) -> SourceFacts:
    with session(awkward_source) as connection:
        return survey_source(connection)


def _table(facts: SourceFacts, name: str, schema: str = "public") -> TableFacts:
    return next(table for table in facts.tables if table.name == TableName(schema=schema, name=name))


def test_every_table_that_holds_rows_itself_is_found_once(facts: SourceFacts) -> None:
    names = [str(table.name) for table in facts.tables]
    assert len(names) == len(set(names)) == 21
    assert '"별도 스키마"."주문 ""표"""' in names
    assert '"public"."measures_2016_rest"' in names
    assert '"public"."measures_2016"' not in names, "a partitioned table holds no row"


def test_generated_columns_are_not_copied_and_dropped_ones_are_unknown(facts: SourceFacts) -> None:
    lots = _table(facts, "lots")
    assert "kilos" not in lots.copied_columns
    assert len(lots.columns) == 11
    assert lots.key == ("id",)
    assert lots.rows == 3000


def test_columns_without_equality_and_without_portable_form_are_known(facts: SourceFacts) -> None:
    assert [column.comparable for column in _table(facts, "no_equality").columns] == [True, False]
    assert [column.portable for column in _table(facts, "described").columns] == [True, False, False]
    assert _table(facts, "lots").is_binary
    assert all(column.comparable for column in _table(facts, "lots").columns)


def test_replica_identities_and_what_could_be_one_are_known(facts: SourceFacts) -> None:
    assert _table(facts, "said_nothing").identity is ReplicaIdentity.NOTHING
    assert _table(facts, "said_full").identity is ReplicaIdentity.FULL
    assert _table(facts, "unkeyed_unique").unique_indexes == ("only_one",)
    assert _table(facts, "no_key").unique_indexes == ()
    assert _table(facts, "scratch").unlogged
    assert _table(facts, "secrets_of_members").forced_row_security


def test_all_else_that_decides_is_counted(facts: SourceFacts, awkward_source: Side) -> None:
    assert facts.large_objects == 2
    assert facts.sequences == 3
    assert facts.materialised_views == 3
    assert facts.publications == ("of_the_application",)
    assert set(facts.extensions) == {"plpgsql", "hstore", "btree_gist"}
    stem = awkward_source.database
    assert {f"{stem}_owner", f"{stem}_app", f"{stem}_reader"} <= set(facts.role_names)
    assert facts.server.superuser
    assert facts.server.settings["wal_level"] == "logical"


def test_a_transaction_in_another_database_is_named(source_postgres: PostgresServer, awkward_source: Side) -> None:
    other = source_postgres.new_database("other")
    with psycopg.connect(conninfo(other)) as busy:
        busy.execute("CREATE TABLE held (id int)")
        with session(awkward_source) as connection:
            found = survey_source(connection).transactions
        assert (other.database, busy.info.backend_pid) in [(one.database, one.pid) for one in found]


def test_event_triggers_are_found_but_the_one_that_secures_the_rows_of_members(source_postgres: PostgresServer) -> None:
    watched = source_postgres.new_database("watched")
    with session(watched) as connection:
        connection.execute(
            "CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;"
            "CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION watch();"
            "CREATE EVENT TRIGGER coopctl_member_rows ON ddl_command_end EXECUTE FUNCTION watch()"
        )
        assert survey_source(connection).event_triggers == ("watch",)


def test_what_only_a_superuser_could_make_or_set_is_told(source_postgres: PostgresServer) -> None:
    watched = source_postgres.new_database("watched")
    source_postgres.execute(f"ALTER DATABASE {watched.database} SET app.tenant = 'x'")
    source_postgres.execute(f"ALTER DATABASE {watched.database} SET temp_file_limit = '1GB'")
    source_postgres.execute(f"ALTER DATABASE {watched.database} SET work_mem = '8MB'")
    with session(watched) as connection:
        connection.execute("CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$")
        connection.execute("CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION watch()")
        found = survey_source(connection)
    assert found.superuser_settings == ("app.tenant", "temp_file_limit")
    assert found.superuser_made == ("event trigger watch",)
    assert watched.user in found.administrators


def test_the_target_tells_what_it_offers(target_server: PostgresServer) -> None:
    empty = target_server.new_database("empty")
    with session(empty) as connection:
        found = survey_target(connection)
    assert found.relations == 0
    assert found.creates_roles
    assert found.server.creates_subscriptions
    assert "hstore" in found.available_extensions
    assert found.server.major in (15, 18)
