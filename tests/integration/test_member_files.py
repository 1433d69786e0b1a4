"""`member-files` on a real PostgreSQL, by its image's own programs: what a member sees, and what keeps others out."""

import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import psycopg
import pytest
from member_files.database import OFFICE as OFFICE_REALM
from member_files.database import Connection, Database, Realm
from member_files.refusals import Refused
from psycopg import errors, sql

from provisioner.datastore.credentials import Secret
from provisioner.naming import member_names
from provisioner.operations.first_logins import derived_password
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import Tenant, make_data_store, new_tenant, postgres_of, session
from tests.member_files import (
    GOOD_PASSWORD,
    OFFICE,
    BrowserSession,
    FilesClient,
    FilesPrograms,
    document_path,
    unpacked_image,
)

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=90)]
CA_FILE = "etc/server-ca.pem"
# What libpq calls in a connection string what it reads from these variables.
KEYWORDS = {
    "PGHOST": "host",
    "PGPORT": "port",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGDATABASE": "dbname",
    "PGSSLMODE": "sslmode",
    "PGSSLROOTCERT": "sslrootcert",
}
RELEASE = "member-files-migration-1-0-0-test"
KIBIBYTE, MEBIBYTE = 1024, 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class World:
    """A cooperative with two members, its server, and its office's session."""

    servers: Servers
    tenant: Tenant
    programs: FilesPrograms
    client: FilesClient
    office: FilesClient
    application: str

    def member(self, member: str) -> FilesClient:
        """A member's session, with a password of its own."""
        return self.client.settled(member, self.office.give_password(member))

    def realm(self, member: str) -> Realm:
        """Where a member's transactions run."""
        names = member_names(member, database=self.tenant.names.database)
        return Realm(schema=names.schema, role=names.role, member=member)

    @contextmanager
    def within(self, member: str) -> Iterator[Connection]:
        """A member's transaction, as the program opens it."""
        with closing(Database(self.application)) as database, database.within(self.realm(member)) as connection:
            yield connection

    def apply(self, *ids: str, writes_stopped: bool = False) -> None:
        """What an apply does with the list of members."""
        wanted = self.tenant.members(*ids, writes_stopped=writes_stopped)
        postgres_of(self.servers).ensure_members(wanted, mark=self.tenant.mark)


