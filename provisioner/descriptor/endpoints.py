"""Where the embedded platform's servers listen: written once by it, read by whoever resolves the Platform.

Before the platform was first started the default ports stand in, so that plans and manifests can be
made without any server.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from provisioner.errors import CoopctlError

BRIDGE_ADDRESS = "10.244.0.1"
EMBEDDED_FOLDER = Path(".coopctl") / "embedded"


@dataclass(frozen=True, kw_only=True)
class EmbeddedEndpoints:
    """The ports of the embedded platform's servers; they are chosen once and kept for life.

    coopctl reaches every server on 127.0.0.1; pods reach PostgreSQL, S3 and DNS on ``bridge``.
    """

    api_server: int = 16443
    etcd_client: int = 16379
    etcd_peer: int = 16380
    controller_manager: int = 16257
    scheduler: int = 16259
    postgres: int = 15432
    objects: int = 18333
    objects_master: int = 18334
    objects_volume: int = 18335
    objects_filer: int = 18336
    registry: int = 15000
    ingress_http: int = 18080
    kubelet: int = 16250
    bridge: str = BRIDGE_ADDRESS


@dataclass(frozen=True, kw_only=True)
class EmbeddedFiles:
    """Where the embedded platform keeps what others read, all below the estate's ``.coopctl/embedded``."""

    root: Path

    @property
    def endpoints(self) -> Path:
        """The ports, as JSON."""
        return self.root / "endpoints.json"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def postgres_password(self) -> Path:
        """The password of PostgreSQL's administrator ``postgres``."""
        return self.root / "secrets" / "postgres-admin-password"

    @property
    def objects_credentials(self) -> Path:
        """The S3 administrator's keys, an AWS shared credentials file with the profile ``default``."""
        return self.root / "secrets" / "objects-admin-credentials"

    @property
    def postgres_ca(self) -> Path:
        """The certificate authority that signs PostgreSQL's certificate (for 127.0.0.1 and the bridge), as PEM."""
        return self.root / "pki" / "postgres" / "ca.crt"


def embedded_files(estate_root: Path) -> EmbeddedFiles:
    """The embedded platform's files of the estate at ``estate_root``."""
    return EmbeddedFiles(root=estate_root / EMBEDDED_FOLDER)


def read_endpoints(files: EmbeddedFiles) -> EmbeddedEndpoints:
    """Read the ports, or give the default ones where the platform was never started."""
    try:
        content = json.loads(files.endpoints.read_text())
        known = {field.name for field in fields(EmbeddedEndpoints)}
        return EmbeddedEndpoints(**{name: value for name, value in content.items() if name in known})
    except FileNotFoundError:
        return EmbeddedEndpoints()
    except (ValueError, AttributeError) as error:
        raise CoopctlError(
            f"{files.endpoints} is damaged",
            why=str(error),
            hint="run `coopctl dev down --delete`, then `coopctl dev up`",
        ) from error


def write_endpoints(endpoints: EmbeddedEndpoints, *, files: EmbeddedFiles) -> None:
    """Keep the ports for the platform's life."""
    files.root.mkdir(parents=True, exist_ok=True)
    temporary = files.endpoints.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(endpoints), indent=2) + "\n")
    temporary.replace(files.endpoints)
