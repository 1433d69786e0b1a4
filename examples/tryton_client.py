"""A client of the Tryton server's JSON-RPC API, as the web client is one: what people do there, a program can do."""

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

ANSWER_SECONDS = 60


class TrytonRefused(Exception):
    """The server answered a call with an error."""


@dataclass(frozen=True, kw_only=True)
class TrytonClient:
    """The server at ``url``; ``host`` is the name under which an ingress knows it."""

    url: str
    database: str
    host: str = ""

    def page(self) -> str:
        """The web client's first page."""
        return self._answer("")

    def call(self, method: str, *parameters: Any, session: str | None = None) -> Any:
        """Call a method and give its result; raises TrytonRefused with the server's error, OSError without answer."""
        headers = {"Content-Type": "application/json"}
        if session:
            headers["Authorization"] = f"Session {base64.b64encode(session.encode()).decode()}"
        body = json.dumps({"id": 1, "method": method, "params": parameters}).encode()
        answer = json.loads(self._answer(f"{self.database}/", body=body, headers=headers))
        if "error" in answer:
            raise TrytonRefused(f"{method}: {answer['error']}")
        return answer["result"]

    def login(self, user: str, password: str) -> str | None:
        """A session's name, or None if the password is not right."""
        try:
            number, key = self.call("common.db.login", user, {"password": password}, "en")
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.UNAUTHORIZED:
                raise
            return None
        return f"{user}:{number}:{key}"

    def _answer(self, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None) -> str:
        named = {"Host": self.host} if self.host else {}
        request = urllib.request.Request(self.url + path, body, {**named, **(headers or {})})  # noqa: S310 - http
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=ANSWER_SECONDS) as answer:
            text: str = answer.read().decode()
            return text