@pytest.fixture(scope="module")
def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The cooperative after its first apply."""
    tenant, admin = new_tenant("files"), postgres_of(servers)
    passwords = make_data_store(admin, tenant)
    admin.ensure_members(tenant.members("m-1", "m-2"), mark=tenant.mark)
    image = unpacked_image(tmp_path_factory.mktemp("image"))
    shutil.copy(servers.postgres_ca, image / CA_FILE)
    application, migration = (
        _variables(servers, tenant, kind, passwords[kind]) for kind in (RoleKind.APPLICATION, RoleKind.MIGRATION)
    )
    programs = FilesPrograms(
        image=image,
        application=application,
        migration=migration | {"PGOPTIONS": f"-c role={tenant.names.owner_role}"},
    )
    assert "members with a place: 2" in programs.migrate(RELEASE)
    assert programs.wait(RELEASE) == ""
    here = {**application, "PGSSLROOTCERT": str(servers.postgres_ca)}
    conninfo = " ".join(f"{keyword}={here[variable]}" for variable, keyword in KEYWORDS.items())
    with programs.serving(tmp_path_factory.mktemp("server")) as client:
        first = derived_password(passwords[RoleKind.MIGRATION], user=OFFICE).reveal()
        office = client.settled(OFFICE, first)
        yield World(
            servers=servers,
            tenant=tenant,
            programs=programs,
            client=client,
            office=office,
            application=conninfo,
        )
    admin.retire_members(tenant.members("m-1", "m-2"), mark=tenant.mark)
    admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=True)


def _variables(servers: Servers, tenant: Tenant, kind: RoleKind, password: Secret) -> dict[str, str]:
    return {
        "PGHOST": servers.host,
        "PGPORT": str(servers.postgres_port),
        "PGUSER": tenant.role(kind).name,
        "PGPASSWORD": password.reveal(),
        "PGDATABASE": tenant.names.database,
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": f"/{CA_FILE}",
    }


@pytest.fixture
def two(world: World) -> tuple[FilesClient, FilesClient]:
    """Sessions of both members, who have no document yet."""
    with session(world.servers, database=world.tenant.names.database) as connection:
        for member in ("m-1", "m-2"):
            documents = sql.Identifier(world.realm(member).schema, "member_files_document")
            connection.execute(sql.SQL("DELETE FROM {}").format(documents))
    return world.member("m-1"), world.member("m-2")


def test_each_member_keeps_documents_and_sees_its_own_alone(two: tuple[FilesClient, FilesClient]) -> None:
    one, other = two
    content = bytes(range(256)) * 3 * KIBIBYTE
    made = one.upload("시험 성적서 “A”.pdf", content, note="2026")
    assert made.status == 201, made
    document = made.document
    assert document["sha256"] == hashlib.sha256(content).hexdigest()
    assert (document["name"], document["note"], document["bytes"]) == ("시험 성적서 “A”.pdf", "2026", len(content))
    got = one.call("GET", document_path(document["id"]))
    assert got.body == content
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert "%EC%8B%9C%ED%97%98" in got.headers["Content-Disposition"]
    assert other.names() == []
    for method in ("GET", "DELETE"):
        assert other.call(method, document_path(document["id"])).status == 404
    assert one.call("DELETE", document_path(document["id"])).status == 200
    assert one.names() == []


def test_the_same_number_is_another_document_for_another_member(two: tuple[FilesClient, FilesClient]) -> None:
    contents = [(client, f"of client {place}".encode()) for place, client in enumerate(two)]
    numbers = [client.upload("a.txt", content).document["id"] for client, content in contents]
    for number, (client, content) in zip(numbers, contents, strict=True):
        assert client.call("GET", document_path(number)).body == content


def test_a_document_without_any_byte_is_kept(two: tuple[FilesClient, FilesClient]) -> None:
    one, _ = two
    made = one.upload("empty", b"")
    assert (made.status, one.call("GET", document_path(made.document["id"])).body) == (201, b"")


HOSTILE_USERS = (
    "m-2'--",
    "m_2",
    "M-2",
    "m-2 ",
    '"member_m_2"',
    "m-1; RESET ROLE",
    "../m-2",
    "public",
    "member_m_2",
    "m-2\x00",
    "\ud800",
    "",
    "a" * 5000,
)


@pytest.mark.parametrize("user", HOSTILE_USERS)
def test_a_hostile_user_name_is_nobody_s(world: World, user: str) -> None:
    assert world.client.call("POST", "/session", user=user, password=GOOD_PASSWORD).status == 401


def test_a_session_of_one_member_is_none_of_another_whatever_it_calls_itself(
    world: World, two: tuple[FilesClient, FilesClient]
) -> None:
    one, other = two
    assert other.upload("theirs.txt", b"theirs").status == 201
    secret = one.token.partition(".")[2]
    for user in ("m-2", "member/m-2", OFFICE, "public", "m-1.m-2", ""):
        answer = replace(world.client, token=f"{user}.{secret}").call("GET", "/documents")
        assert answer.status == 401, user
    hostile = ("1 OR 1=1", "1;SET ROLE x", "0x1", "-1", "9" * 18, "1/../../m-2/1", "%27")
    assert {one.send("GET", f"/api/documents/{text.replace(' ', '%20')}").status for text in hostile} == {404}
    for name in (
        "x'); RESET ROLE; SELECT pg_sleep(9); --",
        "%s %(name)s",
        "\u202etxt.exe",
        "a\nb",
        "a/b",
        "",
        "n" * 201,
    ):
        answer = one.upload(name, b"hostile")
        assert answer.status in {201, 400}
    assert "theirs.txt" not in one.names()
    assert other.names() == ["theirs.txt"]


@pytest.mark.parametrize(
    "attack",
    [
        "SELECT * FROM member_m_2.member_files_document",
        "SELECT * FROM member_m_2.member_files_account",
        "INSERT INTO member_m_2.member_files_session VALUES ('x', now() + interval '1 day')",
        "SELECT * FROM public.member_files_account",
        "SELECT member_files_place('member_m_2')",
        "SELECT query_to_xml('TABLE member_m_2.member_files_part', true, false, '')",
        "CREATE TABLE mine (id int)",
        "DELETE FROM coopctl_migrations",
    ],
)
def test_what_a_mistake_in_the_program_would_let_through_the_database_refuses(
    world: World, two: tuple[FilesClient, FilesClient], attack: str
) -> None:
    """In a member's transaction, as the program itself opens it: whatever statement a request might smuggle in."""
    with pytest.raises((Refused, psycopg.Error)) as refused, world.within("m-1") as connection:
        connection.execute(attack)
    cause = refused.value.__cause__ or refused.value
    assert isinstance(cause, errors.InsufficientPrivilege | errors.UndefinedTable | errors.UndefinedFunction), cause


