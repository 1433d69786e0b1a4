"""The API server by paths: get, list, watch, apply, create, delete, as oneself or as somebody else.

The Kubernetes client brings TLS, kubeconfig and connections; its generated models are passed by: importing a thousand
of them takes longer than the calls, and whole objects are handled as data.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.errors import CoopctlError, NotFound, NotPermitted, Unreachable
from provisioner.plan.manifest import Manifest

JSON = "application/json"
ANY = "*/*"
APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
WATCH_SECONDS = 240
"""A watch is asked for this long; the list that follows it also mends what a lost event would have hidden."""
_TIMEOUT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whom to act as (Kubernetes documentation, "User impersonation"): a user's name and groups."""

    user: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the API server answered: the HTTP status, and the object, list or Status that it sent."""

    status: int
    content: Manifest

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked."""
        return self.status < 400

    @property
    def message(self) -> str:
        """Why it refused, in its own words."""
        return str(self.content.get("message", ""))


class ApiServer:
    """The API server that a kubeconfig names; ``hint`` is what to do when it does not answer."""

    def __init__(self, kubeconfig: Path, *, context: str | None = None, hint: str = "see its log") -> None:
        from kubernetes import client, config
        from kubernetes.config import ConfigException

        settings = client.Configuration()
        try:
            config.load_kube_config(
                str(kubeconfig), context=context, client_configuration=settings, persist_config=False
            )
        except (ConfigException, OSError) as error:
            raise Unreachable(f"the kubeconfig {kubeconfig} cannot be used", why=str(error), hint=hint) from error
        if settings.host.startswith(("https://127.", "https://localhost", "https://[::1]")):
            # The API server is on loopback: a proxy in the environment is for others.
            settings.proxy = None
        settings.retries = False
        self._client = client.ApiClient(settings)
        self._host: str = settings.host
        self._hint = hint
        self._identity: Identity | None = None

    @property
    def host(self) -> str:
        """Its URL."""
        return self._host

    def acting_as(self, identity: Identity) -> "ApiServer":
        """The same API server over the same connections, but every call is made as ``identity``."""
        other = object.__new__(ApiServer)
        other.__dict__.update(self.__dict__)
        other._identity = identity
        return other

    def get(self, path: str, *, accept: str = JSON) -> Manifest:
        """Read one object or list in the form ``accept``; raises NotFound, NotPermitted, Unreachable."""
        return self._send("GET", path, accept=accept)

    def apply(self, path: str, manifest: Manifest, *, manager: str) -> Manifest:
        """Apply on the server's side, and take over fields that another manager holds."""
        query = f"?fieldManager={manager}&force=true"
        return self._send("PATCH", path + query, body=manifest, content_type=APPLY_PATCH)

    def merge(self, path: str, change: Mapping[str, Any]) -> Manifest:
        """Change fields (JSON merge patch, RFC 7396)."""
        return self._send("PATCH", path, body=change, content_type=MERGE_PATCH)

    def create(self, path: str, manifest: Manifest) -> Manifest:
        """Create an object; NotPermitted covers refusals of every kind, an existing object too."""
        return self._send("POST", path, body=manifest, content_type=JSON)

    def delete(self, path: str) -> None:
        """Delete an object; nothing when there is none."""
        try:
            self._send("DELETE", path)
        except NotFound:
            return

    def attempt(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str | None = None,
        accept: str = JSON,
    ) -> Answer:
        """Ask for something that may be refused, and give the answer whatever it is; raises Unreachable alone."""
        response = self._open(
            method, path, body=body, content_type=content_type, accept=accept, timeout_seconds=_ANSWER_SECONDS
        )
        try:
            text = response.read()
        except Exception as error:
            raise self._translated(error) from error
        return Answer(status=response.status, content=_content(text))

    def follow(self, path: str, see: Callable[[dict[str, Manifest]], None]) -> None:
        """List and watch a collection until the watch ends; ``see`` gets all its objects by uid after each change.

        Raises Unreachable when the connection breaks: call again, and everything is listed anew.
        """
        listed = self.get(path)
        objects = {item["metadata"]["uid"]: item for item in listed["items"]}
        see(dict(objects))
        for event in self._events(path, version=listed["metadata"]["resourceVersion"]):
            if event["type"] == "ERROR":  # most often 410 Gone: the version is too old
                return
            uid = event["object"]["metadata"]["uid"]
            if event["type"] == "DELETED":
                objects.pop(uid, None)
            else:
                objects[uid] = event["object"]
            see(dict(objects))

    def _events(self, path: str, *, version: str) -> Iterator[Manifest]:
        query = f"?watch=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
        answer = self._open("GET", path + query, timeout_seconds=WATCH_SECONDS + 30)
        try:
            for line in answer.response:
                yield json.loads(line)
        except Exception as error:
            raise self._translated(error) from error
        finally:
            answer.response.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str | None = None,
        accept: str = JSON,
    ) -> Manifest:
        answer = self.attempt(method, path, body=body, content_type=content_type, accept=accept)
        if answer.ok:
            return answer.content
        raise _failure(answer, what=f"{method} {path}", hint=self._hint)

    def _open(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str | None = None,
        accept: str = JSON,
        timeout_seconds: float,
    ) -> Any:
        headers = {"Accept": accept, **({"Content-Type": content_type} if content_type else {})}
        url = self._host + path
        # Certificates are the connection's; tokens go with each call.
        self._client.update_params_for_auth(headers, [], ["BearerToken"], url, method, None)
        # The client encodes what it calls JSON itself, and takes all else as text.
        is_json = content_type is None or content_type.endswith("json")
        try:
            return self._client.call_api(
                method,
                url,
                _with_identity(headers, self._identity),
                body if is_json else json.dumps(body),
                _request_timeout=(_TIMEOUT_SECONDS, timeout_seconds),
            )
        except Exception as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> Unreachable:
        """urllib3, ssl, json and the client raise a dozen types here; all mean that there was no usable answer."""
        return Unreachable(f"the API server at {self._host} does not answer", why=str(error), hint=self._hint)


def _with_identity(headers: Mapping[str, str], identity: Identity | None) -> Mapping[str, str]:
    """The headers for acting as ``identity``: a header may stand several times, as there are several groups."""
    if identity is None:
        return headers
    from urllib3 import HTTPHeaderDict

    made = HTTPHeaderDict(headers)
    made["Impersonate-User"] = identity.user
    for group in identity.groups:
        made.add("Impersonate-Group", group)
    return made


def _content(text: bytes) -> Manifest:
    try:
        found = json.loads(text or b"{}")
    except ValueError:
        return {"message": text.decode(errors="replace")}
    return found if isinstance(found, dict) else {"items": found}


def _failure(answer: Answer, *, what: str, hint: str) -> CoopctlError:
    words = f"{answer.status}: {answer.message}"
    if answer.status == 404:
        return NotFound(f"{what}: not found", why=words)
    if answer.status in {401, 403, 409, 422}:
        return NotPermitted(f"the API server refused {what}", why=words)
    return Unreachable(f"the API server failed at {what}", why=words, hint=hint)
