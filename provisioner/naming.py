"""Pure: every derived name and label comes from here and from nowhere else.

A cooperative's name is a DNS label of at most ``NAME_MAX`` characters; each derived name then fits its
own limit: Kubernetes namespaces 63 (RFC 1123 label), PostgreSQL identifiers 63 bytes (NAMEDATALEN - 1),
S3 buckets 63 (S3 user guide, "Bucket naming rules"). Hyphens become underscores in PostgreSQL; since names
hold no underscore, no two names meet there. Roles are known to the whole server: a member's bears its cooperative's
name, then ``_member_``, which no cooperative's name may hold, so that it is nobody else's.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

from provisioner.errors import UsageError

CooperativeName = NewType("CooperativeName", str)
ClusterId = NewType("ClusterId", str)
CooperativeUid = NewType("CooperativeUid", str)

NAME_MAX = 40
NAME_PATTERN = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
CLUSTER_ID_MAX = 16
IDENTIFIER_MAX_BYTES = 63

MEMBER_ID_MAX = 40
MEMBER_ID_PATTERN = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
MEMBER_SCHEMA_PREFIX = "member_"
_MEMBER_INFIX = "_member_"
_MEMBER_DIGEST = 14
_OWN_ID_DIGITS = 9
_MIGRATION_STEM = "coopctl_move_"
# In the target's database while it belongs to an unfinished migration; nobody else makes a schema of this name.
MIGRATION_SCHEMA = "coopctl_moving"

PLATFORM_STACK = "platform"
RESERVED_NAMES = frozenset({PLATFORM_STACK, "default", "coopctl", "postgres", "template0", "template1", "all"})
RESERVED_ENDING = "-member"
RESERVED_PREFIXES = ("kube-", "openshift-", "coopctl-", "pg-")
# S3 user guide, "Bucket naming rules": a bucket's name begins with the platform's id and ends with a cooperative's.
BUCKET_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
BUCKET_ENDINGS = ("-s3alias", "--ol-s3", "--x-s3", "--table-s3")

API_GROUP = "coopctl.dev"
MANAGED_BY = "coopctl"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_COOPERATIVE = f"{API_GROUP}/cooperative"
LABEL_PART = f"{API_GROUP}/part"
LABEL_CLUSTER = f"{API_GROUP}/cluster"
LABEL_SOLUTION = f"{API_GROUP}/solution"
ANNOTATION_DISPLAY_NAME = f"{API_GROUP}/display-name"
ANNOTATION_DOMAIN = f"{API_GROUP}/domain"
ANNOTATION_UID = f"{API_GROUP}/uid"
ANNOTATION_WHY = f"{API_GROUP}/why"
# What admission policies need to know about a tenant; lists are separated by spaces, as no item holds one.
ANNOTATION_NAMESPACES = f"{API_GROUP}/namespaces"
ANNOTATION_REGISTRIES = f"{API_GROUP}/registries"
ANNOTATION_STORAGE_CLASSES = f"{API_GROUP}/storage-classes"
ANNOTATION_PRIORITY_CLASSES = f"{API_GROUP}/priority-classes"
ANNOTATION_RUNTIME_CLASSES = f"{API_GROUP}/runtime-classes"
ANNOTATION_INGRESS_CLASS = f"{API_GROUP}/ingress-class"
ANNOTATION_OPERATORS = f"{API_GROUP}/operators"
ANNOTATION_SOLUTIONS = f"{API_GROUP}/solutions"
ANNOTATION_EXCEPTIONS = f"{API_GROUP}/exceptions"

# Cooperatives' names do not begin like this (RESERVED_PREFIXES).
SYSTEM_NAMESPACE = "coopctl-system"
PART_APPS = "apps"
PART_DATA = "data"

# The right by which those who manage tenants are known to admission policies; no API server serves such objects.
RESOURCE_TENANTS = "tenants"
VERB_MANAGE = "manage"
# Probe pods of a proof bear it; no tenant may.
PRIORITY_PROBE = "coopctl-probe"

SERVICE_POSTGRES = "postgres"
SERVICE_OBJECTS = "objects"
SECRET_DATA_STORE = "data-store"  # noqa: S105 - the name of a Secret, not a secret
SECRET_DATA_STORE_READER = f"{SECRET_DATA_STORE}-reader"
SECRET_DATA_STORE_MIGRATION = f"{SECRET_DATA_STORE}-migration"


def connections_secret(server: str) -> str:
    """The Secret that tells the pods of the solution ``server`` where those are that it integrates with."""
    return f"{server}-connections"


def connection_key(solution: str, *, what: str) -> str:
    """The variable in that Secret which says ``what`` of ``solution``; a name of its own beside Kubernetes' links."""
    return f"SOLUTION_{solution.replace('-', '_').upper()}_{what}"


