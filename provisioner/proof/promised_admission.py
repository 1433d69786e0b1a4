"""Pure: what the planned admission policies must say: each rule's own words, wherever it is to be judged, fail closed.

Written a second time on purpose, beside the builders of policies. Attacks show that a rule is enforced; this shows what
none can: that a policy also judges changes, refuses where it cannot decide, and holds in every namespace of a tenant.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from provisioner.naming import (
    API_GROUP,
    LABEL_CLUSTER,
    LABEL_COOPERATIVE,
    LABEL_SOLUTION,
    RESOURCE_TENANTS,
    VERB_MANAGE,
    ClusterId,
)
from provisioner.plan.manifest import Manifest
from provisioner.rules.cluster_only import CHOSEN_VOLUME, GUARDED_NAMESPACES, PLATFORM_OBJECTS
from provisioner.rules.registry import RULES
from provisioner.rules.rule import Enforcement, Rule, Subject

_POLICY, _BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
_WRITES = frozenset({"CREATE", "UPDATE"})
_PODS = (
    *(("", name) for name in ("pods", "pods/ephemeralcontainers", "pods/resize")),
    *(("", name) for name in ("podtemplates", "replicationcontrollers")),
    *(("apps", name) for name in ("daemonsets", "deployments", "replicasets", "statefulsets")),
    *(("batch", name) for name in ("cronjobs", "jobs")),
)
# A StatefulSet holds claims in two places, each with a policy of its own: in its pods, and as templates.
_CLAIM_TEMPLATES = ("apps", "statefulsets")
_CLAIMS = ("", "persistentvolumeclaims")
# Where the rules on each subject are to be judged: API group and resource, as often as it is by different policies.
_PLACES: Mapping[Subject, Counter[tuple[str, str]]] = {
    Subject.PODS: Counter(_PODS),
    Subject.TEMPLATES: Counter((*_PODS, _CLAIM_TEMPLATES)),
    Subject.CLAIMS: Counter((*_PODS, _CLAIM_TEMPLATES, _CLAIMS)),
    Subject.SERVICES: Counter([("", "services")]),
    Subject.INGRESSES: Counter([("networking.k8s.io", "ingresses")]),
    Subject.NETWORK_POLICIES: Counter([("networking.k8s.io", "networkpolicies")]),
    Subject.ROLE_BINDINGS: Counter([("rbac.authorization.k8s.io", "rolebindings")]),
    Subject.SERVICE_ACCOUNTS: Counter([("", "serviceaccounts")]),
    Subject.SECRETS: Counter([("", "secrets")]),
    Subject.AUTOSCALERS: Counter([("autoscaling", "horizontalpodautoscalers")]),
    Subject.ALL: Counter([("*", "*")]),
}
_NAMESPACES = ("", "namespaces")
# What needs more than one object: where it is judged, and at which operations.
_CLUSTER_ONLY = {
    PLATFORM_OBJECTS.id: (Counter([("*", "*/*")]), _WRITES | {"DELETE"}),
    GUARDED_NAMESPACES.id: (Counter([_NAMESPACES]), _WRITES | {"DELETE"}),
    CHOSEN_VOLUME.id: (Counter([_CLAIMS]), frozenset({"UPDATE"})),
}
# Who is let through there: by the variables of these names, which attacks try, or a controller of the cluster.
_LET_THROUGH = {
    PLATFORM_OBJECTS.id: "variables.manages || variables.copies || variables.clears || variables.binds"
    " || variables.keepsBooks",
    GUARDED_NAMESPACES.id: "variables.keepsGuards || variables.manages",
    CHOSEN_VOLUME.id: "request.userInfo.username in ['system:serviceaccount:kube-system:persistent-volume-binder',"
    " 'system:kube-controller-manager']",
}
# Conditions under which a policy need not judge at all, by their names; no other is known. An update is judged that
# changes one of the fields which are judged.
_CONDITIONS = frozenset(
    {"judged-fields-change", "not-the-cluster-s-own", "is-the-platform-s", "is-a-tenant-s", "volume-changes"}
)
_CHANGES = re.compile(r"request\.operation == 'CREATE'( \|\| object\.\S+ != oldObject\.\S+)+")
_NOBODY = frozenset({"false", "!true", "!(true)"})
_MANAGES = f"authorizer.group('{API_GROUP}').resource('{RESOURCE_TENANTS}').check('{VERB_MANAGE}').allowed()"
_FACT = re.compile(rf"namespaceObject\.metadata\.annotations\['{re.escape(API_GROUP)}/[a-z-]+'\]")
_SOLUTION = re.escape(f".?metadata.?labels[?'{LABEL_SOLUTION}']")
# A pod is relabelled where its own label is another than before, or there for the first time.
_RELABELLED = re.compile(
    rf"request\.operation == 'CREATE' \? object(?P<at>(\.\?\w+)*){_SOLUTION}\.hasValue\(\)"
    rf" : object(?P=at){_SOLUTION} != oldObject(?P=at){_SOLUTION}"
)
# By whom pods, and what makes pods, are made as a template says.
_MAKERS = {
    "pods": ("daemon-set", "job", "replicaset", "replication", "statefulset"),
    "replicasets": ("deployment",),
    "jobs": ("cronjob",),
}
_LIST = r".split(' ').filter(item, item != '')"


def admission_lacks(manifests: Sequence[Manifest], *, rule: str) -> Iterator[str]:
    """What the planned policies lack of the rule with this id: a place where it is judged, or its own words there."""
    validated = list(_validated(manifests, rule=rule))
    if not validated:
        yield "no policy has it"
    for _, validation in validated:
        if validation["expression"] != _expression(rule):
            yield f"its expression is {validation['expression']}"
        if validation.get("reason") != "Forbidden":
            yield f"it refuses with {validation.get('reason')}, as what is malformed is refused"
    places, operations = _places(rule)
    for operation in sorted(operations):
        judged = Counter(place for policy, _ in validated for place in _judged(policy, operation=operation))
        for group, resource in sorted(places - judged):
            yield f"{operation} of {resource}{f'.{group}' if group else ''} is not judged by it"


def policy_lacks(policy: Manifest, *, bindings: Sequence[Manifest], cluster: ClusterId) -> Iterator[str]:
    """What a planned policy lacks to be in force for all that it judges, whatever goes wrong."""
    spec = policy["spec"]
    if spec.get("failurePolicy") != "Fail":
        yield f"it lets through what it cannot decide: failurePolicy is {spec.get('failurePolicy')}"
    yield from _narrowed(spec["matchConstraints"])
    for condition in spec.get("matchConditions") or ():
        yield from _loose_condition(condition)
    yield from _loose_variables(spec.get("variables") or ())
    own = [item for item in bindings if item["spec"].get("policyName") == policy["metadata"]["name"]]
    if not any(not list(_binding_lacks(item, cluster=cluster)) for item in own):
        yield next((said for item in own for said in _binding_lacks(item, cluster=cluster)), "nothing binds it")


def enforced_rules() -> tuple[str, ...]:
    """The ids of all rules that admission policies must enforce."""
    own = [rule.id for rule in RULES if rule.enforcement is Enforcement.ADMISSION_POLICY]
    return (*own, *_CLUSTER_ONLY)


def _validated(manifests: Sequence[Manifest], *, rule: str) -> Iterator[tuple[Manifest, Manifest]]:
    for manifest in manifests:
        for validation in manifest["spec"]["validations"] if manifest["kind"] == _POLICY else ():
            if validation["message"].startswith(f"[{rule}] "):
                yield manifest, validation


def _expression(rule: str) -> str:
    """How the rule is said."""
    if rule in _LET_THROUGH:
        return _LET_THROUGH[rule]
    return next(_said(one) for one in RULES if one.id == rule)


def _said(rule: Rule) -> str:
    each = {Subject.CLAIMS: "variables.claims.all(claim, {})", Subject.TEMPLATES: "variables.templates.all(labels, {})"}
    holds = each.get(rule.subject, "{}").format(rule.cel)
    manages = " || variables.manages" if rule.binds_tenants_only else ""
    return f"({holds}) || '{rule.id}' in variables.exceptions{manages}"


def _places(rule: str) -> tuple[Counter[tuple[str, str]], frozenset[str]]:
    if rule in _CLUSTER_ONLY:
        return _CLUSTER_ONLY[rule]
    return next(_PLACES[one.subject] for one in RULES if one.id == rule), _WRITES


def _judged(policy: Manifest, *, operation: str) -> Iterator[tuple[str, str]]:
    for rule in policy["spec"]["matchConstraints"]["resourceRules"]:
        every = "*" in rule["apiVersions"] and not rule.get("resourceNames")
        for place in ((group, resource) for group in rule["apiGroups"] for resource in rule["resources"]):
            scopes = {"*", "Cluster" if place == _NAMESPACES else "Namespaced"}
            if every and operation in rule["operations"] and rule["scope"] in scopes:
                yield place


def _loose_condition(condition: Manifest) -> Iterator[str]:
    name, said = condition["name"], condition["expression"]
    loose = name == "judged-fields-change" and not _CHANGES.fullmatch(said)
    if name not in _CONDITIONS or said in _NOBODY or loose:
        yield f"it judges only where {name} holds: {said}"


def _narrowed(constraints: Manifest) -> Iterator[str]:
    if constraints.get("matchPolicy") != "Equivalent":
        yield "it judges objects of one API version alone"
    for selector in ("namespaceSelector", "objectSelector"):
        if constraints.get(selector):
            yield f"it judges what its {selector} selects alone"
    for excluded in constraints.get("excludeResourceRules") or ():
        if excluded["resources"] != ["*/status"]:
            yield f"it does not judge {', '.join(excluded['resources'])}"


def _loose_variables(variables: Sequence[Manifest]) -> Iterator[str]:
    """Variables by which somebody is let through, or by whose facts a tenant is judged, and that say something else."""
    facts = {"domain", "ingressClass"}
    lists = {"exceptions", "namespaces", "registries", "storageClasses", "priorityClasses", "runtimeClasses"}
    for variable in variables:
        name, said = variable["name"], variable["expression"]
        fact = said.removesuffix(_LIST) if name in lists | {"operators", "solutions"} else said
        if said == "true" or (name == "manages" and said != _MANAGES):
            yield f"{name} is {said}"
        if (name == "templated" and said != _templated()) or (name == "relabelled" and not _RELABELLED.fullmatch(said)):
            yield f"{name} is {said}"
        if name in facts | lists | {"operators", "solutions"} and not _FACT.fullmatch(fact):
            yield f"the tenant's {name} are {said}"


def _templated() -> str:
    """Who makes what a template says, as the rule for solutions' labels lets them through: at the making alone."""
    made = []
    for resource, makers in _MAKERS.items():
        users = [f"system:serviceaccount:kube-system:{name}-controller" for name in makers]
        users.append("system:kube-controller-manager")
        made.append(f"(request.resource.resource == '{resource}' && request.userInfo.username in {users})")
    return f"request.operation == 'CREATE' && ({' || '.join(made)})"


def _binding_lacks(binding: Manifest, *, cluster: ClusterId) -> Iterator[str]:
    spec = binding["spec"]
    if "Deny" not in (spec.get("validationActions") or ()):
        yield f"it refuses nothing: its binding's actions are {spec.get('validationActions')}"
    chosen = spec.get("matchResources") or {}
    selector = {
        "matchExpressions": [
            {"key": LABEL_COOPERATIVE, "operator": "Exists"},
            {"key": LABEL_CLUSTER, "operator": "In", "values": [cluster]},
        ]
    }
    if chosen.get("namespaceSelector") not in (None, {}, selector):
        yield f"its binding selects {chosen['namespaceSelector']}"
    if chosen.get("matchPolicy") != "Equivalent":
        yield "its binding selects objects of one API version alone"
    narrowing = {"objectSelector", "resourceRules", "excludeResourceRules"}
    if any(chosen.get(name) for name in narrowing) or spec.get("paramRef"):
        yield "its binding selects some objects alone"
