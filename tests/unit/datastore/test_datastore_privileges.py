"""Wanted privileges follow from the objects; every difference is named, and mending it leaves none."""

from hypothesis import given
from hypothesis import strategies as st
from psycopg.sql import Composed

from provisioner.datastore.postgres_grants import grant, revocation
from provisioner.datastore.postgres_privileges import (
    ObjectKind,
    Privilege,
    SqlObject,
    deviations,
    future_objects,
    wanted_privileges,
)
from provisioner.plan.resources import PostgresGrants

GRANTS = PostgresGrants(
    key="grants",
    database="rice",
    owner="rice_owner",
    application="rice_app",
    reader="rice_reader",
    migration="rice_migration",
)
OBJECTS = [
    SqlObject(kind=ObjectKind.DATABASE, path=("rice",), owner="rice_owner"),
    SqlObject(kind=ObjectKind.SCHEMA, path=("public",), owner="pg_database_owner"),
    SqlObject(kind=ObjectKind.SCHEMA, path=("member_1",), owner="rice_owner"),
    SqlObject(kind=ObjectKind.TABLE, path=("public", "lots"), owner="rice_owner"),
    SqlObject(kind=ObjectKind.SEQUENCE, path=("public", "lots_id_seq"), owner="rice_owner"),
    SqlObject(kind=ObjectKind.TABLE, path=("public", "theirs"), owner="postgres"),
    SqlObject(kind=ObjectKind.ROLE, path=("rice_owner",), owner="rice_owner"),
    *future_objects("rice_owner"),
]
RIGHTS = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "CONNECT", "TEMPORARY", "USAGE", "CREATE", "MEMBER"]
PRIVILEGES = st.builds(
    Privilege,
    object=st.sampled_from(OBJECTS),
    grantee=st.sampled_from(["PUBLIC", "stranger", "rice_app", "rice_reader", "rice_migration"]),
    right=st.sampled_from(RIGHTS),
    grantable=st.booleans(),
)


def rights(grantee: str, path: tuple[str, ...], *, read_only: bool = False) -> set[str]:
    wanted = wanted_privileges(GRANTS, objects=OBJECTS, read_only=read_only)
    return {one.right for one in wanted if one.grantee == grantee and one.object.path == path}


def text(statement: Composed) -> str:
    return statement.as_string()


def test_the_application_writes_and_the_reader_reads() -> None:
    assert rights("rice_app", ("public", "lots")) == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert rights("rice_reader", ("public", "lots")) == {"SELECT"}
    assert rights("rice_app", ("public", "lots"), read_only=True) == {"SELECT"}
    assert rights("rice_app", ("public", "lots_id_seq"), read_only=True) == {"SELECT"}


def test_nothing_is_wanted_for_anybody_else_or_on_what_the_owner_does_not_own() -> None:
    wanted = list(wanted_privileges(GRANTS, objects=OBJECTS, read_only=False))
    assert {one.grantee for one in wanted} == {"rice_app", "rice_reader", "rice_migration", "rice_owner"}
    assert not [one for one in wanted if one.object.path == ("public", "theirs")]


@given(actual=st.sets(PRIVILEGES))
def test_mending_every_deviation_leaves_none(actual: set[Privilege]) -> None:
    found = deviations(GRANTS, objects=OBJECTS, actual=actual, read_only=False, exempt=frozenset())
    mended = (actual - set(found.extra)) | set(found.missing)
    again = deviations(GRANTS, objects=OBJECTS, actual=mended, read_only=False, exempt=frozenset())
    assert again.sentences() == ()


def test_the_administrator_is_not_looked_at() -> None:
    own = Privilege(object=OBJECTS[0], grantee="postgres", right="CREATE")
    found = deviations(GRANTS, objects=(), actual=[own], read_only=False, exempt=frozenset({"postgres"}))
    assert found.extra == ()


def test_statements_quote_every_name() -> None:
    table = SqlObject(kind=ObjectKind.TABLE, path=('a"b', "c;d"), owner="o")
    column = SqlObject(kind=ObjectKind.COLUMN, path=("public", "t", "c d"), owner="o")
    future = SqlObject(kind=ObjectKind.FUTURE_TABLES, path=("o", "member 1"), owner="o")
    role = SqlObject(kind=ObjectKind.ROLE, path=("o",), owner="o")
    assert text(grant(Privilege(object=table, grantee="x y", right="SELECT"))) == (
        'GRANT SELECT ON TABLE "a""b"."c;d" TO "x y"'
    )
    assert text(revocation(Privilege(object=column, grantee="PUBLIC", right="SELECT"))) == (
        'REVOKE SELECT ("c d") ON TABLE "public"."t" FROM PUBLIC CASCADE'
    )
    assert text(revocation(Privilege(object=future, grantee="x", right="SELECT"))) == (
        'ALTER DEFAULT PRIVILEGES FOR ROLE "o" IN SCHEMA "member 1" REVOKE SELECT ON TABLES FROM "x" CASCADE'
    )
    assert text(revocation(Privilege(object=role, grantee="x", right="MEMBER", grantable=True))) == (
        'REVOKE ADMIN OPTION FOR "o" FROM "x" CASCADE'
    )
