"""Migrations are documents like all others: strict, every problem at once, and with references instead of secrets."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.descriptor.endpoints import EmbeddedEndpoints
from provisioner.descriptor.json_schema import schema
from provisioner.descriptor.loading import check_estate, load_estate, load_migrations
from provisioner.descriptor.migration import DataStoreMigration, MigrationMode
from provisioner.descriptor.migration_fields import parse_duration
from provisioner.descriptor.platform import SecretReference
from provisioner.errors import InvalidDescriptor, NotFound
from tests.unit.descriptor.worlds import COOPERATIVE, World, world

MIGRATION = """\
apiVersion: coopctl.dev/v1
kind: DataStoreMigration
metadata: {name: rice-out}
spec:
  cooperative: rice
  scope: all
  target:
    postgres: {dsn: {env: RICE_DSN}}
    objects: {endpoint: "https://s3.rice.kr", bucket: rice-data, credentials: {file: secret/key}}
"""
FILE = "migrations/rice-out.yaml"
WINDOW = '  cutover: {window: {from: "2026-12-05T22:00+09:00", to: "2026-12-06T04:00+09:00"}, maxLag: 2MB}\n'


def problems(of: World, *, names: tuple[str, ...] | None = None) -> list[str]:
    """Every problem of the estate with its hint, files relative to it."""
    found = check_estate(of.estate, endpoints=EmbeddedEndpoints(), names=names, migrations=True).problems
    return [f"{one}".replace(f"{of.estate.root}/", "") + (f" ({one.hint})" if one.hint else "") for one in found]


def load(of: World) -> tuple[DataStoreMigration, ...]:
    platform, cooperatives = load_estate(of.estate, endpoints=EmbeddedEndpoints())
    return load_migrations(of.estate, platform=platform, cooperatives=cooperatives)


def test_a_migration_becomes_a_value_with_its_defaults(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.write(FILE, MIGRATION)
    [migration] = load(made)
    assert (migration.name, migration.cooperative, migration.scope) == ("rice-out", "rice", "all")
    assert (migration.mode, migration.window, migration.max_lag_bytes) == (MigrationMode.ONLINE, None, 1 << 20)
    assert (migration.keep_source, migration.keep_dump) == (timedelta(days=30), timedelta(days=365))
    assert migration.target.postgres.dsn == SecretReference(env="RICE_DSN")
    assert migration.target.objects.credentials == SecretReference(file=made.estate.root / "secret/key")
    assert migration.target.cluster is None


def test_all_that_can_be_said_is_said(tmp_path: Path) -> None:
    made = world(tmp_path)
    text = MIGRATION.replace("scope: all", "scope: {member: m-1}\n  mode: offline") + WINDOW
    made.write(FILE, text + "  keepSource: 2w\n  keepDump: 48h\n")
    [migration] = load(made)
    assert migration.window is not None
    assert (migration.member, migration.scope, migration.mode) == ("m-1", "member m-1", MigrationMode.OFFLINE)
    assert migration.window.begins == datetime(2026, 12, 5, 13, tzinfo=UTC)
    assert migration.max_lag_bytes == 2 << 20
    assert (migration.keep_source, migration.keep_dump) == (timedelta(days=14), timedelta(days=2))


def test_tables_may_call_a_member_otherwise_than_its_id(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.write(FILE, MIGRATION.replace("scope: all", 'scope: {member: m-1, key: "12"}'))
    assert [(one.member, one.key) for one in load(made)] == [("m-1", "12")]
    made.write(FILE, MIGRATION.replace("scope: all", "scope: {member: m-1}"))
    assert [(one.member, one.key) for one in load(made)] == [("m-1", "m-1")]
    made.write(FILE, MIGRATION.replace("scope: all", 'scope: {key: "12"}'))
    [problem] = problems(made)
    assert "must be all, or {member: ID}" in problem


def test_the_cluster_s_kubeconfig_is_a_file_of_the_estate(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.write(FILE, f"{MIGRATION}    cluster: {{kubeconfig: {{file: kube/config}}, context: theirs}}\n")
    [migration] = load(made)
    assert migration.target.cluster is not None
    assert migration.target.cluster.kubeconfig == made.estate.root / "kube/config"
    assert migration.target.cluster.context == "theirs"


def test_solutions_do_not_follow_one_member(tmp_path: Path) -> None:
    made = world(tmp_path)
    text = MIGRATION.replace("scope: all", "scope: {member: m-1}")
    made.write(FILE, f"{text}    cluster: {{kubeconfig: {{file: kube/config}}}}\n")
    [problem] = problems(made)
    assert "spec.target.cluster: cannot stand beside a member's slice" in problem


def test_an_estate_without_migrations_has_none(tmp_path: Path) -> None:
    assert load(world(tmp_path)) == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "cooperative: rice",
            "cooperative: rise",
            "5:16: spec.cooperative: 'rise' is not a cooperative of this estate (did you mean 'rice'?)",
        ),
        (
            "scope: all",
            "scope: {member: m-2}",
            "6:19: spec.scope.member: 'm-2' is not a member of rice (`coopctl member list rice` shows all)",
        ),
        ("scope: all", "scope: everything", "6:10: spec.scope: must be all, or {member: ID}"),
        ("scope: all", "scope: {}", "6:10: spec.scope: must be all, or {member: ID}"),
        (
            "scope: all",
            "scope: {membr: m-1}",
            "6:11: spec.scope.membr: is not a known field (did you mean 'member'?)",
        ),
        (
            "  scope: all",
            "  scope: all\n  mode: onlin",
            "7:9: spec.mode: 'onlin' is not known here (did you mean 'online'?)",
        ),
        (
            "{env: RICE_DSN}",
            "postgres://rice:geheim@db.rice.kr/rice",
            (
                "8:21: spec.target.postgres.dsn: must say where the secret is, not the secret itself"
                " (write {env: NAME} or {file: PATH}; a real secret that stood here must be changed)"
            ),
        ),
        (
            "{env: RICE_DSN}",
            "{env: RICE_DSN, file: dsn}",
            "8:21: spec.target.postgres.dsn: must have exactly one of env and file",
        ),
        (
            "{file: secret/key}",
            "{}",
            "9:79: spec.target.objects.credentials: must have exactly one of env and file",
        ),
        (
            "https://s3.rice.kr",
            "https://rice:geheim@s3.rice.kr",
            (
                "9:25: spec.target.objects.endpoint: holds credentials"
                " (leave them out; the field for credentials says where they are)"
            ),
        ),
        ("bucket: rice-data", "bucket: Rice", "9:55: spec.target.objects.bucket: 'Rice' is not a bucket's name"),
        (
            'endpoint: "https://s3.rice.kr", bucket: rice-data',
            'endpoint: "http://127.0.0.1:18333", bucket: test-rice',
            "9:59: spec.target.objects.bucket: test-rice is the bucket of rice itself (name the bucket to move to)",
        ),
        (
            "name: rice-out",
            "name: other",
            "3:18: metadata.name: is 'other', but the file is called 'rice-out.yaml' (rename it to other.yaml)",
        ),
        (
            "  scope: all",
            "  scope: all\n  keepSource: 2y",
            (
                "7:15: spec.keepSource: must be a duration such as 30d, 12h or 2w, not '2y'"
                " (months and years differ in length: write days)"
            ),
        ),
        (
            "  scope: all",
            "  scope: all\n  keepSource: 500d",
            (
                "7:15: spec.keepSource: is more than 366 days"
                " (finalise earlier: until then the platform keeps a fenced copy and its WAL for the way back)"
            ),
        ),
        ("  scope: all", "  scope: all\n  keepDump: 99999d", "7:13: spec.keepDump: is more than 3660 days"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    made = world(tmp_path)
    assert MIGRATION.count(old) == 1
    made.write(FILE, MIGRATION.replace(old, new))
    assert problems(made) == [f"{FILE}:{expected}"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            '"2026-12-05T22:00+09:00"',
            '"2026-12-05T22:00"',
            (
                "10:28: spec.cutover.window.from: '2026-12-05T22:00' has no time zone"
                " (write 2026-12-05T22:00+09:00 if the time is meant in Korea)"
            ),
        ),
        (
            '"2026-12-05T22:00+09:00"',
            '"2026-02-30T22:00+09:00"',
            "10:28: spec.cutover.window.from: 2026-02-30T22:00+09:00 is not a moment of the calendar",
        ),
        (
            "2026-12-06T04:00+09:00",
            "2026-12-05T13:00Z",
            (
                "10:58: spec.cutover.window.to: 2026-12-05T13:00:00+00:00 is not after the beginning,"
                " 2026-12-05T22:00:00+09:00"
            ),
        ),
        (
            "2026-12-06T04:00+09:00",
            "2026-12-05T22:05+09:00",
            (
                "10:58: spec.cutover.window.to: leaves less than 10 minutes for the cutover"
                " (a cutover verifies, asks and may have to go back)"
            ),
        ),
        (
            "2026-12-06T04:00+09:00",
            "2027-12-06T04:00+09:00",
            (
                "10:58: spec.cutover.window.to: is more than 7 days after the beginning"
                " (leave the window out if the switch may happen any time)"
            ),
        ),
        ("2MB", "lots", "10:93: spec.cutover.maxLag: must be an amount such as 1MB or 512kB, not 'lots'"),
    ],
)
def test_a_window_that_cannot_be_meant_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    made = world(tmp_path)
    assert WINDOW.count(old) == 1
    made.write(FILE, MIGRATION + WINDOW.replace(old, new))
    assert problems(made) == [f"{FILE}:{expected}"]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    made = world(tmp_path)
    text = MIGRATION.replace("cooperative: rice", "cooperative: rise").replace("bucket: rice-data", "bucket: test-rise")
    made.write(FILE, text.replace("{env: RICE_DSN}", "{}") + "  keepDump: 9999d\n")
    assert len(problems(made)) == 3


def test_no_message_shows_a_secret_that_stands_in_the_text(tmp_path: Path) -> None:
    made = world(tmp_path)
    text = MIGRATION.replace("{env: RICE_DSN}", '"postgres://rice:geheim@db/rice"')
    made.write(FILE, text.replace("{file: secret/key}", '"AKIA:geheim"').replace("//s3", "//a:geheim@s3"))
    found = problems(made)
    assert len(found) == 3
    assert "geheim" not in "".join(found)


def test_only_what_may_concern_a_name_is_told(tmp_path: Path) -> None:
    other = COOPERATIVE.replace("name: rice,", "name: plastics,").replace("rice.example.kr", "plastics.example.kr")
    made = world(tmp_path, {"rice": COOPERATIVE, "plastics": other})
    made.write(FILE, MIGRATION.replace("bucket: rice-data", "bucket: X"))
    made.write("migrations/misspelt.yaml", MIGRATION.replace("rice-out", "misspelt").replace("ive: rice", "ive: rise"))
    assert len(problems(made, names=("plastics",))) == 2, "a document that cannot be read may mean anybody"
    made.write(FILE, MIGRATION.replace("scope: all", "scope: {member: m-2}"))
    assert [one.partition(":")[0] for one in problems(made, names=("plastics",))] == ["migrations/misspelt.yaml"]


def test_a_member_of_a_cooperative_with_problems_is_not_looked_up(tmp_path: Path) -> None:
    made = world(tmp_path, {"rice": COOPERATIVE.replace("size: small", "size: smal")})
    made.write(FILE, MIGRATION.replace("scope: all", "scope: {member: m-2}"))
    assert [one.partition(":")[0] for one in problems(made)] == ["cooperatives/rice.yaml"]


def test_a_file_under_another_ending_is_no_silent_nothing(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.write("migrations/rice-out.yml", MIGRATION)
    assert problems(made) == [
        "migrations/rice-out.yml: is not read: documents end in .yaml (rename it to rice-out.yaml)"
    ]


def test_loading_raises_every_problem_and_names_what_there_is(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.write(FILE, MIGRATION.replace("scope: all", "scope: {member: m-2}"))
    platform, cooperatives = load_estate(made.estate, endpoints=EmbeddedEndpoints())
    with pytest.raises(InvalidDescriptor) as invalid:
        load_migrations(made.estate, platform=platform, cooperatives=cooperatives)
    assert len(invalid.value.diagnostics) == 1
    with pytest.raises(NotFound, match="no migration 'rice-oud'") as missing:
        load_migrations(made.estate, platform=platform, cooperatives=cooperatives, only="rice-oud")
    assert missing.value.hint == "did you mean 'rice-out'?"


def test_the_schema_offers_both_scopes() -> None:
    spec = schema("DataStoreMigration")["$defs"]["DataStoreMigrationSpec"]
    assert spec["properties"]["scope"]["oneOf"][0] == {"const": "all"}
    assert spec["required"] == ["cooperative", "scope", "target"]
    assert (spec["properties"]["keepSource"]["default"], spec["properties"]["keepDump"]["default"]) == ("30d", "365d")


@settings(deadline=None)
@given(number=st.integers(min_value=1, max_value=99999), unit=st.sampled_from("hdw"))
def test_every_duration_is_read_as_written(number: int, unit: str) -> None:
    hours = {"h": 1, "d": 24, "w": 168}[unit]
    assert parse_duration(f"{number}{unit}") == timedelta(hours=hours * number)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(text=st.text(max_size=40))
def test_no_text_in_a_field_is_a_traceback(tmp_path: Path, text: str) -> None:
    made = world(tmp_path)
    quoted = "'" + text.replace("'", "''").replace("\n", " ") + "'"
    for old in ("all", "{env: RICE_DSN}", "rice-data"):
        content = MIGRATION.replace(old, quoted, 1).encode("utf-8", errors="surrogatepass")
        made.write(FILE, content)
        assert isinstance(problems(made), list)
