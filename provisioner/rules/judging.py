"""Judges manifests by the rules.

Who made an object decides which rules hold: what the platform's own builders make may open flows to the outside, what a
solution's chart or a tenant brings may not. Labels do not decide that: a chart could bear any.
"""

from collections.abc import Iterable, Iterator, Sequence

from provisioner.rules.facts import Facts
from provisioner.rules.parts import mapping, parts
from provisioner.rules.registry import RULES
from provisioner.rules.rule import Finding, Object, Rule


def judge(
    manifest: Object, *, facts: Facts, made_by_platform: bool = False, rules: Sequence[Rule] = RULES
) -> tuple[Finding, ...]:
    """Every violation in ``manifest``, in the order of the rules; those that are excepted for the tenant left out."""
    return tuple(
        _findings(manifest, facts=facts, rules=_holding(rules, facts=facts, made_by_platform=made_by_platform))
    )


def _holding(rules: Iterable[Rule], *, facts: Facts, made_by_platform: bool) -> Iterator[Rule]:
    for rule in rules:
        if rule.id not in facts.exceptions and not (made_by_platform and rule.binds_tenants_only):
            yield rule


def _findings(manifest: Object, *, facts: Facts, rules: Iterable[Rule]) -> Iterator[Finding]:
    about = mapping(manifest.get("metadata"))
    for rule in rules:
        for part in parts(manifest, subject=rule.subject):
            for fault in rule.judge(part, facts):
                yield Finding(
                    rule=rule,
                    kind=str(manifest.get("kind")),
                    name=str(about.get("name", "")),
                    namespace=str(about.get("namespace", "")),
                    fault=fault,
                )
