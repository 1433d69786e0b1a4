"""ValidatingAdmissionPolicies (admissionregistration.k8s.io/v1) that hold tenants to the rules in the cluster.

They run inside the API server and fail closed: a fact of the tenant that its Namespace does not bear refuses what needs
it (Kubernetes documentation, "Validating Admission Policy"). They hold for everybody, controllers and administrators
too; what the platform itself may do is asked as a right (``variables.manages``), never by name. Each rule is one
validation, and its message begins with the rule's id: who is refused, and who proves, can name the rule. Refusals are
also annotated in the audit log, where a cluster has one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from provisioner.naming import (
    ANNOTATION_DOMAIN,
    ANNOTATION_EXCEPTIONS,
    ANNOTATION_INGRESS_CLASS,
    ANNOTATION_NAMESPACES,
    ANNOTATION_OPERATORS,
    ANNOTATION_PRIORITY_CLASSES,
    ANNOTATION_REGISTRIES,
    ANNOTATION_RUNTIME_CLASSES,
    ANNOTATION_SOLUTIONS,
    ANNOTATION_STORAGE_CLASSES,
    API_GROUP,
    LABEL_CLUSTER,
    LABEL_COOPERATIVE,
    RESOURCE_TENANTS,
    VERB_MANAGE,
    ClusterId,
    platform_labels,
)
from provisioner.plan.admission_sections import Section, sections
from provisioner.plan.manifest import Manifest
from provisioner.rules.registry import RULES
from provisioner.rules.rule import ClusterOnlyRule, Enforcement, Rule, Subject

API_VERSION = "admissionregistration.k8s.io/v1"
POLICY = "ValidatingAdmissionPolicy"
BINDING = "ValidatingAdmissionPolicyBinding"
WRITES = ("CREATE", "UPDATE")
MANAGES = f"authorizer.group('{API_GROUP}').resource('{RESOURCE_TENANTS}').check('{VERB_MANAGE}').allowed()"
"""CEL: whether who asks manages tenants; asked cluster-wide, so that no right within a namespace counts."""
# What each resource is made by, out of another one's template (Kubernetes, controller roles).
_MAKERS = {
    "pods": (
        "daemon-set-controller",
        "job-controller",
        "replicaset-controller",
        "replication-controller",
        "statefulset-controller",
    ),
    "replicasets": ("deployment-controller",),
    "jobs": ("cronjob-controller",),
}


def controllers(*names: str) -> str:
    """CEL: whether one of these controllers asks, or all of them, in a cluster where they share one account."""
    accounts = [f"system:serviceaccount:kube-system:{name}" for name in names]
    return f"request.userInfo.username in {[*accounts, 'system:kube-controller-manager']}"


def _fact(annotation: str) -> str:
    return f"namespaceObject.metadata.annotations['{annotation}']"


def _list_of(annotation: str) -> str:
    # An empty list is '' there; as an item it would be a prefix of everything.
    return f"{_fact(annotation)}.split(' ').filter(item, item != '')"


def _templated() -> str:
    """CEL: whether a controller makes what a template says, which was judged when somebody wrote it."""
    makes = (
        f"request.resource.resource == '{resource}' && {controllers(*names)}" for resource, names in _MAKERS.items()
    )
    return f"request.operation == 'CREATE' && ({' || '.join(f'({one})' for one in makes)})"


_FACTS = {
    "exceptions": _list_of(ANNOTATION_EXCEPTIONS),
    "namespaces": _list_of(ANNOTATION_NAMESPACES),
    "domain": _fact(ANNOTATION_DOMAIN),
    "registries": _list_of(ANNOTATION_REGISTRIES),
    "storageClasses": _list_of(ANNOTATION_STORAGE_CLASSES),
    "priorityClasses": _list_of(ANNOTATION_PRIORITY_CLASSES),
    "runtimeClasses": _list_of(ANNOTATION_RUNTIME_CLASSES),
    "ingressClass": _fact(ANNOTATION_INGRESS_CLASS),
    "operators": _list_of(ANNOTATION_OPERATORS),
    "solutions": _list_of(ANNOTATION_SOLUTIONS),
    "manages": MANAGES,
    "templated": _templated(),
}
_EACH = {
    Subject.CLAIMS: "variables.claims.all(claim, {})",
    Subject.TEMPLATES: "variables.templates.all(labels, {})",
}


def rule_policies(*, cluster: ClusterId) -> list[Manifest]:
    """One policy for each section, with its binding to the namespaces of the tenants of ``cluster``."""
    made: list[Manifest] = []
    for section in sections():
        name = policy_name(section.name, cluster=cluster)
        made += [
            policy(
                name,
                cluster=cluster,
                rules=[resource_rule(group, names) for group, names in section.resources],
                conditions=_conditions(section),
                variables=_used_variables(section),
                validations=[_validation(rule) for rule in _rules_of(section)],
            ),
            binding(name, cluster=cluster),
        ]
    return made


def policy_name(section: str, *, cluster: ClusterId) -> str:
    """The name of a policy and of its binding: with the cluster's id, so that no other estate takes its place."""
    return f"{section}.{cluster}.{API_GROUP}"


