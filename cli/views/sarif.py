"""Violations as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), which code scanning reads.

Files below the folder that coopctl was called in are named relative to it, as code scanning wants them; others, such
as the charts of an installed coopctl, by absolute URIs. What an exception excuses is a suppressed result.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from provisioner.errors import Location
from provisioner.operations.policy_checking import Verdict, Violation
from provisioner.rules.registry import EVERY_RULE
from provisioner.rules.rule import ClusterOnlyRule, PlanRule, Rule, Severity

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"
# GitHub documentation, "SARIF support for code scanning", security-severity: over 9.0 critical, 7.0 high, 4.0 medium.
_SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "3.0"}


def write(verdicts: Sequence[Verdict]) -> None:
    """Write one SARIF log of one run."""
    sys.stdout.write(json.dumps(log(verdicts, root=Path.cwd()), ensure_ascii=False, indent=2) + "\n")


def log(verdicts: Sequence[Verdict], *, root: Path) -> dict[str, Any]:
    """The log; files below ``root`` are named relative to it."""
    rules = [rule for rule in EVERY_RULE if not isinstance(rule, ClusterOnlyRule)]
    places = {rule.id: place for place, rule in enumerate(rules)}
    driver = {"name": "coopctl", "semanticVersion": version("coopctl"), "rules": [_rule(rule) for rule in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The folder that coopctl was called in."}}},
        "results": [
            _result(violation, rule_index=places[violation.rule.id], root=root)
            for verdict in verdicts
            for violation in verdict.violations
        ],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule | PlanRule) -> dict[str, Any]:
    sources = "\n".join(f"- {source}" for source in rule.sources)
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.reason},
        "help": {
            "text": f"Remedy: {rule.remedy}. Sources: {'; '.join(rule.sources)}.",
            "markdown": f"**Why:** {rule.reason}\n\n**Remedy:** {rule.remedy}\n\n**Sources:**\n{sources}\n",
        },
        "defaultConfiguration": {"level": "error"},
        "properties": {
            "security-severity": _SCORES[rule.severity],
            "tags": ["security", "kubernetes", "multi-tenancy"],
            "enforcedBy": str(rule.enforcement),
        },
    }


def _result(violation: Violation, *, rule_index: int, root: Path) -> dict[str, Any]:
    excused = violation.excused
    about = f"{violation.object}: {violation.path}"
    result = {
        "ruleId": violation.rule.id,
        "ruleIndex": rule_index,
        "level": "error",
        "message": {"text": f"{about}: {violation.message}. Remedy: {violation.rule.remedy}."},
        "locations": [
            {
                "physicalLocation": _place(violation.location, root=root),
                "logicalLocations": [{"fullyQualifiedName": about, "kind": "object"}],
            }
        ],
        "partialFingerprints": {"coopctl/v1": _fingerprint(violation)},
        "properties": {"cooperative": violation.cooperative, "madeBy": str(violation.maker)},
    }
    if excused is not None:
        why = f"{excused.why} ({excused.who}, until {excused.until}; {excused.name})"
        result["suppressions"] = [{"kind": "external", "justification": why}]
    return result


def _place(location: Location, *, root: Path) -> dict[str, Any]:
    file = location.file.resolve()
    inside = file.is_relative_to(root.resolve())
    artifact = (
        {"uri": quote(file.relative_to(root.resolve()).as_posix()), "uriBaseId": _ROOT}
        if inside
        else {"uri": file.as_uri()}
    )
    region = {"startLine": location.line, **({"startColumn": location.column} if location.column else {})}
    return {"artifactLocation": artifact, **({"region": region} if location.line else {})}


def _fingerprint(violation: Violation) -> str:
    """Stays when lines move: the same rule, object and field of the same cooperative."""
    about = (violation.cooperative, violation.rule.id, violation.object, violation.path)
    return hashlib.sha256("\0".join(about).encode()).hexdigest()
