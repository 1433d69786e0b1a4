"""Whether a cooperative's members are in its database: asked of the server where it answers, else not known."""

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.datastore.marks import Mark
from provisioner.datastore.postgres import PostgresAdmin, postgres_access
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.platform import Platform
from provisioner.errors import NotFound, NotPermitted, Unreachable
from provisioner.operations.reaching import postgres_server, require_answer
from provisioner.plan.postgres import members_of
from provisioner.plan.tenant import tenant_of


@dataclass(frozen=True, kw_only=True)
class Provisioned:
    """Ids of the members that the database has; ``retained``: that left, with rows that are kept closed.

    ``unknown`` says why nothing is known; empty if it is.
    """

    members: frozenset[str] = frozenset()
    retained: tuple[str, ...] = ()
    unknown: str = ""

    def has(self, member: str) -> bool | None:
        """Whether the database has the member; None if that is not known."""
        return None if self.unknown else member in self.members


def read_provisioned(cooperative: Cooperative, *, platform: Platform, admin: PostgresAdmin) -> Provisioned:
    """Ask the database, if the server answers at all."""
    wanted = members_of(tenant_of(cooperative, cluster=platform.cluster.id))
    mark = mark_of(cooperative, platform=platform)
    try:
        require_answer(postgres_server(platform), hint=platform.remedy)
        found = admin.read_members(wanted, mark=mark)
    except (Unreachable, NotPermitted, NotFound) as error:
        return Provisioned(unknown=error.message)
    if found is None:
        return Provisioned()
    return Provisioned(members=frozenset(found.provisioned), retained=found.retained)


def mark_of(cooperative: Cooperative, *, platform: Platform) -> Mark:
    """The mark that all of the cooperative's parts bear."""
    names = tenant_of(cooperative, cluster=platform.cluster.id).names
    return Mark(cluster=platform.cluster.id, cooperative=names.uid)


def open_postgres(platform: Platform, *, environment: Mapping[str, str]) -> PostgresAdmin:
    """The administrator of the Platform's server; nothing is connected yet."""
    return PostgresServerAdmin(postgres_access(platform.postgres), environment=environment)
