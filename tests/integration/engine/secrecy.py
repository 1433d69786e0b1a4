"""Every secret in use, every place where one could show, and the sweep that looks for each of the first in all others.

Allowed are only the Kubernetes API, whose Secrets deliver credentials, the servers' own data, and the files in which
an administrator's credentials live.
"""

import base64
import contextlib
import json
import os
import stat
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from provisioner.toolchain.cache import default_cache
from tests.integration.engine.conftest import CliEstate

_POLL_SECONDS = 0.1
_GZIP = b"\x1f\x8b"
# Pulumi's own logs of operations, encrypted with the stack's passphrase (pkg/engine/encryptedlog, Magic).
_ENCRYPTED_LOG = b"PLOG"
_FILE_MAX_BYTES = 20_000_000
# A secret's text in an exported state, as JSON (sdk/go/common/apitype, SecretV1).
_PLAINTEXT = "plaintext"
_SECRET_OUTPUTS = ("password", "secretAccessKey")


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A value that nobody but its users may see, and what it is."""

    name: str
    value: str = field(repr=False)

    def forms(self) -> dict[str, str]:
        """The ways in which it could be written."""
        found = {
            "raw": self.value,
            "URL-quoted": quote(self.value, safe=""),
            "form-quoted": quote_plus(self.value),
            "in JSON": json.dumps(self.value, ensure_ascii=False)[1:-1],
        }
        for shift in range(3):
            found[f"base64 at {shift}"] = _base64_within(self.value, shift=shift)
            found[f"URL-safe base64 at {shift}"] = _base64_within(self.value, shift=shift, altchars=b"-_")
        return found


def _base64_within(value: str, *, shift: int, altchars: bytes = b"+/") -> str:
    """What the base64 of any text holds in which ``value`` stands after ``shift`` bytes, or three more, or six ..."""
    content = b"\0" * shift + value.encode()
    text = base64.b64encode(content, altchars).decode().rstrip("=")
    # The characters at both ends hold bits of what stands beside it.
    return text[(0, 2, 3)[shift] : len(text) - (1 if len(content) % 3 else 0)]


def all_secrets(estate: CliEstate, *cooperatives: str) -> list[Secret]:
    """Every secret that the estate, the servers and the ``cooperatives``, which are applied, use."""
    world, platform = estate.maker.world, estate.maker.platform()
    _, administrator = world.servers.objects_credentials.read_text().split("aws_secret_access_key")
    found = [
        Secret(name="passphrase", value=platform.state.passphrase_file.read_text().strip()),
        Secret(name="PostgreSQL administrator", value=world.servers.postgres_password_file.read_text().strip()),
        Secret(name="S3 administrator", value=administrator.strip(" =\n").split()[0]),
    ]
    for folder in world.folders:
        for file in sorted(folder.rglob("*.key")):
            found += _private_key(file)
    return [*found, *(secret for name in cooperatives for secret in _secrets_of_state(estate, name))]


def _private_key(file: Path) -> list[Secret]:
    """The whole file, and the first line of its body, which holds the beginning of the private number."""
    text = file.read_text().strip()
    name = f"{file.parent.name}/{file.name}"
    return [Secret(name=name, value=text), Secret(name=f"{name}, first line", value=text.splitlines()[1])]


def _secrets_of_state(estate: CliEstate, stack: str) -> Iterator[Secret]:
    """The passwords of a cooperative's roles and its S3 key, as its state has them."""
    settings = estate.maker.settings()
    shown = subprocess.run(
        [str(settings.pulumi), "stack", "export", "--show-secrets", "--stack", stack],
        cwd=settings.folder(stack),
        env={**os.environ, **settings.environment},
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    for resource in json.loads(shown.stdout)["deployment"]["resources"]:
        for output in _SECRET_OUTPUTS:
            wrapped: Any = (resource.get("outputs") or {}).get(output) or {}
            if value := json.loads(wrapped.get(_PLAINTEXT, "null")):
                yield Secret(name=f"{stack}: {resource['urn'].rpartition('::')[2]}", value=value)


@dataclass(kw_only=True)
class Sweep:
    """Runs commands and keeps all that they show: what they answer, and what others could see while they ran."""

    estate: CliEstate
    temporary: Path
    seen: dict[str, set[str]] = field(default_factory=dict)
    begun: float = field(default_factory=time.time)
    _read_files: set[tuple[Path, int, int]] = field(default_factory=set)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run coopctl under observation to its end."""
        process = self.estate.start(*arguments)
        with self.watching(process):
            stdout, stderr = process.communicate()
        self.keep("stdout", stdout)
        self.keep("stderr", stderr)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    @contextlib.contextmanager
    def watching(self, process: subprocess.Popen[str]) -> Iterator[None]:
        """Look at all processes and temporary files, again and again, while the block runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(process.pid, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def keep(self, place: str, text: str) -> None:
        """Remember what was to be seen in a place."""
        self.seen.setdefault(place, set()).add(text)

    def found(self, secrets: Sequence[Secret]) -> list[tuple[str, str, str]]:
        """Every secret that shows somewhere: its name, the form, and the place."""
        self._look_at_files()
        texts = {place: "\n".join(sorted(parts)) for place, parts in self.seen.items()}
        return [
            (secret.name, form, place)
            for secret in secrets
            for form, text in secret.forms().items()
            for place, whole in texts.items()
            if text in whole
        ]

    def _watch(self, root: int, over: threading.Event) -> None:
        while not over.is_set():
            self._look_at_processes(root)
            self._keep_files("temporary files", self.temporary)
            time.sleep(_POLL_SECONDS)

    def _look_at_processes(self, root: int) -> None:
        """What `ps` shows of all processes, and the environments and outputs of ``root`` and its descendants."""
        parents = {pid: _parent(pid) for pid in (int(item.name) for item in Path("/proc").glob("[0-9]*"))}
        for pid in parents:
            self.keep("command lines", _read(Path(f"/proc/{pid}/cmdline")))
            if _descends(pid, root, parents=parents):
                self.keep("environments", _read(Path(f"/proc/{pid}/environ")))
                # The CLI's output goes into files without a name.
                for number in (1, 2):
                    self._keep_output(Path(f"/proc/{pid}/fd/{number}"))

    def _keep_output(self, descriptor: Path) -> None:
        with contextlib.suppress(OSError):
            if descriptor.is_file():
                self.keep("outputs of children", _read(descriptor))

    def _look_at_files(self) -> None:
        passphrase = self.estate.maker.platform().state.passphrase_file
        self._keep_files("estate", self.estate.root, but=(passphrase,))
        self._keep_files("temporary files", self.temporary)
        # All of this user's estates share it, and what earlier runs left there is much.
        self._keep_files("Pulumi's home", pulumi_home(), since=self.begun)
        for folder in self.estate.maker.world.folders:
            self._keep_files("logs", folder / "logs")

    def _keep_files(self, place: str, folder: Path, *, but: Sequence[Path] = (), since: float = 0) -> None:
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                status = path.lstat()
                version = (path, status.st_mtime_ns, status.st_size)
                if not stat.S_ISREG(status.st_mode) or path in but or status.st_mtime < since - 1:
                    continue
                if version not in self._read_files:
                    self._read_files.add(version)
                    self.keep(place, _read(path))


def pulumi_home() -> Path:
    """Where coopctl keeps Pulumi's own folders for this user."""
    return default_cache(os.environ).parent / "pulumi"


def _read(path: Path) -> str:
    """As text, unpacked if it is packed (Pulumi's own logs are); nothing of what is gone meanwhile."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_FILE_MAX_BYTES)
        if content.startswith(_GZIP):
            content = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content)
        if content.startswith(_ENCRYPTED_LOG):
            return ""
    except (OSError, zlib.error):
        return ""
    return content.decode(errors="replace").replace("\0", "\n")


def _parent(pid: int) -> int:
    """The parent's process id (proc_pid_stat(5), the fourth field; the second may hold spaces)."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(fields[1]) if fields else 0


def _descends(pid: int, root: int, *, parents: dict[int, int]) -> bool:
    while pid and pid != root:
        pid = parents.get(pid, 0)
    return pid == root
