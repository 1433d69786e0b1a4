"""A DataStoreMigration as a value: what of which cooperative moves, where to, when it may switch, what is kept.

Secrets are references, resolved only where a server is called.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from provisioner.descriptor.platform import Endpoint, SecretReference
from provisioner.errors import Location


class MigrationMode(StrEnum):
    """Whether the applications go on writing while data is copied."""

    ONLINE = "online"
    OFFLINE = "offline"


@dataclass(frozen=True, kw_only=True)
class PostgresTarget:
    """The database to move to; ``dsn`` says where a libpq connection string is, with its password.

    ``pods`` is the server as pods reach it (None: as the connection string names it).
    """

    dsn: SecretReference
    pods: Endpoint | None = None


@dataclass(frozen=True, kw_only=True)
class ObjectsTarget:
    """The bucket to move to: ``endpoint`` is the S3 server's URL, ``credentials`` say where an access key is.

    ``iam_url`` is where its IAM API would be, if it has one.

    ``pods`` is the server as pods reach it (None: as the URL names it).
    """

    endpoint: str
    iam_url: str
    bucket: str
    region: str
    credentials: SecretReference
    ca_file: Path | None = None
    pods: Endpoint | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterTarget:
    """The cluster that the solutions move to; ``kubeconfig`` is a path, its contents are read by nobody here."""

    kubeconfig: Path
    context: str | None = None


@dataclass(frozen=True, kw_only=True)
class MigrationTarget:
    """Where the data store moves to; without a ``cluster`` the solutions stay and reach it there."""

    postgres: PostgresTarget
    objects: ObjectsTarget
    cluster: ClusterTarget | None = None


@dataclass(frozen=True, kw_only=True)
class Window:
    """When the cutover may happen; both moments have a time zone."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, kw_only=True)
class DataStoreMigration:
    """A migration that somebody asked for.

    ``member`` is the one whose slice moves (None: all), and ``key`` what tables call it. The cutover happens in
    ``window`` only (None: at any time) and with at most ``max_lag_bytes`` of WAL not yet applied. The source and the
    way back are kept for ``keep_source`` from the switch on, the final dump for ``keep_dump``.
    """

    name: str
    cooperative: str
    member: str | None
    mode: MigrationMode
    target: MigrationTarget
    window: Window | None
    max_lag_bytes: int
    keep_source: timedelta
    keep_dump: timedelta
    source: Location
    key: str = ""

    @property
    def scope(self) -> str:
        """What moves, in words."""
        return f"member {self.member}" if self.member else "all"
