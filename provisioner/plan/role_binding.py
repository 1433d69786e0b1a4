"""RoleBindings (rbac.authorization.k8s.io/v1): who the operators of a tenant are."""

from provisioner.descriptor.cooperative import Operator
from provisioner.plan.manifest import Manifest
from provisioner.plan.metadata import metadata
from provisioner.plan.role import API_VERSION, OPERATORS
from provisioner.plan.tenant import TenantNamespace

API_GROUP = "rbac.authorization.k8s.io"


def operators_binding(namespace: TenantNamespace) -> Manifest:
    """The cooperative's operators in one of its namespaces; without operators, a binding of nobody."""
    operators = sorted(namespace.tenant.cooperative.operators, key=lambda operator: (operator.kind, operator.name))
    subjects = [_subject(operator) for operator in operators]
    return {
        "apiVersion": API_VERSION,
        "kind": "RoleBinding",
        "metadata": metadata(namespace, name=OPERATORS),
        "roleRef": {"apiGroup": API_GROUP, "kind": "Role", "name": OPERATORS},
        # The API server leaves an empty list out, so writing it would look like a change for ever.
        **({"subjects": subjects} if subjects else {}),
    }


def _subject(operator: Operator) -> Manifest:
    return {"apiGroup": API_GROUP, "kind": str(operator.kind), "name": operator.name}
