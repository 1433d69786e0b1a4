"""Runs the attempts on the API server: access reviews, dry runs, and looks at guards.

An object that comes as far as the quota has passed every other guard: the API server asks the quota last (Kubernetes,
pkg/kubeapiserver/options/plugins.go, AllOrderedPlugins). So a full quota neither stops a proof nor hides a hole.
"""

from collections.abc import Iterator
from typing import assert_never

from provisioner.cluster.api import JSON, Answer, ApiServer
from provisioner.plan.manifest import Manifest
from provisioner.proof.attempts import (
    About,
    AcceptedWith,
    AccessReview,
    DryRun,
    Guard,
    GuardKind,
    GuardLook,
    Look,
    RequestAttempt,
    RulesReview,
)
from provisioner.proof.attribution import may_not_act_as, refusing_guard
from provisioner.proof.comparing import deviations, shortfalls
from provisioner.proof.rights import URLS_OF_EVERYBODY, Askable, rights
from provisioner.proof.verdicts import Ending, Verdict, allowed, not_attempted, refused

_AUTHORIZATION = "authorization.k8s.io/v1"
_REVIEWS = f"/apis/{_AUTHORIZATION}/subjectaccessreviews"
OWN_RULES = f"/apis/{_AUTHORIZATION}/selfsubjectrulesreviews"
_RBAC = Guard(kind=GuardKind.RBAC)
_SHOWN = 5
# Its own settings come before every guard (kube-apiserver, --allow-privileged).
_UNSUPPORTED = "disallowed by cluster policy"
_CANNOT_ACT = "the kubeconfig's user may not act as others (verb impersonate)"


class RequestRunner:
    """Makes attempts on one API server; may be used by several threads."""

    def __init__(self, api: ApiServer, *, askables: tuple[Askable, ...]) -> None:
        self._api = api
        self._askables = askables

    def run(self, attempt: RequestAttempt) -> Verdict:
        """Make the attempt. Raises Unreachable if the API server does not answer."""
        match attempt:
            case AccessReview():
                return self._reviewed(attempt)
            case RulesReview():
                return self._rules_reviewed(attempt)
            case DryRun():
                return self._dry_run(attempt)
            case AcceptedWith():
                return self._accepted_with(attempt)
            case GuardLook():
                return self._looked_at(attempt)
            case _:
                assert_never(attempt)

    def _reviewed(self, attempt: AccessReview) -> Verdict:
        yes = [verb for verb in attempt.verbs if self._may(attempt, verb=verb)]
        no = [verb for verb in attempt.verbs if verb not in yes]
        about = attempt.about
        if about.guard is None:
            return refused(about, by=_RBAC, said=f"denied: {', '.join(no)}") if no else allowed(about)
        return allowed(about, f"allowed: {', '.join(yes)}") if yes else refused(about, by=_RBAC, said="denied")

    def _may(self, attempt: AccessReview, *, verb: str) -> bool:
        asked = {
            "namespace": attempt.namespace,
            "group": attempt.group,
            "resource": attempt.resource,
            "subresource": attempt.subresource,
            "verb": verb,
        }
        who = {"user": attempt.identity.user, "groups": list(attempt.identity.groups)}
        review = {"apiVersion": _AUTHORIZATION, "kind": "SubjectAccessReview"}
        answer = self._api.create(_REVIEWS, {**review, "spec": {**who, "resourceAttributes": asked}})
        return answer["status"].get("allowed") is True

    def _rules_reviewed(self, attempt: RulesReview) -> Verdict:
        review = {"apiVersion": _AUTHORIZATION, "kind": "SelfSubjectRulesReview"}
        answer = self._api.acting_as(attempt.identity).attempt(
            "POST", OWN_RULES, body={**review, "spec": {"namespace": attempt.namespace}}, content_type=JSON
        )
        if may_not_act_as(answer):
            return not_attempted(_CANNOT_ACT)
        if not answer.ok:
            return refused(attempt.about, by=None, said=answer.message)
        return _compared(attempt, status=answer.content["status"], askables=self._askables)

    def _dry_run(self, attempt: DryRun) -> Verdict:
        return _judged(attempt, self._sent(attempt))

    def _sent(self, attempt: DryRun) -> Answer:
        api = self._api.acting_as(attempt.identity) if attempt.identity else self._api
        return api.attempt(attempt.method, attempt.path, body=attempt.body, content_type=attempt.content_type)

    def _accepted_with(self, attempt: AcceptedWith) -> Verdict:
        about, answer = attempt.about, self._sent(attempt.request)
        if may_not_act_as(answer):
            return not_attempted(_CANNOT_ACT)
        if _is_past_all_but_quota(answer, about=about):
            return not_attempted("the quota is full: no object can be looked at")
        if not answer.ok:
            return refused(about, by=None, said=answer.message)
        missing = _lacking(answer.content, look=attempt.look)
        return allowed(about, missing) if missing else refused(about, by=about.guard, said=f"has {attempt.look}")

    def _looked_at(self, attempt: GuardLook) -> Verdict:
        answer = self._api.attempt("GET", attempt.path)
        if not answer.ok:
            return refused(attempt.about, by=None, said=answer.message)
        difference = next(deviations(attempt.wanted, answer.content), None)
        return refused(attempt.about, by=None, said=difference) if difference else allowed(attempt.about)


