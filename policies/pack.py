"""The one policy of the pack: every Kubernetes object of a cooperative's stack keeps to the rules.

One policy, not one for each rule: pulumi_policy takes an object apart anew for every policy that it is shown to.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    proxy,
)

from provisioner.rules.judging import judge
from provisioner.rules.pack_settings import POLICY, ExceptedObject, PackSettings, from_configuration
from provisioner.rules.registry import RULES, RULES_FOR_CHARTS
from provisioner.rules.rule import Finding

_KUBERNETES = "kubernetes:"
# Pulumi's component of a chart: nothing in the cluster itself; its children are, and bear its type in their URN.
_CHART = "kubernetes:helm.sh/v4:Chart"
_UNKNOWNS = frozenset(value for name, value in vars(proxy).items() if name.startswith("UNKNOWN_"))
_UNKNOWN = "(known after apply)"


def isolation() -> ResourceValidationPolicy:
    """The policy; without the tenant's facts as its configuration Pulumi refuses to go on."""
    return ResourceValidationPolicy(
        name=POLICY,
        description="An object breaks a rule (`coopctl policy list` shows all of them).",
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
        config_schema=PolicyConfigSchema(
            properties={"facts": {"type": "object"}, "excepted": {"type": "array"}}, required=["facts", "excepted"]
        ),
    )


def validate(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
    """Report every rule that the object ``args`` breaks; what is no Kubernetes object is not judged here."""
    if not args.resource_type.startswith(_KUBERNETES) or args.resource_type == _CHART:
        return
    manifest = plain(args.props)
    if not is_one_object(manifest):
        report_violation(f"{args.resource_type} {args.name} is not one object, so that no rule can judge it", None)
        return
    for finding in findings(manifest, urn=args.urn, settings=from_configuration(args.get_config())):
        report_violation(text_of(finding), None)


def findings(manifest: Mapping[str, Any], *, urn: str, settings: PackSettings) -> Iterator[Finding]:
    """The rules that ``manifest`` breaks, exceptions left out. The URN says who made it: labels could say anything."""
    in_chart = is_from_chart(urn)
    rules = RULES_FOR_CHARTS if in_chart else RULES
    for finding in judge(manifest, facts=settings.facts, made_by_platform=not in_chart, rules=rules):
        if ExceptedObject(rule=finding.rule.id, kind=finding.kind, name=finding.name) not in settings.excepted:
            yield finding


def is_from_chart(urn: str) -> bool:
    """Whether the object is a child of a Helm chart, at whatever depth."""
    return f"{_CHART}$" in urn.split("::")[2]


def is_one_object(manifest: Mapping[str, Any]) -> bool:
    """Whether this is a Kubernetes object; a Helm release or a list would bring others unseen."""
    kind = manifest.get("kind")
    return bool(manifest.get("apiVersion")) and bool(kind) and not str(kind).endswith("List")


def text_of(finding: Finding) -> str:
    """A finding in words: the object, the rule, what is wrong, and what to do."""
    where = f"{finding.namespace}/{finding.name}" if finding.namespace else finding.name
    return (
        f"{finding.rule.id}: {finding.kind} {where}: {finding.fault.path}: {finding.fault.message}"
        f" (remedy: {finding.rule.remedy})"
    )


def plain(value: Any) -> Any:
    """Pulumi's views of an object's properties as plain data.

    The views are no lists and dicts, and hold every number as a float. What is not known before apply becomes a text
    that says so: where a rule judges it, it is refused, since what nobody knows yet nobody can review.
    """
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in _seen_through(value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in _seen_through(value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return _UNKNOWN if isinstance(value, str) and value in _UNKNOWNS else value


def _seen_through(view: Any) -> Any:
    """What a view of pulumi_policy shows, also where looking at it would raise."""
    return view if isinstance(view, dict | list) else view["__target"]
