"""Pure: what stands in the way of a migration, on the servers and in the database, with exact remedies."""

from collections.abc import Iterator
from dataclasses import dataclass

from provisioner.errors import Severity
from provisioner.migration.postgres_facts import ForeignTransaction, SourceFacts, TargetFacts, quoted

# Since this major version a role that replicates makes others that do (PostgreSQL manual, "CREATE ROLE").
REPLICATION_GIVEN_SINCE = 16
OLDEST_MAJOR = 13
# One to follow, one to know what changed since the last verification.
SLOTS_NEEDED = 2
LONG_TRANSACTION_SECONDS = 60.0
UNLIMITED = "-1"
_IMPORT = "SELECT pg_import_system_collations('pg_catalog')"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something to know or to mend: what it is, what follows from it, and the statement or setting that mends it."""

    severity: Severity
    what: str
    consequence: str
    remedy: str


def server_problems(source: SourceFacts, target: TargetFacts) -> Iterator[Problem]:
    """Versions, rights and the state of the target."""
    if target.server.major < source.server.major:
        yield _error(
            f"the target is PostgreSQL {target.server.major}, the source {source.server.major}",
            consequence="a newer dump does not restore to an older server",
            remedy=f"install PostgreSQL {source.server.major} or newer on the target",
        )
    if source.server.major < OLDEST_MAJOR:
        yield _error(
            f"the source is PostgreSQL {source.server.major}",
            consequence=f"versions before {OLDEST_MAJOR} are not supported",
            remedy=f"upgrade it to PostgreSQL {OLDEST_MAJOR} or newer first",
        )
    name = quoted(target.database)
    if target.relations:
        yield _error(
            f"the target's database {target.database} holds {target.relations} relations already",
            consequence="coopctl never copies over what is there",
            remedy=f"DROP DATABASE {name}; CREATE DATABASE {name} TEMPLATE template0",
        )
    yield from _rights(source, target)


def _rights(source: SourceFacts, target: TargetFacts) -> Iterator[Problem]:
    missing = sorted(set(source.role_names) - target.server.roles)
    if missing and not target.creates_roles:
        yield _error(
            f"the target lacks the roles {', '.join(missing)}, and the login may not create them",
            consequence="owners and grants cannot be restored",
            remedy="; ".join(f"CREATE ROLE {quoted(name)}" for name in missing),
        )
    for name in sorted((set(source.role_names) & target.server.roles) - set(source.superuser_owners)):
        yield _warning(
            f"the target has a role {name} already",
            consequence="it gets the source's password and rights, and may not log in until the switch",
            remedy=f"nothing, if it is the cooperative's own; else: ALTER ROLE {quoted(name)} RENAME TO another name",
        )
    if not target.owns_database:
        yield _error(
            f"the login does not own the target's database {target.database}",
            consequence="schemas and extensions cannot be made in it",
            remedy=f"ALTER DATABASE {quoted(target.database)} OWNER TO the login of the DSN",
        )
    forced = ", ".join(str(table.name) for table in source.tables if table.forced_row_security)
    for server, login in ((source.server, "the Platform's admin user"), (target.server, "the login of the DSN")):
        if forced and not (server.superuser or server.bypasses_row_security):
            yield _error(
                f"row security is forced on {forced}",
                consequence=f"{login} sees and writes only rows that a policy shows, and is refused",
                remedy=f"ALTER ROLE {login} BYPASSRLS",
            )
        if source.large_objects and not (server.superuser or server.reads_large_objects):
            yield _error(
                f"there are {source.large_objects} large objects, which {login} may not read",
                consequence="they could be neither copied nor compared",
                remedy=f"GRANT pg_read_all_data TO {login}",
            )
    if not source.server.superuser:
        yield from _from_without_superuser(source)
    if not target.server.superuser:
        yield from _without_superuser(source, target)


def _from_without_superuser(source: SourceFacts) -> Iterator[Problem]:
    """What the Platform's administrator lacks where it is no superuser."""
    if not source.server.reads_verifiers:
        yield _error(
            "the Platform's admin user may not read the verifiers of passwords",
            consequence="the applications could not log in at the target",
            remedy="GRANT pg_read_all_data TO the Platform's admin user; before version 14 it must be a superuser",
        )
    if not (source.server.lets_keep_triggers and source.server.bypasses_row_security):
        yield _error(
            "the Platform's admin user may not let anybody bring rows back",
            consequence="there would be no way back: triggers would do their work twice, policies hide rows",
            remedy="ALTER ROLE the Platform's admin user BYPASSRLS; GRANT SET ON PARAMETER session_replication_role TO"
            " the Platform's admin user WITH GRANT OPTION; before version 15 it must be a superuser",
        )
    for owner in source.unjoined_owners:
        yield _error(
            f"the Platform's admin user has not the rights of {owner}, who owns tables",
            consequence="it can neither publish nor read them",
            remedy=f"GRANT {quoted(owner)} TO the Platform's admin user",
        )


