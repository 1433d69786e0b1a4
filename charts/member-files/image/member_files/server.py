"""What gunicorn serves: the pages, the API, and two pages for probes that ask no login."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from member_files import api
from member_files.accounts import Accounts
from member_files.browser import Browser
from member_files.database import OFFICE, Database
from member_files.documents import Documents
from member_files.refusals import Refused
from member_files.settings import read_settings
from member_files.web import Environ, Request, Response, StartResponse, typed

_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Server:
    """The whole application (PEP 3333)."""

    database: Database
    api: api.Api
    browser: Browser

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self._answer(Request(environ=environ)).sent(start_response)

    def _answer(self, request: Request) -> Response:
        if request.path == "/alive":
            return typed(b"alive\n", _TEXT)
        if request.path == "/healthz":
            return self._health()
        if request.path.startswith(f"{api.PREFIX}/"):
            return self.api.answer(request)
        return self.browser.answer(request)

    def _health(self) -> Response:
        try:
            with self.database.within(OFFICE) as connection:
                connection.execute("SELECT FROM member_files_account")
        except Refused as refused:
            return typed(f"{refused.reason.english}\n".encode(), _TEXT, status=HTTPStatus.SERVICE_UNAVAILABLE)
        return typed(b"ok\n", _TEXT)


def make_server() -> Server:
    """The application as the pod's environment wants it."""
    settings, database = read_settings(os.environ), Database()
    accounts = Accounts(database=database, settings=settings)
    documents = Documents(database=database, settings=settings)
    return Server(
        database=database,
        api=api.Api(accounts=accounts, documents=documents),
        browser=Browser(accounts=accounts, documents=documents),
    )
