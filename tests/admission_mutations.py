"""Admission policies and their bindings, weakened at one place at a time: mutants that the API server takes."""

from collections.abc import Iterator, Mapping

from provisioner.plan.manifest import Manifest
from provisioner.rules.registry import RULES
from tests.manifest_changes import Weakening, added, removed, replaced

_FOREIGN = "coopctl-proof-foreign"
# What each variable would have to say for policies to let an attacker through; their types are the ones they had.
_LOOSE: Mapping[str, str] = {
    "exceptions": str([rule.id for rule in RULES]),
    "namespaces": str(["kube-system", _FOREIGN]),
    "domain": "'invalid'",
    "registries": str(["coopctl-proof.invalid/"]),
    "storageClasses": str([_FOREIGN]),
    "priorityClasses": str(["system-cluster-critical"]),
    "runtimeClasses": str([_FOREIGN]),
    "ingressClass": f"'{_FOREIGN}'",
    "operators": str([f"User:{_FOREIGN}", "Group:system:authenticated"]),
    "solutions": "['none']",
    "manages": "true",
    "bound": "true",
    "spec": "dyn({'none': 'none'})",
    "metadata": "dyn({'none': 'none'})",
    "annotations": "{'note': 'none'}",
    "containers": "[object].filter(o, false)",
    "claims": "[object].filter(o, false)",
    "templates": "[object].filter(o, false)",
    "finalizers": "[object].filter(o, false)",
    "relabelled": "false",
    "templated": "true",
    **dict.fromkeys(("copies", "clears", "binds", "keepsBooks", "keepsGuards"), "true"),
}


# By these a policy finds what it judges: attacks alone tell whether it does.
_FINDING = frozenset({"annotations", "bound", "claims", "containers", "finalizers", "metadata", "spec", "templates"})
FINDS_NOTHING = "finds nothing by "


def policy_mutations(manifest: Manifest) -> Iterator[Weakening]:
    """A policy that lets something through, or is not asked."""
    spec = manifest["spec"]
    yield replaced("spec", "failurePolicy", value="Ignore")
    for number, _ in enumerate(spec["validations"]):
        yield replaced("spec", "validations", number, "expression", value="true")
        yield replaced("spec", "validations", number, "reason", value="Invalid")
        if len(spec["validations"]) > 1:
            yield removed("spec", "validations", number)
        else:
            yield replaced("spec", "validations", value=[{"expression": "true", "message": "-", "reason": "Invalid"}])
    for number, _ in enumerate(spec["matchConditions"]):
        yield replaced("spec", "matchConditions", number, "expression", value="false")
        yield replaced("spec", "matchConditions", number, "name", value="never")
    yield added("spec", "matchConditions", value={"name": "never", "expression": "false"})
    for number, variable in enumerate(spec.get("variables", ())):
        name = variable["name"]
        what, change = replaced("spec", "variables", number, "expression", value=_LOOSE[name])
        yield f"{FINDS_NOTHING}{name}" if name in _FINDING else what, change
    yield from _constraint_mutations(spec["matchConstraints"])


def _constraint_mutations(constraints: Manifest) -> Iterator[Weakening]:
    where = ("spec", "matchConstraints")
    yield replaced(*where, "matchPolicy", value="Exact")
    for selector in ("namespaceSelector", "objectSelector"):
        yield replaced(*where, selector, value={"matchLabels": {"guarded": "yes"}})
    for number, rule in enumerate(constraints["resourceRules"]):
        here = (*where, "resourceRules", number)
        yield replaced(*here, "apiGroups", value=["none.example"])
        yield replaced(*here, "apiVersions", value=["v9"])
        yield replaced(*here, "scope", value="Cluster" if rule["scope"] == "Namespaced" else "Namespaced")
        for kind in ("operations", "resources"):
            for index, _ in enumerate(rule[kind]):
                yield (
                    removed(*here, kind, index)
                    if len(rule[kind]) > 1
                    else replaced(*here, kind, value=["CONNECT"] if kind == "operations" else ["none"])
                )
    excluded = {
        "apiGroups": ["", "apps"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["*"],
        "scope": "*",
    }
    yield replaced(*where, "excludeResourceRules", value=[excluded])


def binding_mutations(manifest: Manifest) -> Iterator[Weakening]:
    """A binding that refuses nothing, or only somewhere."""
    yield replaced("spec", "validationActions", value=["Audit"])
    yield replaced("spec", "policyName", value="another")
    where = ("spec", "matchResources")
    yield replaced(*where, "matchPolicy", value="Exact")
    for selector in ("namespaceSelector", "objectSelector"):
        yield replaced(*where, selector, value={"matchLabels": {"guarded": "yes"}})
