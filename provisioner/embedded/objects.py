"""The embedded platform's S3: SeaweedFS in one process, with an identity per tenant through its IAM API.

Everything listens on loopback. With a real node the S3 port listens on the bridge as well, for pods; SeaweedFS then
opens that gateway's gRPC port there too, which knows no passwords: a rule closes it to everything but this machine.
"""

import configparser
import io
import json
import os
import secrets
import shutil
import socket
import string
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from provisioner.descriptor.endpoints import EmbeddedEndpoints
from provisioner.embedded.ports import GRPC_OFFSET, LOOPBACK
from provisioner.embedded.private_files import private_folder, write_if_changed, write_private
from provisioner.embedded.process import ProcessSpec, ReadyProbe, Surroundings
from provisioner.errors import CoopctlError

ADMIN = "coopctl-admin"
_VOLUME_MEGABYTES = 64
_KEY_CHARACTERS = string.ascii_uppercase + string.digits

# The default of seven volumes a bucket would fill a small disk at some sixty buckets.
_MASTER = """[master.volume_growth]
copy_1 = 1
copy_2 = 1
copy_3 = 1
copy_other = 1
"""


@dataclass(frozen=True, kw_only=True)
class ObjectsPart:
    """S3 as a part of the embedded platform."""

    @property
    def name(self) -> str:
        """The name in progress lines."""
        return "objects"

    @property
    def tools(self) -> tuple[str, ...]:
        """SeaweedFS."""
        return ("weed",)

    def prepare(self, surroundings: Surroundings) -> None:
        """Make folders, the administrator's keys and the settings; close the gRPC port on the bridge."""
        private_folder(_sockets(surroundings))
        private_folder(_volumes(surroundings))
        settings = private_folder(_settings(surroundings))
        write_if_changed(settings / "master.toml", _MASTER)
        keys = admin_keys(surroundings.files.objects_credentials)
        write_if_changed(settings / "admin.json", _identities(*keys))
        if surroundings.real_node:
            _close_bridge(surroundings)

    def specs(self, surroundings: Surroundings) -> tuple[ProcessSpec, ...]:
        """The one process: master, volume server, filer and S3 gateway."""
        ports = surroundings.endpoints
        http = (ports.objects, ports.objects_master, ports.objects_volume, ports.objects_filer)
        return (
            ProcessSpec(
                name=self.name,
                argv=(str(surroundings.tools["weed"]), "-logtostderr=true", "server", *_flags(surroundings)),
                log=surroundings.logs / "objects.log",
                ready=ReadyProbe(
                    description=f"S3 on port {ports.objects} with room to write",
                    check=lambda: _serves(ports.objects) and _has_volumes(ports.objects_master),
                ),
                working_directory=_settings(surroundings),
                ports=(*http, *(port + GRPC_OFFSET for port in http)),
                before_start=lambda: _clear_sockets(ports),
                # Asked to end it waits 15 s for its own connections to itself. What it acknowledged is with the
                # kernel by then, so that ending it sooner loses nothing.
                stop_timeout_seconds=4.0,
            ),
        )

    def complete(self, surroundings: Surroundings) -> None:
        """Nothing: buckets and identities belong to the stacks."""

    def remove(self, surroundings: Surroundings) -> None:
        """Take the rule and the sockets away."""
        for path in own_sockets(surroundings.endpoints):
            if not _is_foreign(path):
                path.unlink(missing_ok=True)
        if surroundings.real_node and shutil.which("nft"):
            _nft(f"table inet {_table(surroundings)}\ndelete table inet {_table(surroundings)}\n")


def own_sockets(endpoints: EmbeddedEndpoints) -> tuple[Path, ...]:
    """The Unix sockets that SeaweedFS makes for its own parts; their place cannot be chosen."""
    services = {
        "master": endpoints.objects_master,
        "volume": endpoints.objects_volume,
        "filer": endpoints.objects_filer,
        "s3": endpoints.objects,
    }
    folder = Path("/tmp")  # noqa: S108 - SeaweedFS's choice, not ours
    return tuple(folder / f"seaweedfs-{name}-grpc-{port + GRPC_OFFSET}.sock" for name, port in services.items())


def foreign_sockets(endpoints: EmbeddedEndpoints) -> tuple[Path, ...]:
    """Those sockets that are not ours to replace: another user's, or in use (from another network namespace).

    SeaweedFS would talk to them in place of its own parts.
    """
    return tuple(path for path in own_sockets(endpoints) if _is_foreign(path))


def _is_foreign(path: Path) -> bool:
    if not path.exists():
        return False
    return (os.geteuid() != 0 and path.lstat().st_uid != os.geteuid()) or _is_in_use(path)


