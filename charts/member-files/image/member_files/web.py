"""Requests and answers (PEP 3333), as far as pages and API need them."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from member_files.refusals import Reason, Refused
from member_files.uploads import Reader

SMALL_BODY = 16 * 1024
_LENGTH = re.compile(r"[0-9]{1,15}")
# Nothing may be loaded or run from elsewhere, and nobody may show a page inside of another.
SAFE = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'"),
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
)

Environ = Mapping[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer; ``headers`` come to those that all answers have."""

    body: Iterable[bytes] = ()
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()

    def with_header(self, name: str, value: str) -> "Response":
        """The same with one more header."""
        return replace(self, headers=(*self.headers, (name, value)))

    def sent(self, start_response: StartResponse) -> Iterable[bytes]:
        """Begin the answer, and give its body."""
        start_response(f"{self.status.value} {self.status.phrase}", [*SAFE, *self.headers])
        return self.body


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request, read from its WSGI environment."""

    environ: Environ

    @property
    def method(self) -> str:
        """GET, POST and so on."""
        return str(self.environ["REQUEST_METHOD"])

    @property
    def path(self) -> str:
        """The path, without the query."""
        return str(self.environ.get("PATH_INFO", "/"))

    @property
    def is_secure(self) -> bool:
        """Whether the visitor's browser talks TLS; the ingress says it, which alone can reach the pod."""
        return self.environ.get("HTTP_X_FORWARDED_PROTO") == "https"

    @property
    def is_of_own_page(self) -> bool:
        """Whether a form was sent by a page of this host (Fetch standard, "Origin header").

        Cookies go along from all hosts below one domain, so also from a neighbour's.
        """
        return urlsplit(self.header("Origin")).netloc == self.header("Host") != ""

    @property
    def body(self) -> Reader:
        """The body, which is read once."""
        reader: Reader = self.environ["wsgi.input"]
        return reader

    @property
    def length(self) -> int:
        """How long the body is; raises Refused if that is not said."""
        said = str(self.environ.get("CONTENT_LENGTH", ""))
        if not _LENGTH.fullmatch(said):
            raise Refused(Reason.LENGTH)
        return int(said)

    @property
    def query(self) -> Mapping[str, str]:
        """The query's fields, the first of each name. Raises Refused for text that is not UTF-8."""
        return _fields(str(self.environ.get("QUERY_STRING", "")))

    def header(self, name: str) -> str:
        """A header's value, empty if there is none."""
        return str(self.environ.get(f"HTTP_{name.upper().replace('-', '_')}", ""))

    def cookie(self, name: str) -> str:
        """A cookie's value, empty if there is none."""
        for one in self.header("Cookie").split(";"):
            key, _, value = one.strip().partition("=")
            if key == name:
                return value
        return ""

    def form(self) -> Mapping[str, str]:
        """The fields of a small form. Raises Refused for what is none."""
        return _fields(self._small().decode("ascii", "replace"))

    def document(self) -> Mapping[str, str]:
        """The texts of a small JSON object. Raises Refused for what is none."""
        try:
            found = json.loads(self._small())
        except (ValueError, RecursionError) as error:
            raise Refused(Reason.REQUEST) from error
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise Refused(Reason.REQUEST)
        return found

    def _small(self) -> bytes:
        if self.length > SMALL_BODY:
            raise Refused(Reason.REQUEST)
        return self.body.read(self.length)


def text_of(fields: Mapping[str, str], name: str) -> str:
    """A field that must be there, if empty. Raises Refused if it is not."""
    if name not in fields:
        raise Refused(Reason.REQUEST)
    return fields[name]


def json_response(content: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """An answer for programs."""
    body = json.dumps(content, ensure_ascii=False).encode() + b"\n"
    return typed(body, "application/json", status=status)


def typed(body: bytes, content_type: str, *, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """An answer of one piece."""
    return Response(
        body=(body,), status=status, headers=(("Content-Type", content_type), ("Content-Length", str(len(body))))
    )


def attachment(name: str, body: Iterable[bytes], *, size: int) -> Response:
    """A document to keep: whatever it is, no browser shows it as a page of this host (RFC 6266, RFC 8187)."""
    return Response(
        body=body,
        headers=(
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(size)),
            ("Content-Disposition", f"attachment; filename*=UTF-8''{quote(name, safe='')}"),
        ),
    )


def redirect(path: str) -> Response:
    """Another page, which is got and not posted to."""
    return Response(status=HTTPStatus.SEE_OTHER, headers=(("Location", path), ("Content-Length", "0")))


def _fields(text: str) -> Mapping[str, str]:
    try:
        found = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=20)
    except (UnicodeDecodeError, ValueError) as error:
        raise Refused(Reason.REQUEST) from error
    return {name: values[0] for name, values in found.items()}
