"""Requests and answers of `member-files`, and what is kept of passwords."""

import contextlib
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from member_files import passwords
from member_files.browser import FOLDER, environment
from member_files.migrate import first_password
from member_files.refusals import Reason, Refused
from member_files.settings import read_settings
from member_files.web import Request, attachment, json_response, redirect

from provisioner.datastore.credentials import Secret
from provisioner.operations.first_logins import derived_password
from tests.unit.plan.builders import CHARTS


def request(body: bytes = b"", **environ: Any) -> Request:
    """A request with ``body``."""
    said = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    return Request(environ={**said, **environ})


@given(st.binary(max_size=200))
def test_no_body_is_more_than_refused(body: bytes) -> None:
    for read in (request(body).form, request(body).document):
        with contextlib.suppress(Refused):
            assert all(isinstance(value, str) for value in read().values())


@pytest.mark.parametrize("length", ["", "-1", "1.5", "x", "9" * 16, "+1", "１"])
def test_a_length_is_a_whole_number(length: str) -> None:
    with pytest.raises(Refused) as refused:
        _ = request(CONTENT_LENGTH=length).length
    assert refused.value.reason is Reason.LENGTH


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://files.tea.example.kr", "files.tea.example.kr", True),
        ("https://files.tea.example.kr:8443", "files.tea.example.kr:8443", True),
        ("http://files.tea.example.kr:8443", "files.tea.example.kr", False),
        ("http://tea.example.kr", "files.tea.example.kr", False),
        ("http://files.tea.example.kr.evil.example", "files.tea.example.kr", False),
        ("null", "files.tea.example.kr", False),
        ("", "files.tea.example.kr", False),
        ("", "", False),
    ],
)
def test_a_form_is_of_the_own_page_if_its_origin_is_the_host(origin: str, host: str, own: bool) -> None:
    assert request(HTTP_ORIGIN=origin, HTTP_HOST=host).is_of_own_page is own


def test_a_cookie_is_found_among_others() -> None:
    found = request(HTTP_COOKIE="a=1; member-files=m-1.x=y; xmember-files=2")
    assert [found.cookie(name) for name in ("a", "member-files", "files", "")] == ["1", "m-1.x=y", "", ""]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_no_name_ends_a_header(name: str) -> None:
    for _, value in attachment(name, [], size=0).headers:
        assert value.isascii()
        assert "\r" not in value
        assert "\n" not in value
        assert '"' not in value


def test_every_answer_says_that_nothing_is_loaded_from_elsewhere_or_kept() -> None:
    for response in (json_response({}), redirect("/"), attachment("a", [], size=0)):
        sent: dict[str, str] = {}
        response.sent(lambda _, headers, sent=sent: sent.update(headers))  # type: ignore[misc]  # a default binds it
        assert sent["Content-Security-Policy"].startswith("default-src 'none'")
        assert (sent["Cache-Control"], sent["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_a_password_is_known_again_and_never_kept_twice_alike() -> None:
    kept = [passwords.hashed("비밀번호 열두 글자 이상") for _ in range(2)]
    assert kept[0] != kept[1]
    assert all(passwords.matches(one, "비밀번호 열두 글자 이상") for one in kept)
    assert not passwords.matches(kept[0], "비밀번호 열두 글자 이상 ")
    assert len({passwords.one_time() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("password", "good"), [("x" * 11, False), ("x" * 12, True), ("x" * 200, True), ("x" * 201, False)]
)
def test_how_long_a_password_is(password: str, good: bool) -> None:
    assert passwords.is_good(password) is good


def test_the_first_password_is_the_one_that_coopctl_tells() -> None:
    told = derived_password(Secret("of the migration role"), user="office").reveal()
    assert first_password(key="of the migration role", user="office") == told


def test_every_refusal_has_a_code_of_its_own_and_both_languages() -> None:
    assert len({one.code for one in Reason}) == len(Reason)
    for one in Reason:
        assert one.status >= 400
        assert one.english.isascii()
        assert any("가" <= letter <= "힣" for letter in one.korean)


def test_every_page_is_known_to_the_image_and_renders() -> None:
    image = (CHARTS / "member-files" / "image.yaml").read_text(encoding="utf-8")
    folder = FOLDER.parent
    files = {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file() and one.suffix != ".pyc"}
    assert {name for name in files if f"member_files/{name}}}" not in image} == set()
    for page in sorted(FOLDER.glob("*.html")):
        environment().get_template(page.name)


def test_settings_come_from_the_environment() -> None:
    variables = {
        "MEMBER_FILES_DOCUMENT_MEBIBYTES": "2",
        "MEMBER_FILES_MEMBER_MEBIBYTES": "3",
        "MEMBER_FILES_SESSION_SECONDS": "60",
        "MEMBER_FILES_OFFICE": "office",
    }
    found = read_settings(variables)
    assert (found.document_bytes, found.member_bytes, found.session_seconds) == (2 * 1024**2, 3 * 1024**2, 60)
    with pytest.raises(KeyError):
        read_settings({})