@dataclass(frozen=True, kw_only=True)
class TenantNames:
    """Every name that follows from a cooperative's name."""

    cooperative: CooperativeName
    uid: CooperativeUid
    stack: str
    apps_namespace: str
    data_namespace: str
    database: str
    owner_role: str
    application_role: str
    reader_role: str
    migration_role: str
    bucket: str
    objects_identity: str

    @property
    def roles(self) -> tuple[str, str, str, str]:
        """The four database roles: owner, application, reader, migration."""
        return (self.owner_role, self.application_role, self.reader_role, self.migration_role)


def tenant_names(name: CooperativeName, *, cluster: ClusterId, buckets: str = "") -> TenantNames:
    """Derive every name of the cooperative ``name`` on the platform with the id ``cluster``.

    ``buckets`` is what its bucket's and its identity's name begin with instead of the id: a bucket cannot be renamed.
    """
    identifier = database_name(name)
    return TenantNames(
        cooperative=name,
        uid=cooperative_uid(name, cluster=cluster),
        stack=name,
        apps_namespace=f"{name}-{PART_APPS}",
        data_namespace=f"{name}-{PART_DATA}",
        database=identifier,
        owner_role=f"{identifier}_owner",
        application_role=f"{identifier}_app",
        reader_role=f"{identifier}_reader",
        migration_role=f"{identifier}_migration",
        bucket=f"{buckets or cluster}-{name}",
        objects_identity=f"{buckets or cluster}-{name}",
    )


def database_name(name: CooperativeName) -> str:
    """The database of the cooperative ``name``, the same on every platform; its roles' names begin with it."""
    return name.replace("-", "_")


def cooperative_uid(name: CooperativeName, *, cluster: ClusterId) -> CooperativeUid:
    """The mark that databases, roles and buckets bear: 16 hex digits from the platform's id and the name."""
    return CooperativeUid(hashlib.sha256(f"{cluster}/{name}".encode()).hexdigest()[:16])


def own_cluster_id(name: CooperativeName, *, cluster: ClusterId) -> ClusterId:
    """The id of the cluster of its own that the cooperative ``name`` leaves the platform ``cluster`` for: always the
    same one, a letter and nine hex digits."""
    return ClusterId(f"o{hashlib.sha256(f'{cluster}/{name}/own'.encode()).hexdigest()[:_OWN_ID_DIGITS]}")


@dataclass(frozen=True, kw_only=True)
class MemberNames:
    """What a member, known by its id in the member list, is called in its cooperative's database."""

    id: str
    schema: str
    role: str


def member_names(member: str, *, database: str) -> MemberNames:
    """Derive the names of ``member`` (an id) of the cooperative whose database is ``database``.

    A role that would be longer than 63 bytes has a digest in the place of the id. An id begins with a letter or a
    digit, the digest with an underscore: the two forms never meet.
    """
    identifier = member.replace("-", "_")
    role = f"{member_role_prefix(database)}{identifier}"
    if len(role) > IDENTIFIER_MAX_BYTES:
        role = f"{member_role_prefix(database)}_{hashlib.sha256(member.encode()).hexdigest()[:_MEMBER_DIGEST]}"
    return MemberNames(id=member, schema=f"{MEMBER_SCHEMA_PREFIX}{identifier}", role=role)


def all_member_names(members: Iterable[str], *, database: str) -> dict[str, MemberNames]:
    """The names of ``members`` by their ids. Raises UsageError for two that would share a role."""
    found: dict[str, MemberNames] = {}
    by_role: dict[str, str] = {}
    for member in members:
        names = found[member] = member_names(member, database=database)
        if (other := by_role.setdefault(names.role, member)) != member:
            raise UsageError(
                f"the members {other} and {member} would both have the database role {names.role}",
                hint="give one of them a shorter id",
            )
    return found


def member_role_prefix(database: str) -> str:
    """What the roles of all members of the cooperative whose database is ``database`` begin with."""
    return f"{database}{_MEMBER_INFIX}"


def is_member_role(role: str) -> bool:
    """Whether a cooperative's role of this name is a member's, not one of its four own."""
    return _MEMBER_INFIX in role