def test_a_value_cannot_end_the_role_of_its_transaction(world: World, two: tuple[FilesClient, FilesClient]) -> None:
    with world.within("m-1") as connection:
        (word,) = connection.execute("SELECT %s", ["x'; RESET ROLE; --"]).fetchone() or ("",)
        assert word == "x'; RESET ROLE; --"
        assert connection.execute("SELECT current_user").fetchone() == (world.realm("m-1").role,)
    with pytest.raises(errors.SyntaxError), world.within("m-1") as connection:
        connection.execute("SELECT %s; RESET ROLE", ["two statements"])


def test_without_becoming_a_member_the_application_sees_none_of_its_tables(world: World) -> None:
    with psycopg.connect(world.application) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM member_m_1.member_files_document")


def test_a_transaction_leaves_no_role_behind(world: World) -> None:
    with closing(Database(world.application)) as database:
        with database.within(world.realm("m-1")):
            """Become a member once."""
        with database.within(OFFICE_REALM) as connection:
            assert connection.execute("SELECT current_user = session_user").fetchone() == (True,)


def test_a_password_holds_once_and_must_be_changed(world: World) -> None:
    password = world.office.give_password("m-1")
    entered = world.client.log_in("m-1", password)
    for method, path in (("GET", "/documents"), ("POST", "/documents?name=x")):
        refused = entered.send(method, f"/api{path}", Content_Length="0")
        assert (refused.status, refused.document["error"]) == (403, "one-time")
    for bad in ("short", password, "a" * 201):
        assert entered.call("PUT", "/password", password=bad).status == 400
    assert entered.call("PUT", "/password", password=GOOD_PASSWORD).status == 200
    assert entered.call("GET", "/documents").status == 200
    assert world.client.call("POST", "/session", user="m-1", password=password).status == 401


def test_a_new_password_ends_what_was_begun_with_the_old(world: World, two: tuple[FilesClient, FilesClient]) -> None:
    one, _ = two
    second = world.client.log_in("m-1", GOOD_PASSWORD)
    assert second.call("PUT", "/password", password="another good one").status == 200
    assert one.call("GET", "/documents").status == 401
    world.office.give_password("m-1")
    assert second.call("GET", "/documents").status == 401


def test_after_many_wrong_passwords_the_right_one_is_refused_for_a_while(world: World) -> None:
    world.member("m-1")
    for _ in range(10):
        assert world.client.call("POST", "/session", user="m-1", password="wrong").status == 401
    refused = world.client.call("POST", "/session", user="m-1", password=GOOD_PASSWORD)
    assert (refused.status, refused.document["error"]) == (429, "blocked")
    assert world.member("m-1").call("GET", "/documents").status == 200, "the office helps"