def _without_superuser(source: SourceFacts, target: TargetFacts) -> Iterator[Problem]:
    """What a login that is no superuser, as on managed servers, cannot make at the target."""
    names = set(source.role_names) - set(source.administrators)
    for name in sorted((names & target.server.roles) - target.administered):
        yield _error(
            f"the target has a role {name} already, which the login may not change",
            consequence="things cannot be given to it, nor can it be kept from logging in until the switch",
            remedy=f"GRANT {quoted(name)} TO the login of the DSN WITH ADMIN OPTION; or DROP ROLE {quoted(name)}",
        )
    for made in source.superuser_made:
        yield _error(
            f"only a superuser can make the {made}",
            consequence="it would be missing at the target",
            remedy="drop it on the source if it is not needed; else let the login of the DSN be a superuser meanwhile",
        )
    for setting in sorted(target.refused_settings):
        yield _error(
            f"a role or the database has its own {setting}, which the login of the DSN may not set",
            consequence="it would not hold at the target",
            remedy=f"GRANT SET ON PARAMETER {setting} TO the login of the DSN; or on the source: RESET {setting}",
        )
    for name in sorted(target.refused_extensions):
        yield _error(
            f"the login of the DSN may not make the extension {name}",
            consequence="what uses it cannot be made",
            remedy="let it be a superuser meanwhile, or drop the extension on the source if it is not needed",
        )


def database_problems(source: SourceFacts, target: TargetFacts) -> Iterator[Problem]:
    """What is in the database."""
    yield from locale_problems(source, target)
    yield from extension_problems(source, target)
    yield from _unmoved(source)
    yield from _triggers(source)
    for index in source.invalid_indexes:
        yield _error(
            f"the index {index} is invalid",
            consequence="the target would build it anew, and the two sides would differ",
            remedy=f"REINDEX INDEX {index}; or: DROP INDEX {index}",
        )
    strangers = sorted(set(source.superuser_owners) - target.server.roles)
    for name in strangers:
        yield _warning(
            f"the superuser {name} owns objects or has rights in the database, and the target has no such role",
            consequence="the role is made on the target without login and without any right of its own",
            remedy=f"REASSIGN OWNED BY {quoted(name)} TO the cooperative's owner role, where that is wanted",
        )


def locale_problems(source: SourceFacts, target: TargetFacts) -> Iterator[Problem]:
    """How the two encode and sort text."""
    ours, theirs = source.locale, target.locale
    remedy = (
        f"CREATE DATABASE {quoted(target.database)} TEMPLATE template0 ENCODING '{ours.encoding}' "
        f"LC_COLLATE '{ours.collate}' LC_CTYPE '{ours.ctype}'"
    )
    if ours.encoding != theirs.encoding:
        yield _error(
            f"the source is encoded in {ours.encoding}, the target in {theirs.encoding}",
            consequence="some characters cannot be carried over",
            remedy=remedy,
        )
    if (ours.collate, ours.ctype) != (theirs.collate, theirs.ctype):
        yield _warning(
            f"the source sorts by {ours.collate}/{ours.ctype}, the target by {theirs.collate}/{theirs.ctype}",
            consequence="text is ordered differently, also across the bounds of partitions by text",
            remedy=remedy,
        )
    elif ours.collation_version != theirs.collation_version:
        yield _warning(
            f"the collation {ours.collate} is version {ours.collation_version} on the source and "
            f"{theirs.collation_version} on the target",
            consequence="the order of some texts may differ; indexes are built on the target and are right there",
            remedy="nothing, unless partitions are bounded by text: then compare the rows at their bounds",
        )
    for name in sorted(source.collations - target.collations):
        yield _error(
            f"the target has no collation {name}",
            consequence="columns that use it cannot be made",
            remedy=f"install the locale {name} on the target's machine, then: {_IMPORT}",
        )


def extension_problems(source: SourceFacts, target: TargetFacts) -> Iterator[Problem]:
    """Extensions that the target cannot have."""
    for name, version in source.extensions.items():
        offered = target.available_extensions.get(name)
        if offered is None:
            yield _error(
                f"the extension {name} is not installed on the target's machine",
                consequence="what uses it cannot be made",
                remedy=f"install the package that holds {name}, or on the source: DROP EXTENSION {quoted(name)}",
            )
        elif _numbers(offered) < _numbers(version):
            yield _error(
                f"the extension {name} is {version} on the source and {offered} on the target",
                consequence="an extension does not go back to an older version",
                remedy=f"install a package with {name} {version} or newer on the target's machine",
            )


def _unmoved(source: SourceFacts) -> Iterator[Problem]:
    for table in source.foreign_tables:
        yield _warning(
            f"{table} is a foreign table",
            consequence="its definition moves, its rows stay where they are, and the target must reach that server",
            remedy="allow the target's machine to reach the foreign server",
        )
    for name in source.subscriptions:
        yield _error(
            f"the database has the subscription {name}",
            consequence="it would go on writing to the source only",
            remedy=f"DROP SUBSCRIPTION {quoted(name)}, and make it again on the target after the move",
        )
    for name in source.slots:
        yield _warning(
            f"the application has the replication slot {name}",
            consequence="a slot cannot be moved: who reads from it begins anew on the target",
            remedy=f"SELECT pg_drop_replication_slot('{name}'), and make it again on the target after the move",
        )