def policy(
    name: str,
    *,
    cluster: ClusterId,
    rules: list[Manifest],
    conditions: Mapping[str, str],
    variables: Mapping[str, str],
    validations: list[Manifest],
    excluded: list[Manifest] | None = None,
) -> Manifest:
    """A policy; what the API server would add by itself is written out, so that nothing looks like a change."""
    return {
        "apiVersion": API_VERSION,
        "kind": POLICY,
        "metadata": {"name": name, "labels": platform_labels(cluster=cluster)},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": rules,
                **({"excludeResourceRules": excluded} if excluded else {}),
            },
            "matchConditions": _named_expressions(conditions),
            **({"variables": _named_expressions(variables)} if variables else {}),
            "validations": validations,
        },
    }


def binding(name: str, *, cluster: ClusterId, everywhere: bool = False) -> Manifest:
    """Puts the policy ``name`` into force in the tenants' namespaces, or ``everywhere``."""
    selector = {
        "matchExpressions": [
            {"key": LABEL_COOPERATIVE, "operator": "Exists"},
            {"key": LABEL_CLUSTER, "operator": "In", "values": [cluster]},
        ]
    }
    return {
        "apiVersion": API_VERSION,
        "kind": BINDING,
        "metadata": {"name": name, "labels": platform_labels(cluster=cluster)},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny", "Audit"],
            "matchResources": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {} if everywhere else selector,
                "objectSelector": {},
            },
        },
    }


def resource_rule(
    group: str, names: Iterable[str], *, operations: Iterable[str] = WRITES, scope: str = "Namespaced"
) -> Manifest:
    """Which requests a policy looks at."""
    return {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "operations": list(operations),
        "resources": list(names),
        # A binding's selector of namespaces passes every cluster-wide object.
        "scope": scope,
    }


def validation(rule: Rule | ClusterOnlyRule, expression: str) -> Manifest:
    """The validation that refuses what breaks ``rule``: with 403, as RBAC does."""
    return {
        "expression": expression,
        "message": f"[{rule.id}] {rule.title}; {rule.remedy}",
        "reason": "Forbidden",
    }


def _named_expressions(expressions: Mapping[str, str]) -> list[Manifest]:
    return [{"name": key, "expression": text} for key, text in expressions.items()]


def _rules_of(section: Section) -> Iterator[Rule]:
    for rule in RULES:
        if rule.enforcement is Enforcement.ADMISSION_POLICY and rule.subject in section.subjects:
            yield rule


def _validation(rule: Rule) -> Manifest:
    holds = _EACH.get(rule.subject, "{}").format(rule.cel)
    manages = " || variables.manages" if rule.binds_tenants_only else ""
    return validation(rule, f"({holds}) || '{rule.id}' in variables.exceptions{manages}")


def _conditions(section: Section) -> dict[str, str]:
    changed = " || ".join(_differs(path) for path in section.changing)
    unless = {"not-the-cluster-s-own": f"!({section.unless})"} if section.unless else {}
    return {"judged-fields-change": f"request.operation == 'CREATE' || {changed}", **unless}


def _differs(path: str) -> str:
    fields, _, key = path.removesuffix("]").partition("[")
    place = f".?{fields.replace('.', '.?')}" + (f"[?'{key}']" if key else "")
    after, before = (f"{root}{place}" for root in ("object", "oldObject"))
    return f"{after} != {before}"


def _used_variables(section: Section) -> dict[str, str]:
    """The variables that the section's rules name, and those that these name, in the order of their definition."""
    known = {**_FACTS, **section.variables}
    wanted = _named(validation["expression"] for validation in map(_validation, _rules_of(section)))
    while more := _named(known[name] for name in wanted) - wanted:
        wanted |= more
    return {name: text for name, text in known.items() if name in wanted}


def _named(expressions: Iterable[str]) -> set[str]:
    return {name for text in expressions for name in re.findall(r"\bvariables\.(\w+)", text)}
