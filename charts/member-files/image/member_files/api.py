"""The JSON API below ``/api``: for a member's own programs, which log in as people do and send what they got."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from member_files.accounts import Accounts, Visitor
from member_files.documents import Document, Documents
from member_files.refusals import Reason, Refused
from member_files.uploads import received
from member_files.web import Request, Response, attachment, json_response, text_of

PREFIX = "/api"
_BEARER = "Bearer "
_NUMBER = r"([0-9]{1,18})"

Handler = Callable[["Api", Request, str], Response]


@dataclass(frozen=True, kw_only=True)
class Api:
    """Answers programs."""

    accounts: Accounts
    documents: Documents

    def answer(self, request: Request) -> Response:
        """The answer to ``request``, also where it is refused."""
        try:
            return self._handler(request)
        except Refused as refused:
            reason = refused.reason
            return json_response({"error": reason.code, "message": reason.english}, reason.status)

    def _handler(self, request: Request) -> Response:
        found = [
            (method, handler, match[1] if match.groups() else "")
            for method, pattern, handler in _ROUTES
            if (match := re.fullmatch(f"{PREFIX}{pattern}", request.path))
        ]
        if not found:
            raise Refused(Reason.NOT_FOUND)
        for method, handler, named in found:
            if method == request.method:
                return handler(self, request, named)
        raise Refused(Reason.METHOD)

    def log_in(self, request: Request, _: str) -> Response:
        """Begin a session."""
        said = request.document()
        visitor = self.accounts.log_in(text_of(said, "user"), text_of(said, "password"))
        return json_response({"token": visitor.token, "mustChangePassword": visitor.once}, HTTPStatus.CREATED)

    def log_out(self, request: Request, _: str) -> Response:
        """End the session."""
        self.accounts.log_out(self._visitor(request))
        return json_response({})

    def change_password(self, request: Request, _: str) -> Response:
        """Give the visitor another password."""
        self.accounts.change_password(self._visitor(request), text_of(request.document(), "password"))
        return json_response({})

    def list_documents(self, request: Request, _: str) -> Response:
        """All documents of the member."""
        realm = self._member(request).realm
        return json_response({"documents": [document_of(one) for one in self.documents.listed(realm)]})

    def add_document(self, request: Request, _: str) -> Response:
        """Keep the body as a document."""
        realm, query = self._member(request).realm, request.query
        most = self.documents.settings.document_bytes
        with received(request.body, length=request.length, most=most) as content:
            made = self.documents.add(realm, content, name=text_of(query, "name"), note=query.get("note", ""))
        return json_response(document_of(made), HTTPStatus.CREATED)

    def get_document(self, request: Request, number: str) -> Response:
        """The bytes of a document."""
        realm = self._member(request).realm
        document = self.documents.find(realm, int(number))
        return attachment(document.name, self.documents.content(realm, document), size=document.bytes)

    def remove_document(self, request: Request, number: str) -> Response:
        """Remove a document."""
        self.documents.remove(self._member(request).realm, int(number))
        return json_response({})

    def list_members(self, request: Request, _: str) -> Response:
        """The members that have a place, for the office."""
        self._office(request)
        return json_response({"members": [one.member for one in self.accounts.database.members()]})

    def give_password(self, request: Request, member: str) -> Response:
        """A password that holds once, for the office to hand on."""
        self._office(request)
        return json_response({"password": self.accounts.give_password(member)}, HTTPStatus.CREATED)

    def _visitor(self, request: Request) -> Visitor:
        said = request.header("Authorization")
        return self.accounts.visitor(said.removeprefix(_BEARER) if said.startswith(_BEARER) else "")

    def _settled(self, request: Request) -> Visitor:
        """A visitor with a password of its own."""
        visitor = self._visitor(request)
        if visitor.once:
            raise Refused(Reason.ONE_TIME)
        return visitor

    def _member(self, request: Request) -> Visitor:
        return _only(self._settled(request), office=False)

    def _office(self, request: Request) -> Visitor:
        return _only(self._settled(request), office=True)


_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/session", Api.log_in),
    ("DELETE", "/session", Api.log_out),
    ("PUT", "/password", Api.change_password),
    ("GET", "/documents", Api.list_documents),
    ("POST", "/documents", Api.add_document),
    ("GET", f"/documents/{_NUMBER}", Api.get_document),
    ("DELETE", f"/documents/{_NUMBER}", Api.remove_document),
    ("GET", "/members", Api.list_members),
    ("POST", "/members/([a-z0-9-]{1,40})/password", Api.give_password),
)


def document_of(one: Document) -> Mapping[str, Any]:
    """A document as programs see it."""
    return {
        "id": one.id,
        "name": one.name,
        "note": one.note,
        "bytes": one.bytes,
        "sha256": one.sha256,
        "addedAt": one.added_at.isoformat(),
    }


def _only(visitor: Visitor, *, office: bool) -> Visitor:
    """What is not for the visitor is not there for it."""
    if visitor.is_office is not office:
        raise Refused(Reason.NOT_FOUND)
    return visitor
