"""Pure: which guard refused, by the API server's own words.

Every refusal is a 403 "... is forbidden: ..."; a 404, a conflict or a validation error is none. The words are those of
Kubernetes 1.35: apiserver endpoints/handlers/responsewriters/errors.go, registry/rbac, the admission plugins
resourcequota and limitranger, pod-security-admission, and admission/plugin/policy/validating/dispatcher.go.
"""

import re

from provisioner.cluster.api import Answer
from provisioner.proof.attempts import Guard, GuardKind

FORBIDDEN = 403
# Ours begin with the id of the rule. Policies come first: their messages are free text and may quote anything.
_POLICY = re.compile(
    r"ValidatingAdmissionPolicy '[^']*'(?: with binding '[^']*')? denied request: (?:\[([a-z0-9-]+)\])?"
)
_POD_SECURITY = re.compile(r'violates PodSecurity "')
_QUOTA = re.compile(r"exceeded quota: |failed quota: |insufficient quota")
_LIMITS = re.compile(r"(maximum|minimum) [\w./-]+ usage per \w+ is |max limit to request ratio per \w+ is ")
_RIGHT = re.compile(r'User "[^"]*" cannot \S+ (?:resource "[^"]*" in API group|path) "')
_ESCALATION = re.compile(r"is attempting to grant RBAC permissions not currently held")
_ACTING_AS = re.compile(r'cannot impersonate resource "')


def refusing_guard(answer: Answer) -> Guard | None:
    """The guard that refused, or None where it was something else."""
    if answer.status != FORBIDDEN:
        return None
    text = answer.message
    if found := _POLICY.search(text):
        return Guard(kind=GuardKind.ADMISSION_POLICY, rule=found[1] or "?")
    for kind, words in _WORDS.items():
        if words.search(text):
            return Guard(kind=kind)
    return None


def may_not_act_as(answer: Answer) -> bool:
    """Whether coopctl itself lacks the right to act as somebody else: that says nothing about that somebody."""
    return answer.status == FORBIDDEN and bool(_ACTING_AS.search(answer.message))


_WORDS = {
    GuardKind.POD_SECURITY: _POD_SECURITY,
    GuardKind.QUOTA: _QUOTA,
    GuardKind.LIMIT_RANGE: _LIMITS,
    GuardKind.RBAC: re.compile(f"{_RIGHT.pattern}|{_ESCALATION.pattern}"),
}
