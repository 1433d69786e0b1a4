"""The page docs/reference/policies.md, from the rules themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cli.views.policy import judged
from provisioner.rules import (
    access_rules,
    catalogue_rules,
    chart_file_rules,
    chart_rules,
    claim_rules,
    cluster_only,
    image_rules,
    network_rules,
    pod_rules,
    pod_security,
    template_rules,
)
from provisioner.rules.excepting import known_rules
from provisioner.rules.registry import EVERY_RULE, AnyRule
from provisioner.rules.rule import Rule

_INTRODUCTION = """# Policies

Every rule is written once, in `provisioner/rules`, with its reason, source and remedy. Up to three places judge by it:

- **coopctl**, before anything is begun: `policy check`, `plan` and `apply` judge all that the builders and the charts
  would make, without a cluster. Exit code 5. `catalogue lint` judges a chart by the same rules, and by those that the
  catalogue asks for besides, before anybody can choose it.
- **the policy pack**, in Pulumi: every object that a program really declares, at preview and update. It is mandatory.
- **the cluster**: Pod Security, RBAC, or an admission policy (CEL, in the API server, fail closed), whoever asks.

A test holds all of them to the same verdict on the same objects. *Tenants* in the column "judged" means that the
platform's own builders may do it (they open the flows that a descriptor lists); charts count as tenants.
`coopctl policy explain RULE` prints one rule. Why the guards are as they are, and what they do not defend:
[threat model](../explanation/threat-model.md). How to do without one for a while:
[make an exception](../how-to/policy-exceptions.md).

The line below each heading names the item of Korea's Cloud Security Assurance Programme (CSAP, 클라우드
보안인증, list of control items) that the group contributes to. That is our reading, not a certificate.
"""
CSAP = {
    "6.2": "6.2 service availability (서비스 가용성)",
    "9.1": "9.1 virtual infrastructure (가상화 인프라)",
    "9.2": "9.2 virtual environment (가상 환경)",
    "10.2": "10.2 access rights (접근 권한 관리)",
    "11.1": "11.1 network security (네트워크 보안)",
    "12.1": "12.1 data protection (데이터 보호)",
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rules that are read together, and the CSAP item that they contribute to."""

    title: str
    rules: Sequence[AnyRule]
    csap: str


GROUPS = (
    Group(title="Pod Security Standards", rules=pod_security.RESTRICTED, csap="9.2"),
    Group(title="Images", rules=image_rules.RULES, csap="9.2"),
    Group(title="Pods", rules=pod_rules.RULES, csap="9.1"),
    Group(title="Templates of pods and claims", rules=template_rules.RULES, csap="9.1"),
    Group(title="Claims of storage", rules=claim_rules.RULES, csap="12.1"),
    Group(title="Services, Ingresses, NetworkPolicies", rules=network_rules.RULES, csap="11.1"),
    Group(title="Accounts, bindings, tokens", rules=access_rules.RULES, csap="10.2"),
    Group(title="What only the cluster can judge", rules=cluster_only.CLUSTER_ONLY_RULES, csap="10.2"),
    Group(title="Charts", rules=chart_rules.CHART_RULES, csap="9.1"),
    Group(title="Plans", rules=chart_rules.PLAN_RULES, csap="9.1"),
    Group(title="What the catalogue asks of a chart's objects", rules=catalogue_rules.CATALOGUE_RULES, csap="9.1"),
    Group(title="What the catalogue asks of a chart's files", rules=chart_file_rules.CHART_FILE_RULES, csap="9.1"),
)
# How the sources of rules begin, and what such a source is called as a heading.
_STANDARDS = (
    ("Kubernetes documentation, Multi-tenancy", "Kubernetes multi-tenancy guide"),
    ("Kubernetes documentation, Pod Security Standards", "Pod Security Standards"),
    ("NSA/CISA", "NSA/CISA Kubernetes Hardening Guide"),
    ("CIS ", "CIS Kubernetes Benchmark"),
    ("kubectl-mtb", "Multi-tenancy benchmark (kubectl-mtb)"),
    ("CVE-", "Vulnerabilities"),
)


def text() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, *(_section(group) for group in GROUPS), _by_standard()]
    return "\n".join(parts)


def _section(group: Group) -> str:
    fixed = known_rules().fixed
    lines = [
        f"## {group.title}",
        "",
        f"CSAP: {CSAP[group.csap]}",
        "",
        "| rule | severity | what it asks, and why | enforced by | judged | exceptions | sources |",
        "|---|---|---|---|---|---|---|",
        *(_row(rule, is_fixed=rule.id in fixed) for rule in group.rules),
    ]
    return "\n".join(lines) + "\n"


def _row(rule: AnyRule, *, is_fixed: bool) -> str:
    cells = (
        f"`{rule.id}`",
        str(rule.severity),
        f"{rule.title}: {rule.reason}. *Remedy:* {rule.remedy}",
        str(rule.enforcement),
        _judged(rule),
        "none" if is_fixed else "possible",
        "; ".join(rule.sources),
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _judged(rule: AnyRule) -> str:
    if isinstance(rule, Rule):
        return "tenants" if rule.binds_tenants_only else "everybody"
    return judged(rule)


def _by_standard() -> str:
    lines = ["## By standard", "", "Which rules follow which source.", ""]
    for prefix, title in _STANDARDS:
        found = list(_sources(prefix))
        lines += [f"**{title}**", "", *(f"- {source}: {', '.join(rules)}" for source, rules in found), ""]
    return "\n".join(lines)


def _sources(prefix: str) -> Iterator[tuple[str, list[str]]]:
    matching = sorted({source for rule in EVERY_RULE for source in rule.sources if source.startswith(prefix)})
    for source in matching:
        yield source, [f"`{rule.id}`" for rule in EVERY_RULE if source in rule.sources]
