"""The solution `member-files` as its pods run it, its image's files as its root; and a client of its API and pages."""

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from cli.wiring import image_cache
from provisioner.catalogue.images.building import build
from provisioner.catalogue.images.definition import read_definition
from provisioner.catalogue.images.image_root import unpack
from tests.unit.plan.builders import CHARTS

START_SECONDS = 60
PROGRAM_SECONDS = 120
OFFICE = "office"
GOOD_PASSWORD = "correct horse battery"
BOUNDARY = "----a boundary".replace(" ", "")


def unpacked_image(folder: Path) -> Path:
    """The image as it is shipped, unpacked below ``folder``; `make images` may have built it."""
    image = build(read_definition(CHARTS / "member-files" / "image.yaml"), cache=image_cache(), report=print)
    blobs = image.layout / "blobs" / "sha256"
    manifest = json.loads((blobs / image.digest.removeprefix("sha256:")).read_text())
    for layer in manifest["layers"]:
        unpack(blobs / layer["digest"].removeprefix("sha256:"), into=folder)
    return folder


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server answers."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in it."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True, kw_only=True)
class FilesClient:
    """A program or a browser at ``url``; ``host`` is what the ingress knows it by, ``token`` whose session it has."""

    url: str
    host: str = ""
    token: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a request as it is."""
        to = urlsplit(self.url)
        connection = http.client.HTTPConnection(to.hostname or "", to.port or 80, timeout=30)
        given = {"Host": self.host or to.netloc, **self.headers}
        given |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body=body or None, headers=given)
            response = connection.getresponse()
            return Answer(status=response.status, headers=dict(response.getheaders()), body=response.read())
        finally:
            connection.close()

    def call(self, method: str, path: str, **fields: str) -> Answer:
        """Call the API with a JSON object."""
        return self.send(method, f"/api{path}", json.dumps(fields).encode() if fields else b"")

    def log_in(self, user: str, password: str) -> "FilesClient":
        """The same with a session, which must begin."""
        answer = self.call("POST", "/session", user=user, password=password)
        assert answer.status == 201, answer
        return replace(self, token=answer.document["token"])

    def settled(self, user: str, password: str, *, chosen: str = GOOD_PASSWORD) -> "FilesClient":
        """The same with a session, and another password in the place of one that holds once."""
        entered = self.log_in(user, password)
        assert entered.call("PUT", "/password", password=chosen).status == 200
        return entered

    def give_password(self, member: str) -> str:
        """As the office: a member's next password."""
        answer = self.call("POST", f"/members/{member}/password")
        assert answer.status == 201, answer
        password: str = answer.document["password"]
        return password

    def upload(self, name: str, content: bytes, *, note: str = "") -> Answer:
        """Keep a document."""
        return self.send(
            "POST",
            f"/api/documents?{urlencode({'name': name, 'note': note})}",
            content,
            Content_Length=str(len(content)),
        )

    def names(self) -> list[str]:
        """The names of the documents, the newest first."""
        return [one["name"] for one in self.call("GET", "/documents").document["documents"]]


@dataclass(frozen=True, kw_only=True)
class BrowserSession:
    """A browser that keeps its cookie and posts forms as browsers do."""

    client: FilesClient
    cookie: str = ""

    def get(self, path: str) -> Answer:
        """A page."""
        return self.client.send("GET", path, Cookie=self.cookie)

    def post(self, path: str, **fields: str) -> Answer:
        """A form of the page."""
        return self._posted(path, urlencode(fields).encode(), kind="application/x-www-form-urlencoded")

    def upload(self, name: str, content: bytes, *, note: str = "") -> Answer:
        """The form with a file."""
        parts = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\n{note}\r\n'
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: text/html\r\n\r\n"
        )
        body = parts.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        return self._posted("/documents", body, kind=f"multipart/form-data; boundary={BOUNDARY}")

    def entered(self, user: str, password: str) -> "BrowserSession":
        """The same after a login, which must go well."""
        answer = self.post("/login", user=user, password=password)
        assert answer.status == 303, answer
        return replace(self, cookie=answer.headers["Set-Cookie"].partition(";")[0])

    def _posted(self, path: str, body: bytes, *, kind: str) -> Answer:
        host = self.client.host or urlsplit(self.client.url).netloc
        return self.client.send("POST", path, body, Content_Type=kind, Cookie=self.cookie, Origin=f"http://{host}")


@dataclass(frozen=True, kw_only=True)
class FilesPrograms:
    """The image's programs in a cooperative's database, reached as the pods' Secrets say."""

    image: Path
    application: Mapping[str, str]
    migration: Mapping[str, str]
    settings: Mapping[str, str] = field(
        default_factory=lambda: {
            "MEMBER_FILES_DOCUMENT_MEBIBYTES": "2",
            "MEMBER_FILES_MEMBER_MEBIBYTES": "3",
            "MEMBER_FILES_SESSION_SECONDS": "3600",
            "MEMBER_FILES_OFFICE": OFFICE,
        }
    )

    def migrate(self, release: str) -> str:
        """Run the Job; its log."""
        variables = {"COOPCTL_RELEASE": release, "COOPCTL_FIRST_USER": OFFICE}
        return self._run("member_files.migrate", {**self.migration, **variables})

    def wait(self, release: str) -> str:
        """Run what the pods begin with; its log."""
        return self._run("member_files.wait", {**self.application, "COOPCTL_RELEASE": release})

    @contextmanager
    def serving(self, folder: Path, **settings: str) -> Iterator[FilesClient]:
        """The server on a free port of this machine, its log in ``folder``."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        command = self._command(
            "/usr/bin/gunicorn",
            f"--bind={address}",
            "--threads=4",
            "--worker-tmp-dir=/tmp",
            "member_files.server:make_server()",
        )
        environment = _environment({**self.application, **self.settings, **settings})
        with (folder / "served.log").open("w") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            client = FilesClient(url=f"http://{address}")
            _wait(client, process, log=folder / "served.log")
            yield client
        finally:
            process.terminate()
            process.wait()

    def _command(self, *arguments: str) -> list[str]:
        """Python as in the pod, where nothing of this machine is."""
        # Root changes the root of its children; others may where user namespaces are allowed.
        identity = [] if os.geteuid() == 0 else ["--map-root-user"]
        return ["unshare", *identity, f"--root={self.image}", "/usr/bin/python3.11", *arguments]

    def _run(self, module: str, variables: Mapping[str, str]) -> str:
        done = subprocess.run(
            self._command("-m", module),
            env=_environment(variables),
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {"HOME": "/tmp", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **variables}


def document_path(number: int) -> str:
    """Where a document is in the API."""
    return f"/documents/{quote(str(number))}"


def _wait(client: FilesClient, process: subprocess.Popen[bytes], *, log: Path) -> None:
    """Until the server is ready."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        try:
            if client.send("GET", "/healthz").status == 200:
                return
        except OSError:
            """It does not listen yet."""
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