def becomes_member(name: str, *, role: str) -> bool:
    """Whether ``name`` is the application's role of the cooperative to one of whose members ``role`` belongs."""
    database, infix, _ = role.partition(_MEMBER_INFIX)
    return bool(infix) and name == f"{database}_app"


def member_of_schema(schema: str) -> str:
    """The id of the member whose schema has this name."""
    return schema.removeprefix(MEMBER_SCHEMA_PREFIX).replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class ReplicationNames:
    """What a migration calls the things that it makes on both PostgreSQL servers, and takes away again.

    The reverse names are those of the stream from the target back to the source. A slot's name allows lower-case
    letters, digits and underscores alone (PostgreSQL manual, "Replication Slots").
    """

    publication: str
    slot: str
    subscription: str
    login: str
    watch_slot: str
    reverse_publication: str
    reverse_slot: str
    reverse_subscription: str
    reverse_login: str
    relay_login: str
    eraser_login: str
    job_login: str

    @property
    def publications(self) -> frozenset[str]:
        """The publications of both directions."""
        return frozenset({self.publication, self.reverse_publication})

    @property
    def roles(self) -> frozenset[str]:
        """The short-lived roles."""
        return frozenset({self.login, self.reverse_login, self.relay_login, self.eraser_login, self.job_login})


def replication_names(uid: CooperativeUid) -> ReplicationNames:
    """Derive them from the cooperative's mark: one migration at a time moves a cooperative's database."""
    stem = f"{_MIGRATION_STEM}{uid}"
    return ReplicationNames(
        publication=stem,
        slot=stem,
        subscription=stem,
        login=f"{stem}_login",
        watch_slot=f"{stem}_watch",
        reverse_publication=f"{stem}_back",
        reverse_slot=f"{stem}_back",
        reverse_subscription=f"{stem}_back",
        reverse_login=f"{stem}_back_login",
        relay_login=f"{stem}_relay",
        eraser_login=f"{stem}_erase",
        job_login=f"{stem}_job",
    )


def slice_uid(uid: CooperativeUid, *, member: str) -> CooperativeUid:
    """The mark of one member's slice of a cooperative's data store: 16 hex digits, other than any cooperative's."""
    return CooperativeUid(hashlib.sha256(f"{uid}/{member}".encode()).hexdigest()[:16])


def is_replication_name(name: str) -> bool:
    """Whether a slot, publication, subscription or role of this name is of some migration."""
    return name.startswith(_MIGRATION_STEM)


def name_problem(name: str) -> str | None:
    """Say why ``name`` cannot be a cooperative's name, or None if it can."""
    if len(name) > NAME_MAX:
        return f"is {len(name)} characters long; {NAME_MAX} are the most, so that derived names fit 63 bytes"
    if not NAME_PATTERN.fullmatch(name):
        return "must be lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen"
    if name in RESERVED_NAMES:
        return "is reserved"
    if f"{RESERVED_ENDING}-" in f"{name}-":
        return f"holds {RESERVED_ENDING!r} as a word, by which the database roles of members are known"
    return _reserved_end(name)


def _reserved_end(name: str) -> str | None:
    for prefix in RESERVED_PREFIXES:
        if name.startswith(prefix):
            return f"begins with {prefix!r}, which is reserved"
    for ending in BUCKET_ENDINGS:
        if f"-{name}".endswith(ending):
            return f"gives its bucket a name that ends with {ending!r}, which S3 reserves"
    return None


def cluster_id_problem(cluster: str) -> str | None:
    """Say why ``cluster``, which fits `NAME_PATTERN`, cannot be a platform's id, or None if it can."""
    if len(cluster) > CLUSTER_ID_MAX:
        return f"is {len(cluster)} characters long; {CLUSTER_ID_MAX} are the most"
    for prefix in BUCKET_PREFIXES:
        if f"{cluster}-".startswith(prefix):
            return f"gives buckets names that begin with {prefix!r}, which S3 reserves"
    return None


def tenant_labels(name: CooperativeName, *, cluster: ClusterId, part: str) -> dict[str, str]:
    """The labels on every Kubernetes object that coopctl makes for a cooperative."""
    return {
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_COOPERATIVE: name,
        LABEL_CLUSTER: cluster,
        LABEL_PART: part,
    }


def platform_labels(*, cluster: ClusterId) -> dict[str, str]:
    """The labels on every Kubernetes object of the platform stack."""
    return {LABEL_MANAGED_BY: MANAGED_BY, LABEL_CLUSTER: cluster}
