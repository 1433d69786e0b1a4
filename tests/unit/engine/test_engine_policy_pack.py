"""What the engine tells the pulumi CLI of a policy pack, and what it makes of a violation."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pulumi.automation import EngineEvent
from pulumi.automation._cmd import CommandResult
from pulumi.automation.errors import create_command_error

from provisioner.engine.events import Event, Message, Severity
from provisioner.engine.failures import translated
from provisioner.engine.listening import Listener
from provisioner.engine.policies import PolicyPack
from provisioner.errors import ExitCode, PolicyViolated

URN = "urn:pulumi:rice::coopctl::kubernetes:helm.sh/v4:Chart$kubernetes:core/v1:Service::solution-x:rice-apps/x"
FOUND = "service-type: Service rice-apps/x: spec.type: is NodePort (remedy: leave type out)"


@pytest.fixture
def pack(tmp_path: Path) -> PolicyPack:
    """A pack with one rule."""
    for folder in ("pack", "rules"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.py").write_text("first")
    return PolicyPack(
        folder=tmp_path / "pack", configuration={"isolation": {"facts": {"domain": "쌀.kr"}}}, rules=tmp_path / "rules"
    )


def test_a_changed_rule_pack_or_fact_is_another_digest(pack: PolicyPack) -> None:
    before = pack.digest
    assert pack.digest == before
    assert replace(pack, configuration={"isolation": {}}).digest != before
    (pack.rules / "one.py").write_text("second")
    changed = pack.digest
    assert changed != before
    (pack.folder / "one.py").write_text("second")
    assert pack.digest not in {before, changed}


def test_the_configuration_is_a_file_that_is_whole_at_any_moment(pack: PolicyPack, tmp_path: Path) -> None:
    file = pack.write_configuration(tmp_path)
    assert json.loads(file.read_text()) == pack.configuration
    pack.write_configuration(tmp_path)
    assert [path.name for path in tmp_path.glob("policies.*")] == [file.name]


def violation(level: str) -> EngineEvent:
    """A violation as Pulumi tells it: the policy's description, then what was found."""
    event = {
        "resourceUrn": URN,
        "message": f"An object breaks a rule.\n{FOUND}\n",
        "policyName": "isolation",
        "enforcementLevel": level,
    }
    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, "policyEvent": event})


def test_a_violation_ends_as_policy_violated_with_rule_object_and_remedy() -> None:
    heard: list[Event] = []
    listener = Listener(stack="rice", report=heard.append)
    listener(violation("mandatory"))
    echo = {
        "urn": "urn:pulumi:rice::coopctl::pulumi:pulumi:Stack::coopctl-rice",
        "message": "the Chart resource 'solution-x' has a problem: grpc: the client connection is closing",
        "color": "raw",
        "severity": "error",
    }
    listener(EngineEvent.from_json({"sequence": 2, "timestamp": 1, "diagnosticEvent": echo}))
    failure = translated(create_command_error(CommandResult(stdout="", stderr="", code=1)), listener=listener)
    assert isinstance(failure, PolicyViolated)
    assert failure.exit_code is ExitCode.POLICY
    assert FOUND in (failure.why or "")
    assert "client connection" not in (failure.why or ""), "a consequence is no reason"
    assert "coopctl policy explain" in (failure.hint or "")
    assert next(event.text for event in heard if isinstance(event, Message)) == FOUND


def test_an_advice_fails_nothing() -> None:
    heard: list[Event] = []
    listener = Listener(stack="rice", report=heard.append)
    listener(violation("advisory"))
    assert listener.errors == []
    assert [event.severity for event in heard if isinstance(event, Message)] == [Severity.WARNING]