def _compared(attempt: RulesReview, *, status: Manifest, askables: tuple[Askable, ...]) -> Verdict:
    have = rights(status.get("resourceRules") or [], of=askables)
    urls = {url for rule in status.get("nonResourceRules") or [] for url in rule.get("nonResourceURLs") or []}
    extra = [*sorted(map(str, have - attempt.expected)), *sorted(urls - URLS_OF_EVERYBODY)]
    missing = sorted(map(str, attempt.expected - have))
    if extra:
        return allowed(attempt.about, _first(extra))
    if missing:
        return Verdict(ending=Ending.FAILED_CONTROL, said=f"lacks {_first(missing)}")
    return refused(attempt.about, by=_RBAC, said="has what the plan gives")


def _first(items: list[str]) -> str:
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _judged(attempt: DryRun, answer: Answer) -> Verdict:
    about = attempt.about
    if may_not_act_as(answer):
        return not_attempted(_CANNOT_ACT)
    if _is_past_all_but_quota(answer, about=about):
        full = "the quota is full, and the API server may have left the field out"
        return not_attempted(full) if attempt.gated else allowed(about, "only the full quota is left to refuse it")
    if _UNSUPPORTED in answer.message:
        return not_attempted(f"the API server takes no such object from anybody: {answer.message}")
    if answer.ok:
        dropped = next(shortfalls(attempt.body or {}, answer.content), None) if about.guard else None
        return not_attempted(f"the API server drops it: {dropped}") if dropped else allowed(about)
    return refused(about, by=_guard_of(answer, attempt=attempt), said=answer.message)


def _guard_of(answer: Answer, *, attempt: DryRun) -> Guard | None:
    guard, wanted = refusing_guard(answer), attempt.about.guard
    if guard == _RBAC and attempt.identity and attempt.identity.user not in answer.message:
        return None
    if guard and wanted and guard.kind is wanted.kind and _names(wanted, message=answer.message):
        return wanted
    return guard


def _names(wanted: Guard, *, message: str) -> bool:
    """Whether a refusal names the guard's rule: quotas and limit ranges name all that is broken at once."""
    match wanted.kind:
        case GuardKind.QUOTA:
            return f"{wanted.rule}=" in message
        case GuardKind.LIMIT_RANGE:
            return f"{wanted.rule} is " in message
        case _:
            return False


def _is_past_all_but_quota(answer: Answer, *, about: About) -> bool:
    wanted = about.guard.kind if about.guard else None
    guard = refusing_guard(answer)
    return (
        guard is not None
        and guard.kind is GuardKind.QUOTA
        and wanted is not GuardKind.QUOTA
        and ("exceeded quota" in answer.message)
    )


def _lacking(found: Manifest, *, look: Look) -> str:
    """What the object does not have as it should; empty if it does."""
    spec = found["spec"]
    match look:
        case Look.NO_TOKEN:
            sources = [
                source
                for volume in spec.get("volumes", ())
                for source in volume.get("projected", {}).get("sources", ())
            ]
            return "a token is mounted" if any("serviceAccountToken" in source for source in sources) else ""
        case Look.LIMITS:
            return next(_unbounded(spec), "")


def _unbounded(spec: Manifest) -> Iterator[str]:
    for container in spec["containers"]:
        for kind in ("requests", "limits"):
            missing = _COMPUTE - set(container.get("resources", {}).get(kind, ()))
            if missing:
                yield f"no {kind} of {', '.join(sorted(missing))}"


_COMPUTE = frozenset({"cpu", "memory", "ephemeral-storage"})