def test_who_logs_out_is_out(two: tuple[FilesClient, FilesClient]) -> None:
    one, _ = two
    assert one.call("DELETE", "/session").status == 200
    assert one.call("GET", "/documents").status == 401


def test_a_session_ends_by_itself(world: World, two: tuple[FilesClient, FilesClient]) -> None:
    one, _ = two
    database = world.tenant.names.database
    with session(world.servers, database=database) as connection:
        connection.execute("UPDATE member_m_1.member_files_session SET expires_at = now() - interval '1 second'")
    assert one.call("GET", "/documents").status == 401


def test_the_office_sees_members_and_no_document(world: World, two: tuple[FilesClient, FilesClient]) -> None:
    assert {"m-1", "m-2"} <= set(world.office.call("GET", "/members").document["members"])
    assert world.office.call("GET", "/documents").status == 404
    assert two[0].call("GET", "/members").status == 404
    assert two[0].call("POST", "/members/m-2/password").status == 404
    assert world.office.call("POST", "/members/m-9/password").status == 404


def test_a_document_and_all_of_a_member_s_have_their_limits(two: tuple[FilesClient, FilesClient]) -> None:
    one, other = two
    too_large = one.upload("large", b"x" * (2 * MEBIBYTE + 1))
    assert (too_large.status, too_large.document["error"]) == (413, "too-large")
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda place: one.upload(f"{place}", b"x" * MEBIBYTE).status, range(5)))
    assert sorted(answers) == [201, 201, 201, 507, 507]
    assert other.upload("small", b"room for others").status == 201


def test_a_member_that_comes_later_has_its_place_without_another_migration(world: World) -> None:
    world.apply("m-1", "m-2", "m-3")
    third = world.member("m-3")
    assert third.upload("first.txt", b"first").status == 201
    assert third.names() == ["first.txt"]
    assert "members with a place: 3" in world.programs.migrate(RELEASE), "and a later migration finds it"
    assert third.names() == ["first.txt"]


def test_a_member_that_left_is_let_in_no_more_and_finds_its_documents_when_it_returns(world: World) -> None:
    world.apply("m-1", "m-2", "m-4")
    fourth = world.member("m-4")
    assert fourth.upload("mine.txt", b"mine").status == 201
    world.apply("m-1", "m-2")
    assert fourth.call("GET", "/documents").status == 401
    assert world.client.call("POST", "/session", user="m-4", password=GOOD_PASSWORD).status == 401
    assert "m-4" not in world.office.call("GET", "/members").document["members"]
    world.programs.migrate(RELEASE)
    world.apply("m-1", "m-2", "m-4")
    assert world.client.log_in("m-4", GOOD_PASSWORD).names() == ["mine.txt"]


def test_while_writes_are_stopped_documents_are_read_and_nothing_is_kept(
    world: World, two: tuple[FilesClient, FilesClient]
) -> None:
    one, _ = two
    made = one.upload("before.txt", b"before")
    admin, ids = postgres_of(world.servers), ("m-1", "m-2")
    for stopped in (True, False):
        admin.ensure_grants(world.tenant.grants(writes_stopped=stopped))
        world.apply(*ids, writes_stopped=stopped)
        answer = one.upload("after.txt", b"after")
        assert (answer.status, one.call("GET", document_path(made.document["id"])).body) == (
            503 if stopped else 201,
            b"before",
        )
        assert world.client.send("GET", "/healthz").status == 200, "an upgrade waits for its pods meanwhile"


def test_a_server_whose_sessions_were_ended_goes_on(world: World, two: tuple[FilesClient, FilesClient]) -> None:
    with session(world.servers) as connection:
        connection.execute(
            sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(
                sql.Literal(world.tenant.names.database)
            )
        )
    assert two[0].call("GET", "/documents").status == 200
    assert world.client.send("GET", "/alive").status == 200


