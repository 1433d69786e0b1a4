"""Other credentials for those who work at the target: passwords of roles, and the access key of an identity.

The server is sent a verifier, never a password: its log may hold statements. Of keys the new one is made before the old
one goes, and a key that a run which was cut off has left goes first: an identity may have two at most (IAM user guide,
"Manage access keys").
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg import sql

from provisioner.datastore.credentials import AccessKey, Secret, resolve_secret
from provisioner.datastore.objects import ObjectsAccess
from provisioner.datastore.objects_clients import open_iam, translating
from provisioner.datastore.objects_identities import may_replace_key, replace_key
from provisioner.datastore.postgres_connection import scalar
from provisioner.datastore.postgres_roles import scram_verifier
from provisioner.descriptor.migration import MigrationTarget
from provisioner.migration.postgres_sides import session, side_from_dsn

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

_ROLE = "SELECT 1 FROM pg_roles WHERE rolname = %(name)s"


class TargetCredentials:
    """The servers of a migration's target, as its own credentials reach them; these are resolved when it is called."""

    def __init__(self, target: MigrationTarget, *, environment: Mapping[str, str]) -> None:
        self._target = target
        self._environment = environment

    def set_password(self, role: str, password: Secret) -> None:
        """Give the role this password; nothing is done where there is no such role. Sessions that are open go on.

        Raises NotFound without the DSN, Unreachable, NotPermitted.
        """
        dsn = resolve_secret(self._target.postgres.dsn, environment=self._environment, what="the target's DSN")
        with session(side_from_dsn(dsn)) as connection:
            if scalar(connection, _ROLE, {"name": role}) is None:
                return
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            verifier = sql.Literal(scram_verifier(connection, role, password))
            connection.execute(statement.format(sql.Identifier(role), verifier))

    def replace_key(self, identity: str, *, known: str | None) -> AccessKey | None:
        """Give the identity a new access key in the place of all others, of which ``known`` goes last.

        None where `may_replace_key` says no. Raises as that does.
        """
        with self._identities() as iam:
            return replace_key(iam, identity, known=known) if may_replace_key(iam, identity) else None

    def may_replace_key(self, identity: str) -> bool:
        """Whether the server has an IAM API, lets us use it, and knows the identity.

        Raises NotFound without the access key of the target's bucket, Unreachable.
        """
        with self._identities() as iam:
            return may_replace_key(iam, identity)

    @contextmanager
    def _identities(self) -> Iterator["IAMClient"]:
        with translating(self._access):
            yield open_iam(self._access, environment=self._environment, what="the access key of the target's bucket")

    @property
    def _access(self) -> ObjectsAccess:
        objects = self._target.objects
        return ObjectsAccess(
            url=objects.endpoint,
            iam_url=objects.iam_url,
            region=objects.region,
            credentials=objects.credentials,
            ca_file=objects.ca_file,
        )
