"""A refusal counts only where the right guard refused, and where all that it rests on works."""

import pytest

from provisioner.cluster.api import Answer
from provisioner.proof.attempts import About, Area, Guard, GuardKind
from provisioner.proof.attribution import may_not_act_as, refusing_guard
from provisioner.proof.verdicts import Ending, Finding, Verdict, allowed, not_attempted, refused, settled

RBAC = Guard(kind=GuardKind.RBAC)
QUOTA = Guard(kind=GuardKind.QUOTA)


def about(name: str = "attack", *, guard: Guard | None = RBAC, **changes: object) -> About:
    return About(id=name, area=Area.OBJECTS, who="somebody", what="does something", guard=guard, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("guard", "verdict", "ending"),
    [
        (RBAC, allowed, Ending.GOT_THROUGH),
        (None, allowed, Ending.WORKS),
        (RBAC, lambda it: refused(it, by=RBAC, said=""), Ending.BLOCKED),
        (RBAC, lambda it: refused(it, by=QUOTA, said=""), Ending.UNPROVEN),
        (RBAC, lambda it: refused(it, by=None, said="404"), Ending.UNPROVEN),
        (None, lambda it: refused(it, by=RBAC, said=""), Ending.FAILED_CONTROL),
    ],
)
def test_an_ending_follows_from_what_was_asked_and_who_refused(
    guard: Guard | None, verdict: object, ending: Ending
) -> None:
    assert verdict(about(guard=guard)).ending is ending  # type: ignore[operator]


def test_a_guard_that_cannot_but_refuse_too_may_come_first() -> None:
    assert refused(about(also=(QUOTA,)), by=QUOTA, said="").ending is Ending.BLOCKED


@pytest.mark.parametrize(
    ("control", "ending"),
    [
        (Verdict(ending=Ending.WORKS), Ending.BLOCKED),
        (Verdict(ending=Ending.FAILED_CONTROL), Ending.UNPROVEN),
        (not_attempted("there is no node"), Ending.NOT_ATTEMPTED),
        (None, Ending.NOT_ATTEMPTED),
    ],
)
def test_what_was_blocked_proves_nothing_without_its_control(control: Verdict | None, ending: Ending) -> None:
    attack = Finding(about=about(rests_on=("control",)), verdict=refused(about(), by=RBAC, said=""))
    controls = [Finding(about=about("control", guard=None), verdict=control)] if control else []
    assert settled([attack, *controls])[0].verdict.ending is ending


def test_what_got_through_got_through_whatever_its_control_says() -> None:
    attack = Finding(about=about(rests_on=("control",)), verdict=allowed(about()))
    assert settled([attack])[0].verdict.ending is Ending.GOT_THROUGH


@pytest.mark.parametrize(
    ("message", "guard"),
    [
        (
            'pods is forbidden: User "kim" cannot create resource "pods" in API group "" in the namespace "x"',
            RBAC,
        ),
        (
            'roles "a" is forbidden: user "kim" is attempting to grant RBAC permissions not currently held:',
            RBAC,
        ),
        (
            'pods "a" is forbidden: violates PodSecurity "restricted:v1.35": host namespaces (hostNetwork=true)',
            Guard(kind=GuardKind.POD_SECURITY),
        ),
        ('pods "a" is forbidden: exceeded quota: tenant, requested: pods=1, used: pods=9, limited: pods=9', QUOTA),
        (
            'pods "a" is forbidden: [maximum cpu usage per Container is 2, but limit is 4, x]',
            Guard(kind=GuardKind.LIMIT_RANGE),
        ),
        (
            'pods "a" is forbidden: cpu max limit to request ratio per Container is 10, but provided ratio is 20.00',
            Guard(kind=GuardKind.LIMIT_RANGE),
        ),
        (
            "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: [image-digest] exceeded quota: only a text",
            Guard(kind=GuardKind.ADMISSION_POLICY, rule="image-digest"),
        ),
        ('pods "a" is forbidden: no PriorityClass with name b was found', None),
    ],
)
def test_the_api_server_s_words_tell_which_guard_refused(message: str, guard: Guard | None) -> None:
    assert refusing_guard(Answer(status=403, content={"message": message})) == guard


@pytest.mark.parametrize("status", [404, 409, 422])
def test_no_guard_refuses_with_another_status(status: int) -> None:
    said = 'pods "a" is forbidden: exceeded quota: tenant'
    assert refusing_guard(Answer(status=status, content={"message": said})) is None


def test_a_missing_right_to_act_as_somebody_is_not_that_somebody_s() -> None:
    said = (
        'users "kim" is forbidden: User "lee" cannot impersonate resource "users" in API group "" at the cluster scope'
    )
    assert may_not_act_as(Answer(status=403, content={"message": said}))
