"""Pure: why the API server refused something, by its own words.

Every refusal is a 403 "... is forbidden: ...", whoever refuses: authorization, an admission plugin or a policy. Only
the rest of the sentence tells them apart.
"""

import re
from enum import Enum


class Refusal(Enum):
    """What stood against it: a right that the caller lacks, or a policy. Quotas and limits are neither."""

    RIGHT = "right"
    POLICY = "policy"


# Kubernetes 1.35: apiserver, endpoints/handlers/responsewriters/errors.go; registry/rbac/validation/rule.go; 401.
_RIGHT = re.compile(
    r'User "[^"]*" cannot \S+ (resource "[^"]*" in API group|path) "'
    r"|is attempting to grant RBAC permissions not currently held"
    r"|the server has asked for the client to provide credentials"
)
# apiserver, admission/plugin/policy/validating/dispatcher.go and webhook/errors; pod-security-admission.
_POLICY = re.compile(
    r"ValidatingAdmissionPolicy '[^']*'( with binding '[^']*')? denied request"
    r'|violates PodSecurity "'
    r'|admission webhook "[^"]*" denied the request'
)


def refusal(text: str) -> Refusal | None:
    """Why the API server refused, by its message; None where neither right nor policy stood against it."""
    # Policies first: their messages are free text and may quote anything.
    if _POLICY.search(text):
        return Refusal.POLICY
    return Refusal.RIGHT if _RIGHT.search(text) else None
