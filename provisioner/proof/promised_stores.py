"""Pure: what a planned data store must be, by its descriptor and its platform.

Written a second time on purpose, beside the builders: a proof looks whether the servers have what is planned, and
attacks the roles and the identity; that a limit, the rows' security or the versions are planned at all is seen here.
"""

from collections.abc import Iterator

from provisioner.descriptor.cooperative import MemberLayout, PostgresStore
from provisioner.naming import TenantNames
from provisioner.plan.resources import (
    ObjectsBucket,
    ObjectsIdentity,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
    RoleKind,
)
from provisioner.proof.tenant import ProvenTenant

StorePart = PostgresRole | PostgresDatabase | PostgresGrants | PostgresMembers | ObjectsBucket | ObjectsIdentity
STORE_PARTS = (PostgresRole, PostgresDatabase, PostgresGrants, PostgresMembers, ObjectsBucket, ObjectsIdentity)
_MIGRATION_CONNECTIONS, _READER_CONNECTIONS, _READER_SHARE = 6, 2, 5
MEMBER_COLUMN = "member_id"


def keeps_members_apart(tenant: ProvenTenant) -> bool:
    """Whether members share tables, so that row security keeps their rows apart."""
    return tenant.terms.cooperative.postgres.member_layout is MemberLayout.COLUMN


def stores_lack(tenant: ProvenTenant) -> Iterator[str]:
    """Which part of a data store the plan lacks altogether."""
    planned = [item for item in tenant.plan.resources if isinstance(item, STORE_PARTS)]
    erased = tenant.terms.erased
    for kind in (PostgresDatabase, PostgresGrants, PostgresMembers, ObjectsBucket, ObjectsIdentity):
        there = any(isinstance(item, kind) for item in planned)
        if erased and kind is not ObjectsIdentity and there:
            yield f"there is a {kind.__name__}, and the data store was erased here"
        elif not there and not (erased and kind is not ObjectsIdentity):
            yield f"there is no {kind.__name__}"
    roles = {item.kind for item in planned if isinstance(item, PostgresRole)}
    wanted = [kind for kind in RoleKind if not erased or kind is not RoleKind.OWNER]
    yield from (f"there is no role {kind}" for kind in wanted if kind not in roles)


def part_lacks(part: StorePart, *, tenant: ProvenTenant) -> Iterator[str]:
    """What is wrong with a planned part of the data store."""
    names, cooperative = tenant.names, tenant.terms.cooperative
    match part:
        case PostgresRole():
            yield from _role_lacks(part, names=names, store=cooperative.postgres)
            yield from _fence_lacks(part, moved=tenant.terms.moved and part.kind is not RoleKind.OWNER)
            yield from _ended_lacks(part, tenant=tenant, here=part.kind is RoleKind.OWNER)
        case PostgresDatabase():
            yield from _database_lacks(part, tenant=tenant)
        case PostgresGrants():
            yield from _grants_lack(part, tenant=tenant)
            yield from _stop_lacks(part)
        case PostgresMembers():
            yield from _members_lack(part, tenant=tenant)
            yield from _stop_lacks(part)
        case ObjectsBucket():
            yield from _named(part.name, names.bucket)
            yield from _named(part.identity, "" if tenant.terms.rotation else names.objects_identity)
            yield from _fence_lacks(part, moved=tenant.terms.moved)
            yield from _at_most("quota_bytes", part.quota_bytes, most=cooperative.objects.quota_bytes, none=0)
            if cooperative.objects.versioning and not part.versioning:
                yield "versions are not kept"
        case ObjectsIdentity():
            yield from _named(part.name, names.objects_identity)
            yield from _named(part.bucket, names.bucket)
            yield from _ended_lacks(part, tenant=tenant, here=False)


