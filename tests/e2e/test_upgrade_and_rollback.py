"""Upgrades of the ledger on a real node: a broken one goes back by itself, and one that went well goes back on request.

The estate's own catalogue offers another version of the shipped chart. Its migration is the shipped program with
another step in the place of Tryton's, which would take minutes.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.demo_migration import name_dumps
from examples.solutions import Login, first_logins
from provisioner.errors import ExitCode
from provisioner.naming import LABEL_SOLUTION
from provisioner.toolchain import Toolchain
from tests.e2e.conftest import estate_inside
from tests.integration.node.conftest import wait
from tests.network_namespace import NetworkNamespace
from tests.portal_pilots import CHOSEN, copy_pilots
from tests.running_estate import RunningEstate
from tests.unit.plan.builders import CHARTS

pytestmark = [
    pytest.mark.node,
    pytest.mark.usefixtures("inside"),
    pytest.mark.long(seconds=300),
    pytest.mark.timeout(7200),
]
OWN, DATABASE = "publishing", "publishing"
LEDGER_ALONE = "  solutions:\n    - {name: ledger}\n"
STEP = "            migrate(cursor)\n"
WELL = "            cursor.execute('CREATE TABLE budget (year integer)')\n"
BROKEN = (
    "            cursor.execute('CREATE TABLE IF NOT EXISTS half_made (year integer)')\n"
    "            cursor.execute(\"UPDATE party_party SET name = 'spoilt'\")\n"
    "            sys.exit('the second half is missing')\n"
)


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """A cooperative whose only solution is the ledger."""

    estate: RunningEstate

    def offer(self, version: str, *, step: str) -> None:
        """The estate's own catalogue has this version, whose migration does ``step``."""
        self.withdraw()
        chart = self.estate.root / "charts" / "ledger"
        shutil.copytree(CHARTS / "ledger", chart)
        _replace(chart / "Chart.yaml", "version: 1.0.0\n", f"version: {version}\n")
        _replace(chart / "files" / "migrate.py", STEP, step)

    def withdraw(self) -> None:
        """The catalogue has the shipped version alone."""
        shutil.rmtree(self.estate.root / "charts" / "ledger", ignore_errors=True)

    @property
    def login(self) -> Login:
        """The first user's login."""
        [found] = first_logins(OWN, estate=self.estate.root)
        return found

    def save(self, name: str) -> None:
        """Save a party as people do, as soon as the ingress knows the way to the pods that are there now."""
        self.wait_for_login()
        login = self.login
        login.client.call("model.party.party.create", [{"name": name}], {}, session=login.session())

    def parties(self) -> list[tuple[str]]:
        """The names of all parties, as PostgreSQL has them."""
        return self.estate.rows("SELECT name FROM party_party ORDER BY id", database=DATABASE)

    def has_table(self, name: str) -> bool:
        """Whether the table is in the database."""
        return self.estate.rows(f"SELECT to_regclass('public.{name}') IS NOT NULL", database=DATABASE) == [(True,)]

    def serving(self) -> set[str]:
        """The migrations that the ledger's pods have waited for: the version is in the name of each."""
        pods = self.estate.get("pods", "-n", f"{OWN}-apps", "-l", f"{LABEL_SOLUTION}=ledger")["items"]
        assert pods
        found = [
            pod["spec"]["initContainers"][0]["env"][0]["value"]
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"]
        ]
        return {name.rpartition("-")[0] for name in found}

    def wait_for_login(self) -> None:
        """Until the ingress knows the way."""

        def answers() -> bool:
            try:
                return bool(self.login.session())
            except OSError:
                return False

        wait(answers, "a login")


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, file
    file.write_text(text.replace(old, new), encoding="utf-8")


def one_with_a_ledger(folder: Path) -> Path:
    """The pilot estate with one cooperative, and a place for dumps."""
    for descriptor in (copy_pilots(folder) / "cooperatives").glob("*.yaml"):
        if descriptor.stem != OWN:
            descriptor.unlink()
            continue
        text, replaced = CHOSEN.subn(LEDGER_ALONE, descriptor.read_text(encoding="utf-8"))
        assert replaced == 1
        descriptor.write_text(text, encoding="utf-8")
    # They are of the cooperatives that are gone.
    shutil.rmtree(folder / "migrations")
    name_dumps(folder)
    return folder


@pytest.fixture(scope="module")
def ledger(network: NetworkNamespace, toolchain: Toolchain) -> Iterator[Ledger]:
    """The cooperative, applied, with a party that people have saved."""
    with estate_inside(network, toolchain=toolchain, copied=one_with_a_ledger) as estate:
        estate.coopctl("dev", "up", "--node", "real")
        estate.coopctl("images", "build", "--used", "--push")
        estate.coopctl("apply", OWN, "--yes", "--no-prove")
        made = Ledger(estate=estate)
        made.save("회원사 001")
        yield made


def test_a_broken_version_goes_back_by_itself_and_people_go_on_with_all_their_data(ledger: Ledger) -> None:
    ledger.offer("1.1.0", step=BROKEN)

    done = ledger.estate.attempt("apply", OWN, "--yes", "--no-prove")

    assert done.returncode == ExitCode.PARTLY_FAILED, done.stdout + done.stderr
    said = " ".join(done.stderr.split())
    assert "the upgrade ledger 1.0.0 -> 1.1.0 failed; ledger 1.0.0 serves again, with all its data" in said
    assert "the second half is missing" in said
    assert ledger.serving() == {"ledger-migration-1-0-0"}
    assert ledger.parties() == [("회원사 001",)]
    assert not ledger.has_table("half_made")
    ledger.save("회원사 002")
    assert ledger.parties() == [("회원사 001",), ("회원사 002",)]


def test_an_upgrade_that_went_well_goes_back_on_request_and_keeps_what_was_written_since(ledger: Ledger) -> None:
    before = ledger.parties()
    ledger.offer("1.2.0", step=WELL)
    ledger.estate.coopctl("apply", OWN, "--yes", "--no-prove")
    assert ledger.serving() == {"ledger-migration-1-2-0"}
    ledger.save("회원사 003")

    ledger.estate.coopctl("apply", "--rollback", OWN, "--yes", "--no-prove")

    assert ledger.serving() == {"ledger-migration-1-0-0"}
    assert ledger.parties() == [*before, ("회원사 003",)]
    # Tables are not brought back: what people wrote since must not be lost.
    assert ledger.has_table("budget")
    ledger.save("회원사 004")
    assert ledger.parties() == [*before, ("회원사 003",), ("회원사 004",)]

    ledger.withdraw()
    assert ledger.estate.document("plan", OWN, "--refresh")["changes"] is False
