"""Upgrades of a cooperative whose database is real, and whose Pulumi and cluster are played: cut off anywhere.

What the provider does to the database when a plan is made is done here by the same administrator; a migration is some
statements of the tables' owner, and its Job ends as a test says.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pyrage import x25519

from cli.wiring import open_toolchain
from provisioner.datastore.credentials import Secret
from provisioner.datastore.marks import Mark
from provisioner.datastore.postgres_connection import connect
from provisioner.datastore.postgres_copies import changed_name, copy_name, drop_changed, drop_copy
from provisioner.descriptor.endpoints import embedded_files
from provisioner.errors import ExitCode
from provisioner.naming import LABEL_SOLUTION
from provisioner.operations import making, upgrade_store, upgrading
from provisioner.plan.resources import (
    CooperativePlan,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
    SolutionChart,
)
from provisioner.toolchain import Toolchain
from tests.conftest import Servers
from tests.data_stores import postgres_access_of, postgres_of, session
from tests.integration.engine.tea import CHART, JOB
from tests.unit.cli.without_servers import LABEL_JOB, PlayedEngine, PlayedEstate, cooperative, played_estate

pytestmark = pytest.mark.servers
NAME = "tea-drinkers"
DATABASE = "tea_drinkers"
PLATFORM = """\
apiVersion: coopctl.dev/v1
kind: Platform
metadata: {{name: test}}
spec:
  cluster: {{id: upgrading, kubeconfig: {kubeconfig}, context: here}}
  postgres:
    host: {servers.host}
    port: {servers.postgres_port}
    pods: {{address: 10.244.0.1, port: 15432}}
    admin: {{user: {servers.postgres_user}, password: {{file: {servers.postgres_password_file}}}}}
    sslmode: require
  objects:
    url: {servers.objects_url}
    pods: {{address: 10.244.0.1, port: 18333, scheme: http}}
    admin: {{credentials: {{file: {servers.objects_credentials}}}}}
  registry: {{address: "registry.example.kr:5000"}}
  ingress: {{className: nginx, controllerAddresses: [10.244.0.1]}}
  dns: {{addresses: [10.244.0.1]}}
  storageClasses: [local]
  domainSuffixes: [example.kr]
  dumps: {{location: dumps, recipient: {recipient}}}
