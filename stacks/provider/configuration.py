"""The provider's configuration: whose data store, which servers, and references to their credentials.

All values are strings, since Pulumi keeps a provider's configuration as strings. No credential is in it: references are
resolved in this process when a server is called, so the state never holds an administrator's secret.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.datastore.marks import Mark
from provisioner.datastore.objects import ObjectsAccess
from provisioner.datastore.postgres import PostgresAccess
from provisioner.descriptor.migration import MigrationTarget, ObjectsTarget, PostgresTarget
from provisioner.descriptor.platform import SecretReference
from provisioner.errors import UsageError
from provisioner.naming import ClusterId, CooperativeUid


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What the provider works with.

    ``final_dump`` names the dump that lets the contents of a database or bucket be deleted; without one they are kept.
    ``moved_to`` is where the data store lives for good, if credentials are to be changed there.
    """

    mark: Mark
    postgres: PostgresAccess
    objects: ObjectsAccess
    allowed_extensions: tuple[str, ...] = ()
    final_dump: str = ""
    moved_to: MigrationTarget | None = None


def to_properties(configuration: Configuration) -> dict[str, str]:
    """The configuration as a provider resource's properties."""
    postgres, objects = configuration.postgres, configuration.objects
    return {
        "cluster": configuration.mark.cluster,
        "cooperative": configuration.mark.cooperative,
        "postgresHost": postgres.host,
        "postgresPort": str(postgres.port),
        "postgresUser": postgres.user,
        "postgresSslmode": postgres.sslmode,
        "postgresCaFile": str(postgres.ca_file or ""),
        **_reference("postgresPassword", postgres.password),
        "objectsUrl": objects.url,
        "objectsIamUrl": objects.iam_url,
        "objectsRegion": objects.region,
        "objectsCaFile": str(objects.ca_file or ""),
        **_reference("objectsCredentials", objects.credentials),
        "allowedExtensions": json.dumps(sorted(configuration.allowed_extensions)),
        "finalDump": configuration.final_dump,
        **(_moved_to(configuration.moved_to) if configuration.moved_to else {}),
    }


def from_properties(properties: Mapping[str, object]) -> Configuration:
    """Read the configuration that ``to_properties`` wrote. Raises UsageError naming what is missing or malformed."""
    try:
        text = {name: str(value) for name, value in properties.items()}
        return Configuration(
            mark=Mark(cluster=ClusterId(text["cluster"]), cooperative=CooperativeUid(text["cooperative"])),
            postgres=PostgresAccess(
                host=text["postgresHost"],
                port=int(text["postgresPort"]),
                user=text["postgresUser"],
                password=_referenced("postgresPassword", text),
                sslmode=text["postgresSslmode"],
                ca_file=_path(text.get("postgresCaFile")),
            ),
            objects=ObjectsAccess(
                url=text["objectsUrl"],
                iam_url=text["objectsIamUrl"],
                region=text["objectsRegion"],
                credentials=_referenced("objectsCredentials", text),
                ca_file=_path(text.get("objectsCaFile")),
            ),
            allowed_extensions=tuple(json.loads(text["allowedExtensions"])),
            final_dump=text["finalDump"],
            moved_to=_target(text) if "movedUrl" in text else None,
        )
    except (KeyError, ValueError) as error:
        raise UsageError(f"the provider's configuration is incomplete: {error}") from error


def _moved_to(target: MigrationTarget) -> dict[str, str]:
    objects = target.objects
    return {
        "movedUrl": objects.endpoint,
        "movedIamUrl": objects.iam_url,
        "movedBucket": objects.bucket,
        "movedRegion": objects.region,
        "movedCaFile": str(objects.ca_file or ""),
        **_reference("movedCredentials", objects.credentials),
        **_reference("movedDsn", target.postgres.dsn),
    }


def _target(text: Mapping[str, str]) -> MigrationTarget:
    return MigrationTarget(
        postgres=PostgresTarget(dsn=_referenced("movedDsn", text)),
        objects=ObjectsTarget(
            endpoint=text["movedUrl"],
            iam_url=text["movedIamUrl"],
            bucket=text["movedBucket"],
            region=text["movedRegion"],
            credentials=_referenced("movedCredentials", text),
            ca_file=_path(text.get("movedCaFile")),
        ),
    )


def _reference(prefix: str, reference: SecretReference) -> dict[str, str]:
    return {f"{prefix}Env": reference.env or "", f"{prefix}File": str(reference.file or "")}


def _referenced(prefix: str, text: Mapping[str, str]) -> SecretReference:
    return SecretReference(env=text.get(f"{prefix}Env") or None, file=_path(text.get(f"{prefix}File")))


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