def test_people_do_all_of_it_in_a_browser(world: World) -> None:
    browser = BrowserSession(client=world.client)
    assert "회원사 번호" in browser.get("/").body.decode()
    assert browser.post("/login", user="m-2", password="wrong").status == 401
    entered = browser.entered("m-2", world.office.give_password("m-2"))
    assert "일회용" in entered.get("/").body.decode()
    assert entered.post("/password", password=GOOD_PASSWORD, again="another").status == 400
    assert entered.post("/password", password=GOOD_PASSWORD, again=GOOD_PASSWORD).status == 303
    name = "<script>alert(1)<script>&amp; 계약서.html"
    assert entered.upload(name, b"<b>bytes</b>\r\n--", note='"><i>').status == 303
    page = entered.get("/").body.decode()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<i>" not in page
    number = page.partition('href="/documents/')[2].partition('"')[0]
    got = entered.get(f"/documents/{number}")
    assert (got.body, got.headers["Content-Type"]) == (b"<b>bytes</b>\r\n--", "application/octet-stream")
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert entered.post(f"/documents/{number}/remove").status == 303
    assert entered.get(f"/documents/{number}").status == 404
    assert entered.post("/logout").status == 303
    assert "회원사 번호" in entered.get("/").body.decode()


def test_the_office_hands_out_passwords_in_a_browser(world: World) -> None:
    office = BrowserSession(client=world.client).entered(OFFICE, GOOD_PASSWORD)
    page = office.post("/members/m-1/password").body.decode()
    password = page.partition("<code>")[2].partition("</code>")[0]
    assert world.client.log_in("m-1", password).call("PUT", "/password", password=GOOD_PASSWORD).status == 200
    assert password not in office.get("/").body.decode()


def test_a_form_of_another_host_is_refused(world: World) -> None:
    entered = BrowserSession(client=world.client).entered(OFFICE, GOOD_PASSWORD)
    for origin in ("http://neighbour.example.kr", "null", ""):
        answer = world.client.send("POST", "/members/m-1/password", Cookie=entered.cookie, Origin=origin)
        assert answer.status == 403, origin
        assert b"<code>" not in answer.body


def test_over_tls_the_cookie_is_the_host_s_own(world: World) -> None:
    secure = replace(world.client, headers={"X-Forwarded-Proto": "https"})
    host = world.client.url.removeprefix("http://")
    answer = secure.send(
        "POST",
        "/login",
        f"user={OFFICE}&password={GOOD_PASSWORD.replace(' ', '+')}".encode(),
        Origin=f"https://{host}",
        Content_Type="application/x-www-form-urlencoded",
    )
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-member-files=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict; Secure")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/nothing", b"", 404),
        ("PATCH", "/api/documents", b"", 405),
        ("POST", "/api/session", b"{", 400),
        ("POST", "/api/session", b"[]", 400),
        ("POST", "/api/session", b'{"user": 1, "password": "x"}', 400),
        ("POST", "/api/session", b'{"user": "m-1"}', 400),
        ("POST", "/api/session", b"[" * 10_000, 400),
        ("POST", "/api/session", b"\xff", 400),
        ("POST", "/api/session", b"x" * 20_000, 400),
        ("GET", "/nothing", b"", 404),
        ("DELETE", "/", b"", 405),
    ],
)
def test_what_cannot_be_meant_is_refused_and_the_server_goes_on(
    world: World, method: str, path: str, body: bytes, status: int
) -> None:
    answer = world.client.send(method, path, body)
    assert answer.status == status, answer
    assert b"Traceback" not in answer.body
    assert world.client.send("GET", "/healthz").status == 200


def test_no_password_and_no_secret_of_a_session_is_in_the_database(
    world: World, two: tuple[FilesClient, FilesClient]
) -> None:
    with session(world.servers, database=world.tenant.names.database) as connection:
        found = connection.execute(
            "SELECT password || (SELECT string_agg(digest::text, ' ') FROM member_m_1.member_files_session)"
            " FROM member_m_1.member_files_account"
        ).fetchone()
    assert found is not None
    assert GOOD_PASSWORD not in found[0]
    assert two[0].token.partition(".")[2].encode().hex() not in found[0]
