"""The proof as evidence: what was attempted when, with which plan and by which coopctl, kept beside the stack's state.

A record is a document like any other answer of coopctl's, so that it can be read without it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provisioner.datastore.records import Records
from provisioner.errors import CoopctlError
from provisioner.proof.attempts import About, Area, Guard, GuardKind
from provisioner.proof.verdicts import Ending, Finding, Verdict, problems

_FOLDER = "proofs"
_API_VERSION = "coopctl.dev/v1"
_KIND = "Proof"
# A refusal's own words are kept as far as people read them.
_SAID = 400


@dataclass(frozen=True, kw_only=True)
class Proof:
    """All findings on one cooperative.

    ``cluster`` is the uid of the cluster, ``plan`` the fingerprint of the plan and ``state`` the digest of the stack's
    state, as they were at ``at``; it took ``seconds``.
    """

    cooperative: str
    at: datetime
    seconds: float
    coopctl: str
    cluster: str
    plan: str
    state: str
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What does not show isolation."""
        return problems(self.findings)

    @property
    def counts(self) -> Mapping[Ending, int]:
        """How many attempts ended how."""
        return Counter(finding.verdict.ending for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A proof that is kept, and the digest (SHA-256) of its record."""

    proof: Proof
    digest: str


def as_document(proof: Proof) -> dict[str, Any]:
    """The proof as JSON-ready data."""
    return {
        "cooperative": proof.cooperative,
        "isolated": not proof.problems,
        "at": proof.at.isoformat(timespec="seconds"),
        "seconds": round(proof.seconds, 1),
        "coopctl": proof.coopctl,
        "cluster": proof.cluster,
        "plan": proof.plan,
        "state": proof.state,
        "summary": {str(ending): proof.counts.get(ending, 0) for ending in Ending},
        "attempts": [_finding_document(finding) for finding in proof.findings],
    }


def keep(proof: Proof, *, records: Records) -> str:
    """Keep the proof as the stack's newest; gives its digest (SHA-256)."""
    content = {"apiVersion": _API_VERSION, "kind": _KIND, **as_document(proof)}
    text = (json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
    records.write(_path(proof.cooperative), text)
    return _digest(text)


def newest(cooperative: str, *, records: Records) -> Evidence | None:
    """The newest proof of a cooperative, or None. Raises CoopctlError if it cannot be read."""
    text = records.read(_path(cooperative))
    if text is None:
        return None
    try:
        return Evidence(proof=_proof(json.loads(text)), digest=_digest(text))
    # Nested without end, JSON is more than the reader's stack holds.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        hint = f"run `coopctl prove {cooperative}`: it writes a new one"
        raise CoopctlError(f"the proof of {cooperative} is damaged", why=str(error), hint=hint) from error


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _path(cooperative: str) -> str:
    return f"{_FOLDER}/{cooperative}.json"


def _finding_document(finding: Finding) -> dict[str, Any]:
    about, verdict = finding.about, finding.verdict
    return {
        "id": about.id,
        "area": str(about.area),
        "who": about.who,
        "what": about.what,
        "guard": _guard_document(about.guard),
        "verdict": str(verdict.ending),
        "by": _guard_document(verdict.by),
        "said": verdict.said[:_SAID],
    }


def _guard_document(guard: Guard | None) -> dict[str, str] | None:
    return {"kind": str(guard.kind), "rule": guard.rule} if guard else None


def _proof(content: Mapping[str, Any]) -> Proof:
    return Proof(
        cooperative=content["cooperative"],
        # What bears no time zone was not written here; read as this machine's, it has at least an age.
        at=datetime.fromisoformat(content["at"]).astimezone(UTC),
        seconds=content["seconds"],
        coopctl=content["coopctl"],
        cluster=content["cluster"],
        plan=content["plan"],
        state=content["state"],
        findings=tuple(_finding(item) for item in content["attempts"]),
    )


def _finding(item: Mapping[str, Any]) -> Finding:
    about = About(
        id=item["id"], area=Area(item["area"]), who=item["who"], what=item["what"], guard=_guard(item["guard"])
    )
    verdict = Verdict(ending=Ending(item["verdict"]), by=_guard(item["by"]), said=item["said"])
    return Finding(about=about, verdict=verdict)


def _guard(item: Mapping[str, str] | None) -> Guard | None:
    return Guard(kind=GuardKind(item["kind"]), rule=item["rule"]) if item else None
