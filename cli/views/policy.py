"""How the rules and what was judged by them look: text for people, JSON, SARIF for code scanning."""

from collections.abc import Iterable, Sequence
from typing import Any

from cli.views import human, json, sarif
from provisioner.operations.policy_checking import Verdict, Violation
from provisioner.rules.registry import AnyRule
from provisioner.rules.rule import ClusterOnlyRule, Enforcement, Rule


def show(verdicts: Sequence[Verdict], *, output: str) -> None:
    """Show what was found: first what nothing excuses, then what an exception excuses, then how much was judged."""
    if output == "sarif":
        sarif.write(verdicts)
        return
    if output == "json":
        json.write("PolicyReport", {"verdicts": [_verdict_document(verdict) for verdict in verdicts]})
        return
    out = human.stdout()
    violations = [violation for verdict in verdicts for violation in verdict.violations]
    for violation in sorted(violations, key=lambda one: one.excused is not None):
        for line in violation_lines(violation):
            out.print(line, markup=False)
    out.print(_summary(verdicts), markup=False)


def show_rules(rules: Sequence[AnyRule], *, output: str) -> None:
    """Show every rule in a line."""
    if output == "json":
        json.write("PolicyRules", {"rules": [rule_document(rule) for rule in rules]})
        return
    rows = [(rule.id, str(rule.severity), str(rule.enforcement), rule.title, rule.sources[0]) for rule in rules]
    human.stdout().print(
        human.table("rule", "severity", "enforced by", "what it asks", "first source", rows=list(rows))
    )


def show_rule(rule: AnyRule, *, why_fixed: str | None, output: str) -> None:
    """Show all that is known of one rule; ``why_fixed`` is why there is no exception from it, if there is none."""
    if output == "json":
        json.write("PolicyRule", {**rule_document(rule), "exceptable": why_fixed is None})
        return
    out = human.stdout()
    for line in (
        f"{rule.id}: {rule.title}",
        f"  severity:    {rule.severity}",
        f"  why:         {rule.reason}",
        f"  remedy:      {rule.remedy}",
        f"  enforced by: {rule.enforcement}",
        f"  judged:      {judged(rule)}",
        f"  exceptions:  {f'none: {why_fixed}' if why_fixed else 'documents of kind PolicyException'}",
        *(f"  source:      {source}" for source in rule.sources),
    ):
        out.print(line, markup=False)


def judged(rule: AnyRule) -> str:
    """Where and on whose objects the rule is judged."""
    if isinstance(rule, ClusterOnlyRule):
        return f"in the cluster alone: it needs {rule.needs}"
    if rule.enforcement is Enforcement.CATALOGUE:
        return "by `coopctl catalogue lint`, before a chart is offered"
    if not isinstance(rule, Rule):
        return "by coopctl, on a plan as a whole"
    whose = "what tenants and charts bring" if rule.binds_tenants_only else "everybody's objects"
    return f"before anything is applied, on {whose}"


def rule_document(rule: AnyRule) -> dict[str, Any]:
    """The JSON form of a rule."""
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": str(rule.severity),
        "reason": rule.reason,
        "sources": list(rule.sources),
        "remedy": rule.remedy,
        "enforcedBy": str(rule.enforcement),
        "judged": judged(rule),
    }


def _verdict_document(verdict: Verdict) -> dict[str, Any]:
    return {
        "cooperative": verdict.cooperative,
        "objects": verdict.objects,
        "violations": [violation_document(violation) for violation in verdict.violations],
    }


def violation_document(violation: Violation) -> dict[str, Any]:
    """The JSON form of a violation."""
    excused = violation.excused
    return {
        "rule": violation.rule.id,
        "severity": str(violation.rule.severity),
        "object": {"kind": violation.kind, "namespace": violation.namespace, "name": violation.name},
        "madeBy": str(violation.maker),
        "path": violation.path,
        "message": violation.message,
        "reason": violation.rule.reason,
        "sources": list(violation.rule.sources),
        "remedy": violation.rule.remedy,
        "file": str(violation.location.file),
        "line": violation.location.line,
        "column": violation.location.column,
        "exception": {"name": excused.name, "who": excused.who, "why": excused.why, "until": f"{excused.until}"}
        if excused
        else None,
    }


def violation_lines(violation: Violation) -> Iterable[str]:
    """A violation for people: where, how bad, which rule, what; then why and the remedy, or what excuses it."""
    rule, excused = violation.rule, violation.excused
    what = f"{rule.id}: {violation.object}: {violation.path}: {violation.message}"
    if excused is not None:
        yield f"{violation.location}: excepted until {excused.until}: {what}"
        yield f"    {excused.who}: {excused.why} ({excused.source.file.name})"
        return
    yield f"{violation.location}: {rule.severity}: {what}"
    yield f"    why: {rule.reason} ({rule.sources[0]})"
    yield f"    remedy: {rule.remedy}"


def _summary(verdicts: Sequence[Verdict]) -> str:
    objects = sum(verdict.objects for verdict in verdicts)
    broken = sum(len(verdict.unexcused) for verdict in verdicts)
    excepted = sum(len(verdict.violations) for verdict in verdicts) - broken
    of = verdicts[0].cooperative if len(verdicts) == 1 else counted(len(verdicts), "cooperative")
    found = counted(broken, "violation") if broken else "no violation"
    return f"{of}: {counted(objects, 'object')} judged: {found}" + (f", {excepted} excepted" if excepted else "")


def counted(number: int, noun: str) -> str:
    """``number`` of what ``noun`` names."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