def _triggers(source: SourceFacts) -> Iterator[Problem]:
    for trigger in source.firing_triggers:
        yield _warning(
            f"the trigger {trigger.name} of {trigger.table} fires for replicated rows too",
            consequence="it is disabled on the target until the cutover, so that it does not do its work twice",
            remedy=f"ALTER TABLE {trigger.table} ENABLE TRIGGER {quoted(trigger.name)}, if that is not needed",
        )
    for name in source.event_triggers:
        yield _warning(
            f"the database has the event trigger {name}",
            consequence="it fires on the target too once it is restored, as it does for every change of the schema",
            remedy=f"ALTER EVENT TRIGGER {quoted(name)} DISABLE, if it must not",
        )


def streaming_problems(source: SourceFacts, target: TargetFacts, *, unreachable: str | None) -> Iterator[Problem]:
    """What makes following impossible, so that the migration is done offline."""
    server, offline = source.server, "the migration is done offline: stop, copy, verify, switch"
    if server.settings.get("wal_level") != "logical":
        yield _warning(
            f"wal_level is {server.settings.get('wal_level')} on the source",
            consequence=offline,
            remedy="ALTER SYSTEM SET wal_level = 'logical'; then restart the source",
        )
    for what, setting, free in (
        ("replication slots", "max_replication_slots", server.free_slots),
        ("WAL senders", "max_wal_senders", server.free_senders),
    ):
        if free < SLOTS_NEEDED:
            raised = int(server.settings.get(setting, "0")) + SLOTS_NEEDED - free
            yield _warning(
                f"the source has {free} free {what}, {SLOTS_NEEDED} are needed",
                consequence=offline,
                remedy=f"ALTER SYSTEM SET {setting} = {raised}; then restart the source",
            )
    if not server.superuser and (server.major < REPLICATION_GIVEN_SINCE or not server.replication):
        yield _warning(
            "the Platform's admin user may not replicate, and let others do so",
            consequence=offline,
            remedy="ALTER ROLE the Platform's admin user REPLICATION; before version 16 it must be a superuser",
        )
    if not target.server.creates_subscriptions:
        yield _warning(
            "the login may not create subscriptions on the target",
            consequence=offline,
            remedy="GRANT pg_create_subscription TO the login of the DSN; before version 16 it must be a superuser",
        )
    if not (target.server.superuser or target.server.replication):
        yield _warning(
            "the login may not replicate on the target, which the way back needs",
            consequence=offline,
            remedy="ALTER ROLE the login of the DSN REPLICATION",
        )
    if unreachable is not None:
        yield _warning(
            f"the target cannot connect to the source: {unreachable}",
            consequence=offline,
            remedy="allow it in the source's pg_hba.conf and in the firewalls between them",
        )


def slot_problems(source: SourceFacts) -> Iterator[Problem]:
    """What an online migration must know about the source's server, other tenants' transactions too."""
    if source.server.settings.get("max_slot_wal_keep_size") == UNLIMITED:
        yield _warning(
            "max_slot_wal_keep_size is unlimited on the source",
            consequence="a target that is down for long fills the source's disk with WAL",
            remedy="ALTER SYSTEM SET max_slot_wal_keep_size = '4GB'; SELECT pg_reload_conf()",
        )
    if source.base_backup_open:
        yield _warning(
            "pg_hba.conf lets every role with REPLICATION take a copy of the whole server",
            consequence="the target's server is given such a role for as long as it follows",
            remedy="name the roles that may: host replication THE_BACKUP_ROLE ... instead of all",
        )
    yield from map(_waiting, filter(_delays, source.transactions))


def _delays(one: ForeignTransaction) -> bool:
    return one.prepared is not None or one.age_seconds >= LONG_TRANSACTION_SECONDS


def _waiting(one: ForeignTransaction) -> Problem:
    who = f"of {one.user} in the database {one.database}, {one.age_seconds:.0f} s old"
    consequence = "the creation of a slot waits until it ends"
    if one.prepared is None:
        what = f"a transaction {who}, is open (pid {one.pid})"
        return _warning(what, consequence=consequence, remedy=f"SELECT pg_terminate_backend({one.pid})")
    name = one.prepared.replace("'", "''")
    what = f"the transaction {one.prepared} {who}, is prepared"
    remedy = f"in the database {one.database}: COMMIT PREPARED '{name}' or ROLLBACK PREPARED '{name}'"
    return _error(what, consequence=consequence, remedy=remedy)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _error(what: str, *, consequence: str, remedy: str) -> Problem:
    return Problem(severity=Severity.ERROR, what=what, consequence=consequence, remedy=remedy)


def _warning(what: str, *, consequence: str, remedy: str) -> Problem:
    return Problem(severity=Severity.WARNING, what=what, consequence=consequence, remedy=remedy)
