"""What gunicorn serves: Tryton, and two pages for probes that ask no login."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from trytond.application import app
from trytond.transaction import Transaction

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
DATABASE = os.environ["PGDATABASE"]


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer one request (PEP 3333)."""
    if environ["PATH_INFO"] == "/alive":
        return _answer(start_response, "200 OK", b"alive\n")
    if environ["PATH_INFO"] == "/healthz":
        return _health(start_response)
    return app(environ, start_response)


def _health(start_response: StartResponse) -> Iterable[bytes]:
    try:
        with Transaction().start(DATABASE, 0, readonly=True) as transaction:
            transaction.connection.cursor().execute("SELECT 1")
    except Exception as error:  # noqa: BLE001 - whatever it is, this pod cannot serve now
        return _answer(start_response, "503 Service Unavailable", f"{type(error).__name__}\n".encode())
    return _answer(start_response, "200 OK", b"ok\n")


def _answer(start_response: StartResponse, status: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
