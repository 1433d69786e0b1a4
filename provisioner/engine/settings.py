"""What the engine needs to know: its tools, its state, and its folder on this machine."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

PROJECT = "coopctl"
AWS_PROFILE = "default"
_FILE_SCHEME = "file://"


def engine_folder(local: Path) -> Path:
    """Where the engine keeps what is local to this machine, in the estate's local folder."""
    return local / "engine"


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The engine's tools (``pulumi``, ``home`` with the plugins), its state, and ``work`` for what is local.

    ``work`` may be lost at any time: all that matters is in the state. ``credentials_file`` (AWS shared credentials) is
    for an ``s3://`` state; None leaves it to the AWS environment.
    """

    pulumi: Path
    home: Path
    work: Path
    backend_url: str
    passphrase_file: Path
    credentials_file: Path | None = None

    def folder(self, stack: str) -> Path:
        """The working directory of ``stack``."""
        return self.work / stack

    @property
    def state_folder(self) -> Path | None:
        """The folder of a ``file://`` state, or None for another backend."""
        # Platform documents hold a path behind the scheme, not a URL: nothing in it is escaped.
        path = self.backend_url.removeprefix(_FILE_SCHEME)
        return Path(path) if path != self.backend_url else None

    @property
    def _pulumi_backend_url(self) -> str:
        """The backend as Pulumi wants it: escaped, and without the side files (``.attrs``) that are not written in one
        step, so that a kill could leave half of one and make the state unreadable."""
        folder = self.state_folder
        return self.backend_url if folder is None else f"{_FILE_SCHEME}{quote(str(folder))}?metadata=skip"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every pulumi CLI (the toolchain's notes say why each is needed)."""
        return {
            "PULUMI_HOME": str(self.home),
            "PULUMI_BACKEND_URL": self._pulumi_backend_url,
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase_file),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # A plugin on PATH would win over the one in PULUMI_HOME, with a warning at every operation.
            "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
            "PULUMI_CREDENTIAL_STORE": "plaintext",
            "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
            **self._credentials,
        }

    @property
    def _credentials(self) -> dict[str, str]:
        """Who works on the state. Keys in the environment would win over the file, so they are made empty."""
        if self.credentials_file is None:
            return {}
        keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "")
        return {**keys, "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials_file), "AWS_PROFILE": AWS_PROFILE}