def _ended_lacks(part: PostgresRole | ObjectsIdentity, *, tenant: ProvenTenant, here: bool) -> Iterator[str]:
    """What is wrong with the credentials of a part whose data store has moved for good, unless it is ``here`` alone."""
    wanted = 0 if here else tenant.terms.rotation
    if part.rotation != wanted:
        yield f"its credentials were changed {part.rotation} times, not {wanted}"
    if isinstance(part, PostgresRole) and part.erased != tenant.terms.erased:
        yield "it is here alone" if tenant.terms.erased else "it is not here, and its data store is"


def _fence_lacks(part: PostgresRole | ObjectsBucket, *, moved: bool) -> Iterator[str]:
    if part.fenced and not moved:
        yield "it is fenced, and the data store is at home"
    elif moved and not part.fenced:
        yield "it is not fenced, and the data store has moved away"


def _stop_lacks(part: PostgresGrants | PostgresMembers) -> Iterator[str]:
    if part.writes_stopped:
        yield "writes are stopped, as only an upgrade does, and none is proved in its middle"


def _role_lacks(role: PostgresRole, *, names: TenantNames, store: PostgresStore) -> Iterator[str]:
    most = {
        RoleKind.OWNER: 0,
        RoleKind.APPLICATION: store.connection_limit,
        RoleKind.READER: max(_READER_CONNECTIONS, store.connection_limit // _READER_SHARE),
        RoleKind.MIGRATION: _MIGRATION_CONNECTIONS,
    }
    yield from _named(role.name, dict(zip(RoleKind, names.roles, strict=True))[role.kind])
    yield from _at_most("connection_limit", role.connection_limit, most=most[role.kind], none=-1)
    if role.login == (role.kind is RoleKind.OWNER):
        yield f"it can{'' if role.login else 'not'} log in"
    groups = (names.owner_role,) if role.kind is RoleKind.MIGRATION else ()
    if role.member_of != groups:
        yield f"it belongs to {', '.join(role.member_of) or 'nobody'}"


def _database_lacks(database: PostgresDatabase, *, tenant: ProvenTenant) -> Iterator[str]:
    platform, store = tenant.terms.platform.postgres, tenant.terms.cooperative.postgres
    yield from _named(database.name, tenant.names.database)
    yield from _named(database.owner, platform.admin_user)
    yield from _at_most("connection_limit", database.connection_limit, most=store.connection_limit, none=-1)
    for name in sorted(set(database.extensions) - set(platform.allowed_extensions)):
        yield f"the extension {name} is not allowed"


def _grants_lack(grants: PostgresGrants, *, tenant: ProvenTenant) -> Iterator[str]:
    planned = (grants.owner, grants.application, grants.reader, grants.migration)
    for found, wanted in zip(planned, tenant.names.roles, strict=True):
        yield from _named(found, wanted)
    yield from _shared_lack(grants, tenant=tenant)


def _members_lack(members: PostgresMembers, *, tenant: ProvenTenant) -> Iterator[str]:
    planned = (members.owner, members.application, members.reader)
    for found, wanted in zip(planned, tenant.names.roles, strict=False):
        yield from _named(found, wanted)
    listed = {member.id for member in tenant.terms.cooperative.members}
    yield from (f"{one} is no member" for one in sorted(set(members.members) - listed))
    yield from _shared_lack(members, tenant=tenant)


def _shared_lack(part: PostgresGrants | PostgresMembers, *, tenant: ProvenTenant) -> Iterator[str]:
    """What both parts that say who may do what in the database have to say."""
    yield from _named(part.database, tenant.names.database)
    most = tenant.terms.cooperative.postgres.storage_bytes
    yield from _at_most("storage_bytes", part.storage_bytes, most=most, none=0)
    if keeps_members_apart(tenant) and part.member_column != MEMBER_COLUMN:
        yield f"rows are not kept apart by {MEMBER_COLUMN}"


def _named(found: str, wanted: str) -> Iterator[str]:
    if found != wanted:
        yield f"it is {found or 'nobody'}, not {wanted}"


def _at_most(name: str, found: int, *, most: int, none: int) -> Iterator[str]:
    """``none`` is how no limit at all is written."""
    if most != none and (found > most or found == none):
        yield f"{name} is {found}, not {most}"