"""
HALF = "ALTER TABLE cups ADD COLUMN sugar int; DELETE FROM cups; CREATE TABLE saucers (number int)"
WHOLE = "ALTER TABLE cups ADD COLUMN IF NOT EXISTS milk int"
PLACES = (
    (upgrading, "_prepared"),
    (upgrade_store, "copy_and_dump"),
    (upgrading, "_carried_out"),
    (upgrading, "await_solutions"),
    (upgrading, "note_begun_is_whole"),
    (upgrading, "_done"),
)
PLACES_OF_RETURNING = (
    (upgrading, "end_jobs"),
    (upgrade_store, "put_back"),
    (upgrading, "going_back"),
    (upgrading, "_done"),
    (upgrading, "note_whole"),
)
PASSWORD = Secret("a password of the test")


def moments(places: Sequence[tuple[Any, str]], *, sample: str) -> list[Any]:
    """Parameters (module, place, when): before and after each place, all but the ``sample`` long."""
    long = pytest.mark.long(seconds=10)
    return [
        pytest.param(module, place, when, id=name, marks=() if name == sample else long)
        for module, place in places
        for when in ("before", "after")
        if (name := f"{when} {place}")
    ]


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


class Tea:
    """A cooperative that has chosen tea; ``migration`` is what the migration of 2.0.0 does, and whether it succeeds."""

    def __init__(self, played: PlayedEstate, servers: Servers) -> None:
        self.played, self.servers = played, servers
        self.migration: tuple[str, bool] = (WHOLE, True)
        played.engine.at_up[NAME] = self._made

    def offer(self, version: str) -> None:
        """The catalogue has this version."""
        templates = self.played.root / "charts" / "tea" / "templates"
        templates.mkdir(parents=True, exist_ok=True)
        (templates.parent / "Chart.yaml").write_text(CHART.format(version=version))
        (templates / "job.yaml").write_text(JOB)

    def apply(self, *options: str) -> ExitCode:
        """Apply it."""
        return self.played.run("apply", NAME, "--yes", "--timeout", "5", *options)

    @property
    def plan(self) -> CooperativePlan:
        """The plan that was made last."""
        return self.played.engine.plans[NAME]

    @property
    def mark(self) -> Mark:
        return Mark(cluster=self.plan.cluster, cooperative=self.plan.uid)

    @property
    def version(self) -> str:
        """The version that is applied."""
        (chart,) = [one for one in self.plan.resources if isinstance(one, SolutionChart)]
        return chart.version

    def sql(self, statement: str, *, role: str = "owner") -> list[tuple[Any, ...]]:
        """As one of the tenant's roles."""
        with session(self.servers, database=DATABASE) as connection:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(f"{DATABASE}_{role}")))
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def pour(self, number: int) -> None:
        """The solution writes a row."""
        self.sql(f"INSERT INTO cups (number) SELECT {number}", role="app")

    def cups(self) -> list[Any]:
        """The rows that the solution wrote."""
        return [number for (number,) in self.sql("SELECT number FROM cups ORDER BY 1")]

    def columns(self) -> list[Any]:
        """All columns of the tenant's tables."""
        query = "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'"
        return sorted(name for (name,) in self.sql(query))

    def databases(self) -> dict[str, int]:
        """The tenant's database and what an upgrade keeps beside it, each with its number on the server."""
        with session(self.servers) as connection:
            found: dict[str, int] = dict(connection.execute("SELECT datname, oid FROM pg_database").fetchall())
        return {
            name: found[name] for name in (DATABASE, copy_name(self.mark), changed_name(self.mark)) if name in found
        }

    def dumps(self) -> list[Path]:
        """The dumps that there are."""
        folder = self.played.root / "dumps"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _made(self, engine: PlayedEngine) -> None:
        """What Pulumi, our provider and the migration's Job do with a plan."""
        plan, admin = engine.plans[NAME], postgres_of(self.servers)
        for one in plan.resources:
            if isinstance(one, PostgresRole):
                admin.ensure_role(one, mark=self.mark, password=PASSWORD if one.login else None)
            elif isinstance(one, PostgresDatabase):
                admin.ensure_database(one, mark=self.mark)
            elif isinstance(one, PostgresGrants):
                admin.ensure_grants(one)
            elif isinstance(one, PostgresMembers):
                admin.ensure_members(one, mark=self.mark)
            elif isinstance(one, SolutionChart):
                assert (one.chart / "Chart.yaml").is_file(), "Pulumi would not find the chart"
        self._migrate(f"tea-migration-{self.version.replace('.', '-')}")

    def _migrate(self, job: str) -> None:
        cluster = self.played.cluster
        found = cluster.objects.setdefault("Job", [])
        if any(one["metadata"]["name"] == job for one in found):
            return
        statements, succeeds = self.migration if job.endswith("2-0-0") else ("SELECT 1", True)
        self.sql(statements)
        about = {"name": job, "namespace": f"{NAME}-data", "labels": {LABEL_SOLUTION: "tea"}}
        failed = {"conditions": [{"type": "Failed", "status": "True"}]}
        cluster.objects["Job"] = [{"metadata": about, "spec": {}, "status": {"succeeded": 1} if succeeds else failed}]
        pod = {**about, "name": f"{job}-x", "labels": {LABEL_JOB: job}, "annotations": {"log": "no such column"}}
        cluster.objects["Pod"] = [{"metadata": pod, "status": {}}]


