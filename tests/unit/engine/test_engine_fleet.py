"""Several stacks at once: one's failure stops no other, unless that was asked for; nothing begins after a signal."""

import errno
import threading
import time

from provisioner.engine.fleet import run_fleet
from provisioner.engine.interruption import Interruption
from provisioner.errors import Cancelled, CoopctlError, Interrupted, NotPermitted, Unforeseen

NAMES = ("a", "b", "c", "d")


def work(stack: str) -> str:
    """Fail for b, succeed for all others."""
    if stack == "b":
        raise CoopctlError("b is broken")
    return stack.upper()


def test_one_failure_stops_no_other_stack() -> None:
    outcomes = run_fleet(NAMES, work, interruption=Interruption(), concurrency=2)

    assert [outcome.stack for outcome in outcomes] == list(NAMES)
    assert [outcome.value for outcome in outcomes] == ["A", None, "C", "D"]
    assert [str(outcome.failure) for outcome in outcomes if outcome.failure] == ["b is broken"]


def test_a_defect_is_named_as_one_and_hides_no_other_outcome() -> None:
    def faulty(stack: str) -> str:
        return {"a": "A", "c": "C"}[stack]

    outcomes = run_fleet(("a", "hunter2", "c"), faulty, interruption=Interruption(), concurrency=2)

    assert [outcome.value for outcome in outcomes] == ["A", None, "C"]
    failure = outcomes[1].failure
    assert isinstance(failure, Unforeseen)
    assert failure.message == "an unforeseen KeyError ended the work"
    assert isinstance(failure.__cause__, KeyError)


def test_what_the_operating_system_refuses_is_told_in_its_words() -> None:
    def refused(stack: str) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", f"/state/{stack}")

    (outcome,) = run_fleet(("a",), refused, interruption=Interruption())

    assert isinstance(outcome.failure, NotPermitted)
    assert (outcome.failure.message, outcome.failure.why) == ("/state/a cannot be used", "Permission denied")


def test_with_fail_fast_nothing_is_begun_after_the_first_failure() -> None:
    def slow(stack: str) -> str:
        if stack != "b":
            time.sleep(0.3)
        return work(stack)

    outcomes = run_fleet(("b", "a", "c", "d"), slow, interruption=Interruption(), concurrency=1, fail_fast=True)

    assert outcomes[0].failure is not None
    assert isinstance(outcomes[-1].failure, Cancelled)


def test_no_more_stacks_are_worked_on_at_a_time_than_allowed() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def counted(stack: str) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        return stack

    run_fleet([str(number) for number in range(8)], counted, interruption=Interruption(), concurrency=3)

    assert most == 3


def test_nothing_is_begun_after_a_signal() -> None:
    interruption = Interruption()

    def interrupting(stack: str) -> str:
        interruption.interrupt()
        return stack

    outcomes = run_fleet(NAMES, interrupting, interruption=interruption, concurrency=1)

    assert outcomes[0].value == "a"
    assert all(isinstance(outcome.failure, Interrupted) for outcome in outcomes[1:])
