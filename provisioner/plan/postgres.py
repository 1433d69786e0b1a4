"""The tenant's database on the shared PostgreSQL server, its four roles, and its members.

The database itself is the administrator's: who owns a database may open it to others, change its limits and its mark,
and install every extension that is marked trusted. The owner role owns all that is in it and cannot log in: what it
owns is changed by the migration role, which becomes the owner with SET ROLE.
The application role reads and writes data and cannot change tables; the reader only reads. ALTER ROLE settings are
defaults that a session may change: they keep honest mistakes short and are no guard.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from provisioner.descriptor.cooperative import MemberLayout
from provisioner.descriptor.platform import Platform
from provisioner.naming import TenantNames, all_member_names
from provisioner.plan.resources import (
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
    Resource,
    RoleKind,
)
from provisioner.plan.store_place import StorePlace
from provisioner.plan.tenant import Tenant

DATABASE = "postgres-database"
GRANTS = "postgres-grants"
MEMBERS = "postgres-members"
OUTPUT_PASSWORD = "password"  # noqa: S105 - an output's name

# The column that says whose a row is, where members share tables.
MEMBER_COLUMN = "member_id"
# A migration has its lock and up to three sessions of its program; another watches it, and one ends it if it hangs.
MIGRATION_CONNECTIONS = 6
# Reports get a fifth of the tenant's connections, and at least two.
READER_SHARE = 5
READER_MIN = 2

SETTINGS: Mapping[RoleKind, Mapping[str, str]] = MappingProxyType(
    {
        RoleKind.OWNER: MappingProxyType({}),
        RoleKind.APPLICATION: MappingProxyType(
            {"idle_in_transaction_session_timeout": "10min", "statement_timeout": "5min"}
        ),
        RoleKind.READER: MappingProxyType(
            {
                "default_transaction_read_only": "on",
                "idle_in_transaction_session_timeout": "10min",
                "statement_timeout": "15min",
            }
        ),
        # A migration that waits for a lock makes everybody behind it wait.
        RoleKind.MIGRATION: MappingProxyType({"lock_timeout": "30s"}),
    }
)


def role_key(kind: RoleKind) -> str:
    """The key of the tenant's role of this kind."""
    return f"postgres-role-{kind}"


def role_names(names: TenantNames) -> Mapping[RoleKind, str]:
    """What the tenant's roles are called."""
    return {
        RoleKind.OWNER: names.owner_role,
        RoleKind.APPLICATION: names.application_role,
        RoleKind.READER: names.reader_role,
        RoleKind.MIGRATION: names.migration_role,
    }


def postgres_store(tenant: Tenant, *, platform: Platform, moved_to: StorePlace | None = None) -> tuple[Resource, ...]:
    """The roles, the database, the grants and the members, in the order in which they can be made.

    Of one that has ``moved_to`` other servers nobody logs in here; of one that is erased here, only the roles that log
    in there are left, which is where their passwords come from. Raises UsageError for two members whose roles would
    have one name.
    """
    roles = _roles(tenant, moved_to=moved_to)
    if moved_to is not None and moved_to.erased:
        return tuple(replace(role, erased=True, depends_on=()) for role in roles if role.login)
    return (*roles, _database(tenant, platform=platform), _grants(tenant), members_of(tenant))


def _roles(tenant: Tenant, *, moved_to: StorePlace | None) -> tuple[PostgresRole, ...]:
    names, limits = tenant.names, _connection_limits(tenant.cooperative.postgres.connection_limit)
    return tuple(
        PostgresRole(
            key=role_key(kind),
            name=name,
            kind=kind,
            login=kind is not RoleKind.OWNER,
            connection_limit=limits[kind],
            member_of=(names.owner_role,) if kind is RoleKind.MIGRATION else (),
            settings=SETTINGS[kind],
            fenced=moved_to is not None and kind is not RoleKind.OWNER,
            rotation=moved_to.rotation if moved_to is not None and kind is not RoleKind.OWNER else 0,
            depends_on=(role_key(RoleKind.OWNER),) if kind is RoleKind.MIGRATION else (),
        )
        for kind, name in role_names(names).items()
    )


def _connection_limits(total: int) -> dict[RoleKind, int]:
    """How many sessions each role may have; the database's own limit keeps their sum to ``total``."""
    return {
        RoleKind.OWNER: 0,
        RoleKind.APPLICATION: total,
        RoleKind.READER: max(READER_MIN, total // READER_SHARE),
        RoleKind.MIGRATION: MIGRATION_CONNECTIONS,
    }


def _database(tenant: Tenant, *, platform: Platform) -> PostgresDatabase:
    store = tenant.cooperative.postgres
    return PostgresDatabase(
        key=DATABASE,
        name=tenant.names.database,
        owner=platform.postgres.admin_user,
        connection_limit=store.connection_limit,
        extensions=tuple(sorted(store.extensions)),
    )


def _grants(tenant: Tenant) -> PostgresGrants:
    names = tenant.names
    return PostgresGrants(
        key=GRANTS,
        database=names.database,
        owner=names.owner_role,
        application=names.application_role,
        reader=names.reader_role,
        migration=names.migration_role,
        storage_bytes=tenant.cooperative.postgres.storage_bytes,
        member_column=_member_column(tenant),
        depends_on=(DATABASE, *(role_key(kind) for kind in RoleKind)),
    )


def members_of(tenant: Tenant) -> PostgresMembers:
    """The members; they come after the grants, which make what row security needs.

    Raises UsageError for two members whose roles would have one name.
    """
    names = tenant.names
    members = all_member_names((member.id for member in tenant.cooperative.members), database=names.database)
    return PostgresMembers(
        key=MEMBERS,
        database=names.database,
        owner=names.owner_role,
        application=names.application_role,
        reader=names.reader_role,
        members=tuple(sorted(members)),
        member_column=_member_column(tenant),
        storage_bytes=tenant.cooperative.postgres.storage_bytes,
        depends_on=(GRANTS,),
    )


def _member_column(tenant: Tenant) -> str:
    return MEMBER_COLUMN if tenant.cooperative.postgres.member_layout is MemberLayout.COLUMN else ""