def apply_killed(
    tea: Tea, monkeypatch: pytest.MonkeyPatch, module: Any, place: str, *, when: str, skipped: int = 0
) -> None:
    """Apply until ``place`` of ``module``, and die before or after what that does, once ``skipped`` calls are over."""
    really, calls = getattr(module, place), itertools.count()

    def die(*arguments: Any, **options: Any) -> Any:
        is_time = next(calls) >= skipped
        made = really(*arguments, **options) if when == "after" or not is_time else None
        if is_time:
            raise Killed(place)
        return made

    with monkeypatch.context() as patched:
        patched.setattr(module, place, die)
        with pytest.raises(Killed):
            tea.apply()


@pytest.fixture
def tea(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tea]:
    """Tea 1.0.0 is applied and has written a row."""
    helm_render = open_toolchain().ensure(["helm-render"], report=print)["helm-render"]
    text = {NAME: cooperative(NAME, solutions="[{name: tea}]")}
    with played_estate(tmp_path / "estate", monkeypatch, cooperatives=text) as played:
        others = Toolchain.ensure
        monkeypatch.setattr(
            Toolchain,
            "ensure",
            lambda chain, names, **how: {**others(chain, names, **how), "helm-render": helm_render},
        )
        recipient = x25519.Identity.generate().to_public()
        kubeconfig = embedded_files(played.root).kubeconfig
        platform = PLATFORM.format(kubeconfig=kubeconfig, servers=servers, recipient=recipient)
        played.world.write("platform.yaml", platform)
        made = Tea(played, servers)
        made.offer("1.0.0")
        assert made.apply() is ExitCode.DONE
        made.sql("CREATE TABLE cups (number int)")
        made.pour(1)
        yield made
        admin = postgres_of(servers)
        with connect(postgres_access_of(servers), environment=os.environ) as connection:
            drop_copy(connection, mark=made.mark)
            drop_changed(connection, mark=made.mark)
        admin.retire_database(DATABASE, mark=made.mark, delete_data=True)
        for one in made.plan.resources:
            if isinstance(one, PostgresRole):
                admin.drop_role(one.name, mark=made.mark)


def require_as_before(tea: Tea) -> None:
    """Version 1.0.0 serves with its tables and rows, and may write; nothing of the upgrade is left."""
    assert tea.version == "1.0.0"
    assert tea.columns() == ["cups.number"]
    assert tea.cups() == [1]
    tea.pour(2)
    assert [*tea.databases()] == [DATABASE]


def require_upgraded(tea: Tea) -> None:
    """Version 2.0.0 serves with all rows, and may write; nothing of the upgrade is left but its dump."""
    assert tea.version == "2.0.0"
    assert tea.columns() == ["cups.milk", "cups.number"]
    assert tea.cups() == [1]
    tea.pour(2)
    assert [*tea.databases()] == [DATABASE]


