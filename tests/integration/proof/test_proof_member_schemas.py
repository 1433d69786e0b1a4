"""Members with a schema each on a real PostgreSQL: the database's part of a proof holds, and sees each weakening."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import LiteralString

import pytest
from psycopg import sql

from provisioner.datastore.credentials import Secret
from provisioner.datastore.marks import Mark
from provisioner.datastore.postgres_connection import connect
from provisioner.descriptor.cooperative import MemberLayout
from provisioner.naming import TenantNames, member_names
from provisioner.plan.resources import PostgresDatabase, PostgresGrants, PostgresMembers, PostgresRole, RoleKind
from provisioner.proof.planning_database import DatabaseFacts, database_attempts
from provisioner.proof.running_database import DatabaseRunner
from provisioner.proof.tenant import ProvenTenant, proven_tenant
from provisioner.proof.verdicts import Ending, Finding, problems, settled
from tests.conftest import Servers
from tests.data_stores import postgres_access_of, postgres_of
from tests.proof_mutations import planned, proved_terms

pytestmark = pytest.mark.servers
NAME = "laboratories"
PASSWORDS: dict[RoleKind, Secret] = {
    kind: Secret(f"password of {kind}") for kind in RoleKind if kind is not RoleKind.OWNER
}


@dataclass(frozen=True, kw_only=True)
class Apart:
    """A cooperative's database, and what its administrator does to it."""

    servers: Servers
    tenant: ProvenTenant
    mark: Mark

    @property
    def names(self) -> TenantNames:
        """The tenant's names."""
        return self.tenant.names

    def apply(self) -> None:
        """Make all of it, or bring it to what it must be."""
        admin = postgres_of(self.servers)
        for item in self.tenant.plan.resources:
            match item:
                case PostgresRole():
                    admin.ensure_role(item, mark=self.mark, password=PASSWORDS.get(item.kind))
                case PostgresDatabase():
                    admin.ensure_database(item, mark=self.mark)
                case PostgresGrants():
                    admin.ensure_grants(item)
                case PostgresMembers():
                    admin.ensure_members(item, mark=self.mark)

    def run(self, statements: LiteralString) -> None:
        """Execute statements as the administrator."""
        one, other = (member_names(member, database=self.names.database) for member in ("001", "002"))
        words = {
            "app": self.names.application_role,
            "reader": self.names.reader_role,
            "one": one.role,
            "other": other.role,
            "schema": one.schema,
        }
        identifiers = {name: sql.Identifier(word) for name, word in words.items()}
        access = postgres_access_of(self.servers)
        with connect(access, environment=os.environ, database=self.names.database) as session:
            session.execute(sql.SQL(statements).format(**identifiers))

    def findings(self) -> tuple[Finding, ...]:
        """All attempts of the proof on the database."""
        facts = DatabaseFacts(logins=tuple(PASSWORDS), allowed_extensions=("pgcrypto",))
        attempts = database_attempts(self.tenant, facts=facts, neighbours=())
        with DatabaseRunner(
            postgres_access_of(self.servers),
            names=self.names,
            mark=self.mark,
            passwords=PASSWORDS,
            environment=os.environ,
        ) as runner:
            return settled([Finding(about=one.about, verdict=runner.run(one)) for one in attempts])


@pytest.fixture(scope="module")
def apart(proved_servers: Servers) -> Iterator[Apart]:
    """The database of two members."""
    terms = proved_terms(NAME)
    store = replace(terms.cooperative.postgres, member_layout=MemberLayout.SCHEMA)
    terms = replace(terms, cooperative=replace(terms.cooperative, postgres=store))
    plan = planned(terms)
    made = Apart(
        servers=proved_servers,
        tenant=proven_tenant(plan, terms=terms),
        mark=Mark(cluster=plan.cluster, cooperative=plan.uid),
    )
    made.apply()
    yield made
    postgres_of(proved_servers).retire_database(made.names.database, mark=made.mark, delete_data=True)


def test_members_with_schemas_are_apart(apart: Apart) -> None:
    found = apart.findings()
    assert [f"{one.about.id}: {one.verdict}" for one in problems(found)] == []
    one, other = (member_names(member, database=apart.names.database).role for member in ("001", "002"))
    endings = {one.about.id: one.verdict.ending for one in found}
    assert endings[f"database/{one}/works in its own schema"] is Ending.WORKS
    for role in (other, apart.names.application_role, apart.names.reader_role):
        assert endings[f"database/{role}/reads the schema of the member 001"] is Ending.BLOCKED


WEAKENINGS: dict[str, LiteralString] = {
    "the application uses a member's schema": "GRANT USAGE ON SCHEMA {schema} TO {app}",
    "the reader uses a member's schema": "GRANT USAGE ON SCHEMA {schema} TO {reader}",
    "everybody uses a member's schema": "GRANT USAGE ON SCHEMA {schema} TO PUBLIC",
    "a member is another": "GRANT {one} TO {other}",
    "the application inherits what a member may": "GRANT {one} TO {app}; ALTER ROLE {app} INHERIT",
    "the reader becomes a member": "GRANT {one} TO {reader}",
}


@pytest.mark.parametrize("what", WEAKENINGS)
def test_what_lets_others_in_is_seen(apart: Apart, what: str) -> None:
    apart.run(WEAKENINGS[what])
    try:
        assert Ending.GOT_THROUGH in {one.verdict.ending for one in problems(apart.findings())}
    finally:
        apart.run("REVOKE {one} FROM {reader}")
        apart.apply()
    assert problems(apart.findings()) == ()
