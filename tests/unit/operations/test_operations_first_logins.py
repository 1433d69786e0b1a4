"""Who logs in first: derived as the migration Job derives it."""

import base64
import itertools
import runpy
import sys
from collections.abc import Mapping
from typing import Any
from unittest.mock import MagicMock

import pytest

from provisioner.datastore.credentials import Secret
from provisioner.descriptor.cooperative import SolutionChoice
from provisioner.errors import NotFound
from provisioner.operations.first_logins import derived_password, first_logins
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.resources import CooperativePlan
from tests.unit.plan import builders

PROGRAM = builders.CHARTS / "ledger" / "files" / "migrate.py"


class OneSecret:
    """A cluster with one Secret, or none."""

    def __init__(self, secret: Mapping[str, Any] | None) -> None:
        self.secret = secret

    def get(self, *, api_version: str, kind: str, name: str, namespace: str = "") -> Mapping[str, Any] | None:
        """The Secret, if it is asked for where it is."""
        assert (api_version, kind) == ("v1", "Secret")
        assert (namespace, name) == ("rice-processing-data", "data-store-migration")
        return self.secret


def plan_with_ledger() -> CooperativePlan:
    """The plan of a cooperative that has chosen the ledger and the portal."""
    chosen = (SolutionChoice(name="ledger"), SolutionChoice(name="portal"))
    return cooperative_plan(
        builders.cooperative(solutions=chosen),
        platform=builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )


def migration_program(monkeypatch: pytest.MonkeyPatch, *, psycopg2: object) -> dict[str, Any]:
    """The names of the Job's program, which is given ``psycopg2``."""
    program = {"COOPCTL_RELEASE": "r", "COOPCTL_MODULES": "party", "COOPCTL_OWN_MODULES": ""}
    environment = {**program, "PGDATABASE": "d", "PGPASSWORD": "a-key", "COOPCTL_FIRST_USER": "admin"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("psycopg2.extensions", "prepared"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    monkeypatch.setitem(sys.modules, "psycopg2", psycopg2)
    return runpy.run_path(str(PROGRAM))


def test_the_migration_waits_for_its_first_connection_and_says_why_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new pod is let out when its network policies are in force, and not before."""
    attempts = iter([OSError("no way out"), OSError("no way out"), "a connection"])
    psycopg2 = MagicMock(OperationalError=OSError)
    psycopg2.connect.side_effect = attempts
    monkeypatch.setattr("time.sleep", lambda _: None)

    assert migration_program(monkeypatch, psycopg2=psycopg2)["connected"]() == "a connection"

    assert capsys.readouterr().out == "waiting: no way out\n"


def test_a_migration_that_never_gets_through_fails_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    psycopg2 = MagicMock(OperationalError=OSError)
    psycopg2.connect.side_effect = OSError("no way out")
    clock = itertools.count(step=20.0)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))

    with pytest.raises(OSError, match="no way out"):
        migration_program(monkeypatch, psycopg2=psycopg2)["connected"]()


def test_the_password_is_the_one_that_the_migration_job_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    job = migration_program(monkeypatch, psycopg2=MagicMock())["first_password"]()

    assert derived_password(Secret("a-key"), user="admin").reveal() == job
    assert derived_password(Secret("another"), user="admin").reveal() != job


def test_each_solution_with_users_has_a_first_login() -> None:
    secret = {"data": {"PGPASSWORD": base64.b64encode(b"a-key").decode()}}
    (login,) = first_logins(plan_with_ledger(), cluster=OneSecret(secret))
    assert (login.solution, login.user) == ("ledger", "admin")
    assert login.url.startswith("http://ledger.rice.example.kr")
    assert login.password == derived_password(Secret("a-key"), user="admin")
    assert login.password.reveal() not in repr(login)


def test_before_the_first_apply_there_is_none() -> None:
    with pytest.raises(NotFound) as missing:
        first_logins(plan_with_ledger(), cluster=OneSecret(None))
    assert missing.value.hint == "run `coopctl apply rice-processing` first"
