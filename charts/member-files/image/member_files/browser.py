"""The web pages: plain forms, without a script. What is kept of a visitor is one cookie."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jinja2

from member_files.accounts import Accounts, Visitor
from member_files.documents import Documents
from member_files.refusals import Reason, Refused
from member_files.settings import MEBIBYTE
from member_files.uploads import FORM_BYTES, boundary_of, read_form, received
from member_files.web import Request, Response, attachment, redirect, text_of, typed

FOLDER = Path(__file__).with_name("pages")
COOKIE = "member-files"
# A browser takes a cookie of such a name from the host itself over TLS alone (RFC 6265bis, "Cookie Name Prefixes").
SECURE_COOKIE = f"__Host-{COOKIE}"
_NUMBER = r"([0-9]{1,18})"
_STYLE = (FOLDER / "style.css").read_bytes()

Handler = Callable[["Browser", Request, str], Response]


def environment() -> jinja2.Environment:
    """What makes pages of templates: every text is escaped, and a name that is not there is a mistake."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )


@dataclass(frozen=True, kw_only=True)
class Browser:
    """Answers people."""

    accounts: Accounts
    documents: Documents
    templates: jinja2.Environment = field(default_factory=environment)

    def answer(self, request: Request) -> Response:
        """The answer to ``request``; what is refused is told on the page that belongs to the visitor."""
        try:
            return self._handled(request)
        except Refused as refused:
            return self._told(request, refused.reason)

    def _handled(self, request: Request) -> Response:
        found = [
            (method, handler, match[1] if match.groups() else "")
            for method, pattern, handler in _ROUTES
            if (match := re.fullmatch(pattern, request.path))
        ]
        if not found:
            raise Refused(Reason.NOT_FOUND)
        for method, handler, named in found:
            if method == request.method:
                if method == "POST" and not request.is_of_own_page:
                    raise Refused(Reason.ORIGIN)
                return handler(self, request, named)
        raise Refused(Reason.METHOD)

    def style(self, _: Request, __: str) -> Response:
        """How pages look."""
        return typed(_STYLE, "text/css; charset=utf-8")

    def start(self, request: Request, _: str) -> Response:
        """The page that belongs to the visitor."""
        return self._page_of(self._visitor(request))

    def log_in(self, request: Request, _: str) -> Response:
        """Begin a session and go to its page."""
        said = request.form()
        visitor = self.accounts.log_in(text_of(said, "user").strip(), text_of(said, "password"))
        return redirect("/").with_header("Set-Cookie", _cookie(request, visitor.token))

    def log_out(self, request: Request, _: str) -> Response:
        """End the session."""
        self.accounts.log_out(self._required(request))
        return redirect("/").with_header("Set-Cookie", f"{_cookie(request, '')}; Max-Age=0")

    def change_password(self, request: Request, _: str) -> Response:
        """Give the visitor the password that was written twice."""
        said, visitor = request.form(), self._required(request)
        if text_of(said, "password") != text_of(said, "again"):
            raise Refused(Reason.PASSWORD)
        self.accounts.change_password(visitor, said["password"])
        return redirect("/")

    def password_page(self, request: Request, _: str) -> Response:
        """Where the visitor changes the password."""
        return self._page("password.html", visitor=self._required(request))

    def add_document(self, request: Request, _: str) -> Response:
        """Keep the file of a form."""
        realm = self._settled(request, office=False).realm
        boundary = boundary_of(str(request.environ.get("CONTENT_TYPE", "")))
        most = self.documents.settings.document_bytes + FORM_BYTES
        with received(request.body, length=request.length, most=most) as body:
            form = read_form(body, boundary=boundary)
            note = form.fields.get("note", "").strip()
            self.documents.add(realm, form.content, name=form.file_name, note=note)
        return redirect("/")

    def get_document(self, request: Request, number: str) -> Response:
        """The bytes of a document."""
        realm = self._settled(request, office=False).realm
        document = self.documents.find(realm, int(number))
        return attachment(document.name, self.documents.content(realm, document), size=document.bytes)

    def remove_document(self, request: Request, number: str) -> Response:
        """Remove a document."""
        self.documents.remove(self._settled(request, office=False).realm, int(number))
        return redirect("/")

    def give_password(self, request: Request, member: str) -> Response:
        """Show the office a password that holds once."""
        visitor = self._settled(request, office=True)
        given = {"member": member, "password": self.accounts.give_password(member)}
        return self._page("members.html", visitor=visitor, members=self.accounts.database.members(), given=given)

    def _page_of(self, visitor: Visitor | None, *, told: str = "") -> Response:
        if visitor is None:
            return self._page("login.html", visitor=None, told=told, office=self.accounts.settings.office)
        if visitor.once:
            return self._page("password.html", visitor=visitor, told=told)
        if visitor.is_office:
            return self._page("members.html", visitor=visitor, told=told, members=self.accounts.database.members())
        documents, most = self.documents.listed(visitor.realm), self.documents.settings
        return self._page(
            "documents.html",
            visitor=visitor,
            told=told,
            documents=documents,
            used=sum(one.bytes for one in documents) / MEBIBYTE,
            most=most.member_bytes // MEBIBYTE,
            largest=most.document_bytes // MEBIBYTE,
        )

    def _page(self, template: str, *, status: HTTPStatus = HTTPStatus.OK, **values: Any) -> Response:
        text = self.templates.get_template(template).render({"told": "", "given": None, **values})
        return typed(text.encode(), "text/html; charset=utf-8", status=status)

    def _told(self, request: Request, reason: Reason) -> Response:
        """The visitor's page with what was refused; a page of its own where even that cannot be shown."""
        try:
            shown = self._page_of(self._visitor(request), told=reason.korean)
        except Refused as again:
            return self._page("refused.html", status=again.reason.status, visitor=None, told=again.reason.korean)
        return Response(body=shown.body, status=reason.status, headers=shown.headers)

    def _visitor(self, request: Request) -> Visitor | None:
        token = request.cookie(SECURE_COOKIE if request.is_secure else COOKIE)
        try:
            return self.accounts.visitor(token) if token else None
        except Refused as refused:
            if refused.reason is Reason.SESSION:
                return None
            raise

    def _required(self, request: Request) -> Visitor:
        visitor = self._visitor(request)
        if visitor is None:
            raise Refused(Reason.SESSION)
        return visitor

    def _settled(self, request: Request, *, office: bool) -> Visitor:
        """A visitor with a password of its own; what is not for it is not there for it."""
        visitor = self._required(request)
        if visitor.once:
            raise Refused(Reason.ONE_TIME)
        if visitor.is_office is not office:
            raise Refused(Reason.NOT_FOUND)
        return visitor


_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/", Browser.start),
    ("GET", "/style.css", Browser.style),
    ("POST", "/login", Browser.log_in),
    ("POST", "/logout", Browser.log_out),
    ("GET", "/password", Browser.password_page),
    ("POST", "/password", Browser.change_password),
    ("POST", "/documents", Browser.add_document),
    ("GET", f"/documents/{_NUMBER}", Browser.get_document),
    ("POST", f"/documents/{_NUMBER}/remove", Browser.remove_document),
    ("POST", "/members/([a-z0-9-]{1,40})/password", Browser.give_password),
)


def _cookie(request: Request, value: str) -> str:
    name, secure = (SECURE_COOKIE, "; Secure") if request.is_secure else (COOKIE, "")
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}"
