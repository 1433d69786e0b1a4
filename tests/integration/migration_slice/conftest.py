"""Two cooperatives of which one member's slice moves: its members share tables, or each has a schema of its own.

The solution is a chart of the estate's own with a data map. Its tables call a member by a number, as Tryton does, but
for one that no map speaks of: its member column says the member's id.
"""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from member_files import tables

from cli.main import run
from tests.conftest import Servers
from tests.integration.conftest import Between
from tests.integration.migration_commands.conftest import World, environment_of, world_between
from tests.postgres_servers import PostgresServer, as_user
from tests.unit.catalogue.test_catalogue_loading import chart

NAME, MEMBER, OTHER = "m-7-out", "m-7", "m-8"
COOPERATIVE = """\
apiVersion: coopctl.dev/v1
kind: Cooperative
metadata: {{name: {cooperative}, displayName: 쌀조합}}
spec:
  sector: food
  template: manufacturing
  size: small
  support: {{start: 2014-06-01, end: 2017-05-31, afterwards: leave}}
  members: [{{id: m-7, name: 회원사 007, employees: 8}}, {{id: m-8, name: 회원사 008, employees: 9}}]
  network: {{domain: {cooperative}.example.kr}}
  dataStore: {{postgres: {{memberLayout: LAYOUT}}}}
  solutions: [{{name: orders}}]
"""
MIGRATION = """\
apiVersion: coopctl.dev/v1
kind: DataStoreMigration
metadata: {{name: m-7-out}}
spec:
  cooperative: {cooperative}
  scope: {{member: m-7, key: "7"}}
  target:
    postgres: {{dsn: {{env: TARGET_DSN}}}}
    objects: {{endpoint: "{objects}", bucket: {bucket}, credentials: {{env: TARGET_KEY}}}}
"""
MAP = {
    "tables": {
        "members": {
            "firms": ["id"],
            "users": ["firm"],
            "bookings": ["firm"],
            "booking_lines": ["booking", "firm"],
            "events": ["firm"],
        },
        "shared": ["cities", "parties"],
    },
    "objects": {"members": ["scans/{member}/"], "shared": ["logos/"]},
}
SHARED_TABLES = """
CREATE ROLE {db}_owner; GRANT CREATE, USAGE ON SCHEMA public TO {db}_owner; SET SESSION AUTHORIZATION {db}_owner;
CREATE TYPE sizes AS ENUM ('small', 'large');
CREATE TABLE firms (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, firm int REFERENCES firms, name text);
CREATE TABLE cities (id int PRIMARY KEY, name text);
CREATE TABLE parties (id serial PRIMARY KEY, name text, city int REFERENCES cities, parent int REFERENCES parties,
                      made_by int REFERENCES users);
CREATE TABLE bookings (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, firm int NOT NULL REFERENCES firms,
                       party int NOT NULL REFERENCES parties, made_by int REFERENCES users, size sizes, doc json);
CREATE TABLE booking_lines (booking int REFERENCES bookings, line int, amount numeric, PRIMARY KEY (booking, line));
CREATE TABLE events (firm int, at date, what text) PARTITION BY RANGE (at);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
CREATE TABLE "we""ird; -- table" (member_id text, "co""l {{}} %s" text);
CREATE INDEX ON bookings (party);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER noted AFTER INSERT OR DELETE ON bookings FOR EACH ROW EXECUTE FUNCTION noted();
CREATE VIEW all_bookings AS SELECT * FROM bookings;
ALTER TABLE bookings ENABLE ROW LEVEL SECURITY; CREATE POLICY own_rows ON bookings USING (true);
COMMENT ON POLICY own_rows ON bookings IS 'of the platform'; COMMENT ON VIEW all_bookings IS 'all';
COMMENT ON COLUMN all_bookings.id IS 'of a view'; COMMENT ON TRIGGER noted ON bookings IS 'noted';
COMMENT ON CONSTRAINT bookings_party_fkey ON bookings IS 'a party';
COMMENT ON TABLE bookings IS '예약'; COMMENT ON COLUMN bookings.doc IS 'what was said';
CREATE MATERIALIZED VIEW counted AS SELECT firm, count(*) FROM bookings GROUP BY firm;
INSERT INTO firms SELECT n, '회원사 ' || n FROM generate_series(6, 9) n;
INSERT INTO users (firm, name) SELECT 6 + n % 4, 'user ' || n FROM generate_series(0, 7) n;
INSERT INTO cities SELECT n, 'city ' || n FROM generate_series(1, 9) n;
INSERT INTO parties (name, city, parent, made_by)
    SELECT 'party ' || n, n % 9 + 1, nullif(n / 2, 0), n % 8 + 1 FROM generate_series(1, 40) n;
INSERT INTO bookings (firm, party, made_by, size, doc)
    SELECT 6 + n % 4, 6 + n % 20, n % 8 + 1, 'large', '{{"n": 1}}' FROM generate_series(1, 400) n;
INSERT INTO booking_lines SELECT b.id, l, b.id * 1.5 FROM bookings b, generate_series(1, 3) l;
INSERT INTO events SELECT 6 + n % 4, '2025-12-01'::date + n, 'event ' || n FROM generate_series(1, 80) n;
INSERT INTO "we""ird; -- table" SELECT 'm-' || 6 + n % 4, 'row ' || n FROM generate_series(1, 20) n;
REFRESH MATERIALIZED VIEW counted;
"""
OWN_SCHEMAS = """
CREATE ROLE {db}_owner; GRANT CREATE, USAGE ON SCHEMA public TO {db}_owner;
GRANT CREATE ON DATABASE {db} TO {db}_owner; SET SESSION AUTHORIZATION {db}_owner;
CREATE TABLE cities (id int PRIMARY KEY, name text);
INSERT INTO cities SELECT n, 'city ' || n FROM generate_series(1, 9) n;
CREATE SCHEMA member_m_7; CREATE SCHEMA member_m_8;
CREATE TABLE member_m_7.lots (id bigserial PRIMARY KEY, city int REFERENCES cities, code text UNIQUE);
CREATE TABLE member_m_8.lots (id bigserial PRIMARY KEY, city int REFERENCES cities, code text UNIQUE);
CREATE TABLE member_m_7."lot notes" (lot bigint REFERENCES member_m_7.lots, "no""te" text);
INSERT INTO member_m_7.lots (city, code) SELECT n % 3 + 1, 'own ' || n FROM generate_series(1, 100) n;
INSERT INTO member_m_8.lots (city, code) SELECT n % 9 + 1, 'other ' || n FROM generate_series(1, 50) n;
INSERT INTO member_m_7."lot notes" SELECT n, 'note' FROM generate_series(1, 10) n;
"""
# What the shipped solution's own migration makes, for two members, each with a document of two parts.
DOCUMENT = """
INSERT INTO SCHEMA.member_files_account (password, one_time) VALUES ('of SCHEMA', false);
INSERT INTO SCHEMA.member_files_document (name, note, bytes, sha256) VALUES ('SCHEMA.pdf', '', 300000, 'digest');
INSERT INTO SCHEMA.member_files_part
    SELECT 1, place, decode(repeat('00ff', 75000), 'hex') FROM generate_series(0, 1) AS place;
"""
DOCUMENTS = "".join(
    (
        """
CREATE ROLE {db}_owner; GRANT CREATE, USAGE ON SCHEMA public TO {db}_owner;
CREATE ROLE {db}_member_m_7; CREATE ROLE {db}_member_m_8;
GRANT CREATE ON DATABASE {db} TO {db}_owner; SET SESSION AUTHORIZATION {db}_owner;
CREATE TABLE coopctl_migrations (release text PRIMARY KEY, ended_at timestamptz NOT NULL DEFAULT now());
INSERT INTO coopctl_migrations VALUES ('member-files-migration-1-0-0-test');
CREATE SCHEMA member_m_7; GRANT USAGE ON SCHEMA member_m_7 TO {db}_member_m_7;
CREATE SCHEMA member_m_8; GRANT USAGE ON SCHEMA member_m_8 TO {db}_member_m_8;
""",
        tables.OFFICE,
        tables.FUNCTION,
        """
INSERT INTO member_files_account (password, one_time) VALUES ('of the office', false);
SELECT member_files_place('member_m_7'), member_files_place('member_m_8');
""",
        *(DOCUMENT.replace("SCHEMA", schema) for schema in ("member_m_7", "member_m_8")),
    )
)
OBJECTS = ("scans/m-7/1.png", "scans/m-7/1.png", "scans/m-7/deep/2.png", "scans/m-70/3.png", "logos/all.png")


