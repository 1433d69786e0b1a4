"""`coopctl policy` on the pilot estate: nothing but files is needed."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as SarifLog

from cli.main import run
from provisioner.catalogue import images_lock
from provisioner.descriptor.json_schema import schema
from provisioner.errors import ExitCode
from provisioner.rules.registry import EVERY_RULE, RULES_FOR_CHARTS
from tests.unit.plan import builders
from tests.unit.plan.pilots import NAMES, PILOT

MANIFESTS = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: rice-processing-apps}
spec:
  ports: [{port: 80}]
  type: NodePort
"""
EXCEPTION = """\
apiVersion: coopctl.dev/v1
kind: PolicyException
metadata: {name: gateway}
spec:
  rule: service-type
  cooperative: rice-processing
  who: 플랫폼 운영팀
  why: the old gateway knows no other way
  until: %s
"""


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the pilot estate with a lock, at a path with a space and Hangul; the current folder."""
    folder = tmp_path / "조합 estate"
    shutil.copytree(PILOT.root, folder, ignore=shutil.ignore_patterns(".coopctl", "images.lock"))
    images_lock.write(replace(builders.fake_lock(), source=folder / "images.lock"))
    (folder / "more manifests.yaml").write_text(MANIFESTS)
    (folder / "exceptions").mkdir()
    monkeypatch.chdir(folder)
    return folder


def check(*arguments: str) -> ExitCode:
    """Call `coopctl policy check`."""
    return run(["policy", "check", *arguments])


def test_no_pilot_breaks_a_rule(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--all") is ExitCode.DONE
    shown = capsys.readouterr().out
    assert re.fullmatch(rf"{len(NAMES)} cooperatives: \d{{3,}} objects judged: no violation\n", shown)


def test_a_broken_rule_is_told_with_place_reason_and_remedy(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--file", "more manifests.yaml", "--as", "rice-processing") is ExitCode.POLICY
    first, why, remedy, summary = capsys.readouterr().out.splitlines()
    assert first == (
        "more manifests.yaml:6:9: high: service-type: Service rice-processing-apps/web: spec.type: is NodePort"
    )
    assert why.startswith("    why: node ports and load balancers go around the ingress")
    assert remedy == "    remedy: leave type out, and add an Ingress below the tenant's domain"
    assert summary == "rice-processing: 1 object judged: 1 violation"


def test_an_exception_that_holds_is_told_and_one_that_has_run_out_is_a_violation(
    estate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = estate / "exceptions" / "gateway.yaml"
    file.write_text(EXCEPTION % "2999-12-31")
    assert check("--file", "more manifests.yaml", "--as", "rice-processing") is ExitCode.DONE
    shown = capsys.readouterr().out
    assert "excepted until 2999-12-31" in shown
    assert "플랫폼 운영팀: the old gateway knows no other way (gateway.yaml)" in shown
    assert "no violation, 1 excepted" in shown
    file.write_text(EXCEPTION % "2020-02-29")
    assert check("rice-processing") is ExitCode.POLICY
    shown = capsys.readouterr().out
    assert f"{file}:9:10: medium: expired-exception: PolicyException gateway" in shown
    assert "the exception from service-type ended on 2020-02-29; 플랫폼 운영팀 answers for it" in shown
    assert check("plastics") is ExitCode.DONE, "it is nobody else's"


@pytest.mark.parametrize(
    ("change", "hint"), [(("service-type", "service-typ"), "service-type"), (("rice-p", "rise-p"), "rice-processing")]
)
def test_an_exception_from_what_is_not_there_is_an_invalid_document(
    estate: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], hint: str
) -> None:
    text = (EXCEPTION % "2999-12-31").replace(*change)
    (estate / "exceptions" / "gateway.yaml").write_text(text)
    for arguments in (["policy", "check", "--all"], ["validate"], ["render", "rice-processing"]):
        assert run(arguments) is ExitCode.USAGE
        assert f"did you mean '{hint}'?" in capsys.readouterr().err


def test_what_pod_security_enforces_cannot_be_excepted(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (EXCEPTION % "2999-12-31").replace("service-type", "privileged")
    (estate / "exceptions" / "gateway.yaml").write_text(text)
    assert run(["validate"]) is ExitCode.USAGE
    assert "privileged cannot be excepted: Pod Security enforces it" in capsys.readouterr().err


def test_an_exception_reaches_the_namespaces_that_render_prints(
    estate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (estate / "exceptions" / "gateway.yaml").write_text(EXCEPTION % "2999-12-31")
    assert run(["render", "rice-processing"]) is ExitCode.DONE
    assert capsys.readouterr().out.count("coopctl.dev/exceptions: service-type") == 2


def test_sarif_is_valid_and_holds_rules_places_and_suppressions(
    estate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (estate / "exceptions" / "gateway.yaml").write_text(EXCEPTION % "2999-12-31")
    (estate / "more manifests.yaml").write_text(f"{MANIFESTS}  externalIPs: [192.0.2.1]\n")
    assert check("--file", "more manifests.yaml", "--as", "rice-processing", "--output", "sarif") is ExitCode.POLICY
    document = json.loads(capsys.readouterr().out)
    SarifLog.model_validate(document)
    (log,) = document["runs"]
    assert {rule["id"] for rule in log["tool"]["driver"]["rules"]} >= {rule.id for rule in RULES_FOR_CHARTS}
    by_rule = {result["ruleId"]: result for result in log["results"]}
    assert by_rule.keys() == {"service-type", "external-addresses"}
    for result in log["results"]:
        assert log["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"] == {"uri": "more%20manifests.yaml", "uriBaseId": "%SRCROOT%"}
    assert by_rule["external-addresses"]["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 7,
        "startColumn": 16,
    }
    (suppression,) = by_rule["service-type"]["suppressions"]
    assert "the old gateway knows no other way (플랫폼 운영팀, until 2999-12-31; gateway)" in str(suppression)
    assert "suppressions" not in by_rule["external-addresses"]


def test_json_is_one_document_with_all_that_is_known(estate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--file", "more manifests.yaml", "--as", "rice-processing", "-ojson") is ExitCode.POLICY
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["kind"] == "PolicyReport"
    (verdict,) = document["verdicts"]
    (violation,) = verdict["violations"]
    assert (verdict["cooperative"], verdict["objects"]) == ("rice-processing", 1)
    assert violation["object"] == {"kind": "Service", "namespace": "rice-processing-apps", "name": "web"}
    assert (violation["rule"], violation["severity"], violation["madeBy"]) == ("service-type", "high", "tenant")
    assert (violation["file"], violation["line"], violation["column"]) == ("more manifests.yaml", 6, 9)
    assert violation["exception"] is None
    assert all(violation[name] for name in ("path", "message", "reason", "sources", "remedy"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ExitCode.USAGE),
        (("rice-processing", "--all"), ExitCode.USAGE),
        (("--file", "more manifests.yaml"), ExitCode.USAGE),
        (("--as", "plastics"), ExitCode.USAGE),
        (("--file", "more manifests.yaml", "--as", "plastics", "--all"), ExitCode.USAGE),
        (("--file", "nothing.yaml", "--as", "plastics"), ExitCode.USAGE),
        (("--file", "more manifests.yaml", "--as", "plastic"), ExitCode.NOT_FOUND),
        (("plastic",), ExitCode.NOT_FOUND),
    ],
)
def test_what_cannot_be_meant_is_refused(estate: Path, arguments: tuple[str, ...], expected: ExitCode) -> None:
    assert check(*arguments) is expected


def test_the_list_holds_every_rule_and_explain_knows_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "list"]) is ExitCode.DONE
    shown = capsys.readouterr().out
    for rule in EVERY_RULE:
        assert re.search(rf"^{rule.id} +{rule.severity} +{rule.enforcement} ", shown, re.MULTILINE), rule.id
        assert run(["policy", "explain", rule.id]) is ExitCode.DONE
        explained = capsys.readouterr().out
        assert rule.reason in explained
        assert all(source in explained for source in rule.sources)
    assert run(["policy", "explain", "image-digst"]) is ExitCode.NOT_FOUND
    assert "did you mean 'image-digest'?" in capsys.readouterr().err


def test_rules_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "list", "-o", "json"]) is ExitCode.DONE
    listed = json.loads(capsys.readouterr().out)
    assert [rule["id"] for rule in listed["rules"]] == [rule.id for rule in EVERY_RULE]
    assert run(["policy", "explain", "platform-objects", "-o", "json"]) is ExitCode.DONE
    explained = json.loads(capsys.readouterr().out)
    assert explained["exceptable"] is False
    assert "who asks" in explained["judged"]


def test_the_schema_of_exceptions_accepts_what_validate_accepts() -> None:
    document = {
        "apiVersion": "coopctl.dev/v1",
        "kind": "PolicyException",
        "metadata": {"name": "gateway"},
        "spec": {"rule": "a", "cooperative": "b", "who": "c", "why": "d", "until": "2027-01-01"},
    }
    validator = Draft202012Validator(schema("PolicyException"))
    assert not list(validator.iter_errors(document))
    del document["spec"]["why"]  # type: ignore[attr-defined]  # a mapping, as one sees
    assert list(validator.iter_errors(document))
