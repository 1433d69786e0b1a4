"""The login of a migration's Job, made by an administrator who is no superuser, on the newest server."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import psycopg
import pytest

from provisioner.datastore.credentials import Secret, generate_password
from provisioner.errors import NotPermitted, UsageError
from provisioner.migration.postgres_job_login import forget_own_password, make_job_login, read_job_login
from provisioner.migration.postgres_role_moves import drop_made_roles, read_roles
from provisioner.migration.postgres_sides import Side, conninfo, session
from provisioner.migration.postgres_snapshot import drop_slot, slot_snapshot
from tests.postgres_servers import PostgresServer, as_user

if TYPE_CHECKING:
    from provisioner.datastore.postgres_connection import Connection

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=20)]
LOGIN = "coopctl_move_0123456789abcdef_job"
UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


@pytest.fixture
def administrator(newer_postgres: PostgresServer) -> Iterator[Side]:
    """Who owns a database and may make roles that replicate; but may read nothing of others."""
    side, name = newer_postgres.new_database("job"), f"admin_{secrets.token_hex(4)}"
    newer_postgres.execute(f"CREATE ROLE {name} LOGIN CREATEROLE REPLICATION BYPASSRLS PASSWORD 'admin-secret'")
    newer_postgres.execute(f"ALTER DATABASE {side.database} OWNER TO {name}")
    made = as_user(side, name, "admin-secret")
    yield made
    with session(made) as connection:
        drop_made_roles(connection, [LOGIN])


def make(administrator: Side, *, password: Secret, sliced: bool = False) -> None:
    with session(administrator) as connection:
        make_job_login(connection, LOGIN, password=password, until=UNTIL, sliced=sliced)


def test_who_may_not_give_the_right_to_read_makes_no_login(administrator: Side) -> None:
    with pytest.raises(NotPermitted, match="does not permit this"):
        make(administrator, password=generate_password())
    with session(administrator) as connection:
        assert read_job_login(connection, LOGIN) is None


def test_who_may_makes_one_that_reads_and_holds_a_snapshot(administrator: Side, newer_postgres: PostgresServer) -> None:
    newer_postgres.execute(f"GRANT pg_read_all_data TO {administrator.user} WITH ADMIN OPTION")
    newer_postgres.execute(
        "CREATE TABLE theirs (id int); INSERT INTO theirs VALUES (1)", database=administrator.database
    )
    moved = f"{administrator.database}_app"
    newer_postgres.execute(f"CREATE ROLE {moved} LOGIN PASSWORD 'app-secret'")
    password = generate_password()
    make(administrator, password=password)

    job = as_user(administrator, LOGIN, password.reveal())
    with slot_snapshot(job, slot="job_login_test") as snapshot:
        assert snapshot.lsn
    with session(job) as connection:
        drop_slot(connection, "job_login_test")
        assert connection.execute("SELECT id FROM public.theirs").fetchall() == [(1,)]
        found = read_job_login(connection, LOGIN)
        assert found is not None
        assert found.until == UNTIL
        [role] = read_roles(connection, [moved]).roles
        assert role.verifier is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO public.theirs VALUES (2)")


def test_made_again_it_has_another_password(administrator: Side, newer_postgres: PostgresServer) -> None:
    newer_postgres.execute(f"GRANT pg_read_all_data TO {administrator.user} WITH ADMIN OPTION")
    first, second = generate_password(), generate_password()
    make(administrator, password=first)
    make(administrator, password=second)
    psycopg.connect(conninfo(as_user(administrator, LOGIN, second.reveal()))).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(conninfo(as_user(administrator, LOGIN, first.reveal())))


def test_for_a_slice_it_notes_rows_in_temporary_tables_and_makes_no_slot(
    administrator: Side, newer_postgres: PostgresServer
) -> None:
    newer_postgres.execute(f"GRANT pg_read_all_data TO {administrator.user} WITH ADMIN OPTION")
    newer_postgres.execute(f"REVOKE ALL ON DATABASE {administrator.database} FROM PUBLIC")
    password = generate_password()
    make(administrator, password=password)
    make(administrator, password=password, sliced=True)

    job = as_user(administrator, LOGIN, password.reveal())
    with session(job) as connection:
        connection.execute("CREATE TEMPORARY TABLE noted (id int)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT pg_create_physical_replication_slot('job_login_test')")


def test_it_closes_itself(administrator: Side, newer_postgres: PostgresServer) -> None:
    newer_postgres.execute(f"GRANT pg_read_all_data TO {administrator.user} WITH ADMIN OPTION")
    password = generate_password()
    make(administrator, password=password)
    job = as_user(administrator, LOGIN, password.reveal())
    with session(job) as connection:
        forget_own_password(connection)
        assert connection.execute("SELECT 1").fetchall() == [(1,)], "the session itself goes on"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(conninfo(job))


def test_an_old_server_is_refused_with_the_reason() -> None:
    old = cast("Connection", SimpleNamespace(info=SimpleNamespace(server_version=130022)))
    with pytest.raises(UsageError, match="needs PostgreSQL 14") as refused:
        make_job_login(old, LOGIN, password=generate_password(), until=UNTIL, sliced=False)
    assert "without --in-platform" in str(refused.value.hint)