@dataclass(kw_only=True)
class SliceWorld(World):
    """The world of a slice. Commands run in this process, which is quick; what is killed runs in one of its own."""

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The exit code, and all that it said."""
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            for name, value in self.environment.items():
                patch.setenv(name, value)
            code = run([*arguments, "--estate", str(self.root)])
        return int(code), out.getvalue(), err.getvalue()

    def ok(self, command: str, *options: str) -> str:
        """What a command that must succeed says."""
        code, out, err = self.run("migrate", command, NAME, *options)
        assert code == 0, out + err
        return out

    def found(self, command: str) -> tuple[int, str]:
        """The exit code of a command, and what it answers and says."""
        code, out, err = self.run("migrate", command, NAME)
        return code, out + err

    def killed(self, command: str, *options: str, at: str) -> int:
        """Run a command that kills itself ``at`` a call; gives its exit code."""
        argv = [sys.executable, "-m", "tests.integration.migration_switch.disturbing", at, "migrate", command, NAME]
        argv += [*options, "--estate", str(self.root)]
        variables = {**os.environ, **self.environment}
        return subprocess.run(
            argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, env=variables
        ).returncode

    def tables(self) -> list[str]:
        """What the target has, but for partitions."""
        found = self.on_target(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition"
            " AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1"
        )
        return [name for (name,) in found]


@pytest.fixture
def sharing(between: Between, tmp_path: Path) -> Iterator[SliceWorld]:
    """Members share tables."""
    with _slice_world(between, tmp_path, layout="column", tables=SHARED_TABLES) as world:
        yield world


@pytest.fixture
def sharing_to_managed(
    source_postgres: PostgresServer, newer_postgres: PostgresServer, source_objects: Servers, tmp_path: Path
) -> Iterator[SliceWorld]:
    """Members share tables, and the member's own server is of version 18; its login owns the database, no more."""
    between = Between(source=source_postgres, target=newer_postgres, objects=source_objects)
    with _slice_world(between, tmp_path, layout="column", tables=SHARED_TABLES) as world:
        login = f"{world.target.database}_member"
        newer_postgres.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'member-secret'")
        newer_postgres.execute(f"ALTER DATABASE {world.target.database} OWNER TO {login}")
        known = environment_of(source_postgres, as_user(world.target, login, "member-secret"), key=world.bucket.key)
        path = {"PATH": f"{newer_postgres.programs}{os.pathsep}{os.environ['PATH']}"}
        world.environment |= {"TARGET_DSN": known["TARGET_DSN"], **path}
        yield world


