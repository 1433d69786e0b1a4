"""Pure: what can be said of a target's database without knowing the source, for whoever gets it ready."""

from collections.abc import Iterator

from provisioner.errors import Severity
from provisioner.migration.postgres_facts import TargetFacts, quoted
from provisioner.migration.postgres_preflight_checks import OLDEST_MAJOR, Problem

ENCODING = "UTF8"


def alone_problems(target: TargetFacts) -> Iterator[Problem]:
    """Version, rights, contents and encoding, with exact remedies."""
    name = quoted(target.database)
    if target.server.major < OLDEST_MAJOR:
        yield Problem(
            severity=Severity.ERROR,
            what=f"the target is PostgreSQL {target.server.major}",
            consequence=f"versions before {OLDEST_MAJOR} are not supported",
            remedy="install the source's version or a newer one",
        )
    if target.relations:
        yield Problem(
            severity=Severity.ERROR,
            what=f"the target's database {target.database} holds {target.relations} relations already",
            consequence="coopctl never copies over what is there",
            remedy=f"DROP DATABASE {name}; CREATE DATABASE {name} TEMPLATE template0",
        )
    if not target.owns_database:
        yield Problem(
            severity=Severity.ERROR,
            what=f"the login does not own the target's database {target.database}",
            consequence="schemas and extensions cannot be made in it",
            remedy=f"ALTER DATABASE {name} OWNER TO the login of the DSN",
        )
    yield from _to_know(target)


def _to_know(target: TargetFacts) -> Iterator[Problem]:
    if not target.creates_roles:
        yield Problem(
            severity=Severity.WARNING,
            what="the login may not create roles",
            consequence="every role of the data store must be there before",
            remedy="ALTER ROLE the login of the DSN CREATEROLE",
        )
    if not target.server.creates_subscriptions:
        yield Problem(
            severity=Severity.WARNING,
            what="the login may not create subscriptions on the target",
            consequence="the migration is done offline: stop, copy, verify, switch",
            remedy="GRANT pg_create_subscription TO the login of the DSN; before version 16 it must be a superuser",
        )
    if not target.server.superuser and not target.server.replication:
        yield Problem(
            severity=Severity.WARNING,
            what="the login may not replicate",
            consequence="the migration is done offline: stop, copy, verify, switch",
            remedy="ALTER ROLE the login of the DSN REPLICATION",
        )
    if target.locale.encoding != ENCODING:
        yield Problem(
            severity=Severity.WARNING,
            what=f"the target is encoded in {target.locale.encoding}",
            consequence="a source in UTF8 cannot be carried over",
            remedy=f"CREATE DATABASE {quoted(target.database)} TEMPLATE template0 ENCODING '{ENCODING}'",
        )