def _is_in_use(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True


def admin_keys(credentials: Path) -> tuple[str, str]:
    """The administrator's access key and secret key: read from the credentials file, or made at the first call."""
    if not credentials.exists():
        private_folder(credentials.parent)
        key = "AK" + "".join(secrets.choice(_KEY_CHARACTERS) for _ in range(18))
        write_private(credentials, _credentials(key, secrets.token_urlsafe(30)))
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(credentials.read_text())
        profile = parser["default"]
        return profile["aws_access_key_id"], profile["aws_secret_access_key"]
    except (configparser.Error, KeyError) as error:
        raise CoopctlError(
            f"{credentials} is damaged", hint="remove it and run `coopctl dev up`: new keys are made"
        ) from error


def _credentials(key: str, secret: str) -> str:
    parser = configparser.ConfigParser(interpolation=None)
    parser["default"] = {"aws_access_key_id": key, "aws_secret_access_key": secret}
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def _identities(key: str, secret: str) -> str:
    admin = {
        "name": ADMIN,
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    return json.dumps({"identities": [admin]}, indent=2)


def _flags(surroundings: Surroundings) -> list[str]:
    ports = surroundings.endpoints
    bind = ports.bridge if surroundings.real_node else LOOPBACK
    sockets = _sockets(surroundings)
    flags = {
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        # SeaweedFS listens on loopback besides the address it is given.
        "s3.ip.bind": bind,
        "dir": str(_volumes(surroundings)),
        "master.port": ports.objects_master,
        "master.volumeSizeLimitMB": _VOLUME_MEGABYTES,
        "master.telemetry": "false",
        "volume.port": ports.objects_volume,
        "volume.max": 0,
        "volume.preStopSeconds": 0,
        "filer": "true",
        "filer.port": ports.objects_filer,
        "filer.localSocket": sockets / "filer.sock",
        "s3": "true",
        "s3.port": ports.objects,
        "s3.config": _settings(surroundings) / "admin.json",
        "s3.iam.readOnly": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": sockets / "s3.sock",
    }
    return [f"-{name}={value}" for name, value in flags.items()]


def _clear_sockets(endpoints: EmbeddedEndpoints) -> None:
    """Remove the sockets that a killed SeaweedFS left; raises CoopctlError if another one uses them."""
    foreign = foreign_sockets(endpoints)
    if foreign:
        raise CoopctlError(
            f"{foreign[0]} belongs to another SeaweedFS",
            why="SeaweedFS reaches its own parts by sockets whose place cannot be chosen, and would reach that one",
            hint=f"end the SeaweedFS that uses it, or let its owner remove it: rm {' '.join(map(str, foreign))}",
        )
    for path in own_sockets(endpoints):
        path.unlink(missing_ok=True)


def _serves(port: int) -> bool:
    return _fetch(f"http://{LOOPBACK}:{port}/healthz") is not None


def _has_volumes(master_port: int) -> bool:
    answer = _fetch(f"http://{LOOPBACK}:{master_port}/dir/status")
    try:
        return bool(answer and json.loads(answer)["Topology"]["Max"] > 0)
    except (ValueError, KeyError, TypeError):
        return False


def _fetch(url: str) -> bytes | None:
    # No proxy of the environment may stand between this machine and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=1) as response:
            body: bytes = response.read()
            return body
    except (URLError, OSError):
        return None


def _close_bridge(surroundings: Surroundings) -> None:
    # One transaction: there is no moment without the rule.
    table = f"table inet {_table(surroundings)}"
    hook = "type filter hook input priority -10"
    rule = f'iifname != "lo" tcp dport {surroundings.endpoints.objects + GRPC_OFFSET} drop'
    _nft(f"{table}\ndelete {table}\n{table} {{\nchain input {{\n{hook}\n{rule}\n}}\n}}\n")


def _table(surroundings: Surroundings) -> str:
    return f"coopctl_objects_{surroundings.run.name}"


def _nft(script: str) -> None:
    try:
        subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True, check=True)
    except FileNotFoundError as error:
        raise CoopctlError("the program nft is missing", hint="run `make system`") from error
    except subprocess.CalledProcessError as error:
        raise CoopctlError("the rule for the S3 gateway was refused", why=error.stderr.strip()) from error


def _sockets(surroundings: Surroundings) -> Path:
    return surroundings.run / "objects"


def _volumes(surroundings: Surroundings) -> Path:
    return surroundings.data("objects") / "volumes"


def _settings(surroundings: Surroundings) -> Path:
    return surroundings.data("objects") / "settings"