@pytest.fixture
def apart(between: Between, tmp_path: Path) -> Iterator[SliceWorld]:
    """Each member has a schema."""
    with _slice_world(between, tmp_path, layout="schema", tables=OWN_SCHEMAS) as world:
        yield world


@pytest.fixture
def filing(between: Between, tmp_path: Path) -> Iterator[SliceWorld]:
    """Each member keeps documents in the shipped solution."""
    with _slice_world(
        between, tmp_path, layout="schema", tables=DOCUMENTS, solution="member-files", objects=()
    ) as world:
        yield world


@contextmanager
def _slice_world(
    between: Between,
    root: Path,
    *,
    layout: str,
    tables: str,
    solution: str = "orders",
    objects: Sequence[str] = OBJECTS,
) -> Iterator[SliceWorld]:
    passphrase = root / ".coopctl" / "passphrase"
    passphrase.parent.mkdir()
    passphrase.write_text("secret")
    passphrase.chmod(0o600)
    document = {"apiVersion": "coopctl.dev/v1", "kind": "DataMap", "spec": MAP}
    (chart(root / "charts", name="orders") / "data-map.yaml").write_text(yaml.safe_dump(document))
    with world_between(
        SliceWorld,
        between,
        root=root,
        tables=tables,
        objects=[(name, name.encode()) for name in objects],
        documents={
            f"migrations/{NAME}.yaml": MIGRATION,
            "cooperatives/{cooperative}.yaml": COOPERATIVE.replace("LAYOUT", layout).replace("orders", solution),
        },
    ) as world:
        yield world