def test_an_upgrade_takes_a_dump_first_and_nothing_is_written_until_it_is_done(
    tea: Tea, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def watched(*arguments: Any, **options: Any) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            tea.pour(7)
        making.await_solutions(*arguments, **options)

    monkeypatch.setattr(upgrading, "await_solutions", watched)
    tea.offer("2.0.0")
    tea.played.run("plan", NAME)
    assert "upgrades tea 1.0.0 -> 2.0.0: after a dump of the database" in capsys.readouterr().out
    assert tea.apply() is ExitCode.DONE
    (dump,) = tea.dumps()
    assert f"a verified dump of the database is {dump}" in capsys.readouterr().err
    require_upgraded(tea)


def test_a_migration_that_fails_half_way_leaves_version_and_data_as_they_were(
    tea: Tea, capsys: pytest.CaptureFixture[str]
) -> None:
    tea.migration = (HALF, False)
    tea.offer("2.0.0")
    capsys.readouterr()
    assert tea.apply() is ExitCode.PARTLY_FAILED
    said = capsys.readouterr().err
    assert "the upgrade tea 1.0.0 -> 2.0.0 failed; tea 1.0.0 serves again, with all its data" in said
    assert "column public.cups.sugar has come" in said
    assert str(tea.dumps()[0]) in said
    (log,) = (tea.played.root / ".coopctl" / "engine" / NAME).glob("migration-*.log")
    assert str(log) in said
    assert "no such column" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    require_as_before(tea)
    tea.migration = (WHOLE, True)
    tea.sql("DELETE FROM cups WHERE number = 2")
    assert tea.apply() is ExitCode.DONE
    require_upgraded(tea)


@pytest.mark.parametrize(
    "changed", ["UPDATE cups SET number = 9", pytest.param("DROP TABLE cups", marks=pytest.mark.long(seconds=4))]
)
def test_rows_alone_or_a_table_that_went_come_back_too(tea: Tea, changed: str) -> None:
    tea.migration = (changed, False)
    tea.offer("2.0.0")
    assert tea.apply() is ExitCode.PARTLY_FAILED
    require_as_before(tea)


@pytest.mark.long(seconds=6)
def test_a_migration_that_changed_nothing_leaves_the_very_database(
    tea: Tea, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tea.databases()
    tea.migration = ("SELECT 1", False)
    tea.offer("2.0.0")
    assert tea.apply() is ExitCode.PARTLY_FAILED
    assert "the database is as it was before" in capsys.readouterr().err
    assert tea.databases() == before
    require_as_before(tea)


def test_a_dump_that_cannot_be_made_changes_nothing_and_gives_writes_back(tea: Tea) -> None:
    (tea.played.root / "dumps").write_text("a file where the folder should be")
    tea.offer("2.0.0")
    assert tea.apply() is ExitCode.FAILED
    require_as_before(tea)


@pytest.mark.parametrize(
    ("text", "replaced", "options", "code"),
    [
        ("  dumps:", "  # dumps:", (), ExitCode.USAGE),
        ("  dumps:", "  # dumps:", ("--without-dump",), ExitCode.DONE),
        ("", "", ("--timeout", "0"), ExitCode.USAGE),
    ],
)
def test_no_upgrade_without_dump_or_waiting_unless_told(
    tea: Tea, text: str, replaced: str, options: tuple[str, ...], code: ExitCode
) -> None:
    platform = tea.played.root / "platform.yaml"
    platform.write_text(platform.read_text().replace(text, replaced) if text else platform.read_text())
    tea.offer("2.0.0")
    assert tea.apply(*options) is code
    assert tea.dumps() == []
    (require_upgraded if code is ExitCode.DONE else require_as_before)(tea)


def test_while_an_upgrade_is_not_done_the_cooperative_is_neither_destroyed_nor_mended(
    tea: Tea, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tea.offer("2.0.0")
    apply_killed(tea, monkeypatch, upgrading, "await_solutions", when="before")
    capsys.readouterr()
    assert tea.played.run("destroy", NAME, "--yes") is ExitCode.LOCKED
    assert "its upgrade (tea 1.0.0 -> 2.0.0) is not done" in capsys.readouterr().err


def test_no_upgrade_of_tables_while_the_database_is_copied_to_another_server(
    tea: Tea, capsys: pytest.CaptureFixture[str]
) -> None:
    with session(tea.servers, database=DATABASE) as connection:
        connection.execute("SELECT pg_create_logical_replication_slot('upgrading', 'pgoutput')")
        tea.offer("2.0.0")
        assert tea.apply() is ExitCode.LOCKED
        connection.execute("SELECT pg_drop_replication_slot('upgrading')")
    assert "is being copied to another server" in capsys.readouterr().err
    require_as_before(tea)


@pytest.mark.parametrize(("module", "place", "when"), moments(PLACES, sample="before await_solutions"))
def test_cut_off_anywhere_the_same_command_finishes_it(
    tea: Tea, monkeypatch: pytest.MonkeyPatch, module: Any, place: str, when: str
) -> None:
    tea.offer("2.0.0")
    apply_killed(tea, monkeypatch, module, place, when=when)
    assert tea.apply() is ExitCode.DONE
    require_upgraded(tea)


@pytest.mark.parametrize(("module", "place", "when"), moments(PLACES_OF_RETURNING, sample="after put_back"))
def test_going_back_cut_off_anywhere_is_finished_when_the_old_version_is_wanted_again(
    tea: Tea, monkeypatch: pytest.MonkeyPatch, module: Any, place: str, when: str
) -> None:
    tea.migration = (HALF, False)
    tea.offer("2.0.0")
    # Before anything is prepared, the version before is looked for too.
    skipped = 1 if place == "going_back" else 0
    apply_killed(tea, monkeypatch, module, place, when=when, skipped=skipped)
    tea.offer("1.0.0")
    assert tea.apply() is ExitCode.DONE
    require_as_before(tea)


def test_an_upgrade_that_went_well_goes_back_on_request_and_forth_again(tea: Tea) -> None:
    tea.offer("2.0.0")
    assert tea.apply() is ExitCode.DONE
    tea.pour(2)
    assert tea.apply("--rollback") is ExitCode.DONE
    assert tea.version == "1.0.0"
    # Tables are not brought back: what the solution wrote since must not be lost.
    assert tea.columns() == ["cups.milk", "cups.number"]
    assert tea.cups() == [1, 2]
    tea.pour(3)
    assert tea.apply() is ExitCode.DONE
    assert tea.version == "2.0.0"
    assert tea.cups() == [1, 2, 3]


@pytest.mark.parametrize("migration", [HALF, pytest.param("SELECT 1", marks=pytest.mark.long(seconds=5))])
def test_what_is_written_after_going_back_stays_though_that_was_cut_off_at_its_end(
    tea: Tea, monkeypatch: pytest.MonkeyPatch, migration: str
) -> None:
    tea.migration = (migration, False)
    tea.offer("2.0.0")
    apply_killed(tea, monkeypatch, upgrading, "_done", when="before")
    tea.pour(2)
    assert tea.apply() is ExitCode.PARTLY_FAILED
    assert tea.cups() == [1, 2]
    assert [*tea.databases()] == [DATABASE]


@pytest.mark.long(seconds=5)
def test_a_migration_that_failed_while_nobody_looked_is_not_tried_again(
    tea: Tea, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tea.migration = (HALF, False)
    tea.offer("2.0.0")
    apply_killed(tea, monkeypatch, upgrading, "await_solutions", when="before")
    tea.migration = ("ALTER TABLE cups ADD COLUMN milk int", True)
    assert tea.apply() is ExitCode.PARTLY_FAILED
    assert "no such column" in capsys.readouterr().err
    require_as_before(tea)


@pytest.mark.long(seconds=5)
def test_a_copy_that_somebody_dropped_is_told_and_the_dump_named(
    tea: Tea, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tea.migration = (HALF, False)
    tea.offer("2.0.0")
    apply_killed(tea, monkeypatch, upgrading, "await_solutions", when="before")
    with session(tea.servers) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(copy_name(tea.mark))))
    assert tea.apply() is ExitCode.PARTLY_FAILED
    said = capsys.readouterr().err
    assert "with all its data" not in said
    assert "the copy of the database was gone: what the migration changed in it stays" in said
    assert str(tea.dumps()[0]) in said
    assert tea.version == "1.0.0"


def test_an_upgrade_that_is_no_longer_wanted_is_taken_back(tea: Tea, monkeypatch: pytest.MonkeyPatch) -> None:
    tea.migration = (HALF, True)
    tea.offer("2.0.0")
    apply_killed(tea, monkeypatch, upgrading, "await_solutions", when="before")
    tea.offer("1.0.0")
    assert tea.apply() is ExitCode.DONE
    require_as_before(tea)
