"""Works on several stacks at once: bounded, one stack's failure stops no other, a signal lets none begin."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from provisioner.engine.interruption import Interruption
from provisioner.errors import Cancelled, CoopctlError, untranslated

T = TypeVar("T")
DEFAULT_CONCURRENCY = 3
# Python runs signal handlers in the main thread only, and only when it is not blocked for good.
_WAKE_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[T]):
    """What became of one stack: a value, or a failure."""

    stack: str
    value: T | None = None
    failure: CoopctlError | None = None


def run_fleet(
    stacks: Sequence[str],
    work: Callable[[str], T],
    *,
    interruption: Interruption,
    concurrency: int = DEFAULT_CONCURRENCY,
    fail_fast: bool = False,
) -> tuple[Outcome[T], ...]:
    """Do ``work`` for every stack, ``concurrency`` at a time, and give every outcome, in the order of ``stacks``.

    With ``fail_fast`` no further stack is begun after the first failure; those not begun count as cancelled.
    """
    outcomes: dict[str, Outcome[T]] = {}
    with ThreadPoolExecutor(max_workers=max(1, concurrency), thread_name_prefix="stack") as pool:
        waiting: dict[Future[T], str] = {
            pool.submit(_unless_interrupted, work, stack, interruption): stack for stack in stacks
        }
        while waiting:
            done, _ = wait(waiting, timeout=_WAKE_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                stack = waiting.pop(future)
                outcomes[stack] = _outcome(stack, future)
            if fail_fast and any(outcome.failure for outcome in outcomes.values()):
                _cancel(waiting)
    return tuple(outcomes[stack] for stack in stacks)


def _unless_interrupted(work: Callable[[str], T], stack: str, interruption: Interruption) -> T:
    interruption.check()
    return work(stack)


def _outcome(stack: str, future: Future[T]) -> Outcome[T]:
    if future.cancelled():
        return Outcome(stack=stack, failure=Cancelled(f"{stack} was not begun after an earlier failure"))
    error = future.exception()
    if isinstance(error, CoopctlError):
        return Outcome(stack=stack, failure=error)
    if isinstance(error, Exception):
        # A fault of coopctl that one stack meets is no reason to forget what became of the others.
        return Outcome(stack=stack, failure=untranslated(error))
    if error is not None:
        raise error
    return Outcome(stack=stack, value=future.result())


def _cancel(waiting: dict[Future[T], str]) -> None:
    for future in waiting:
        future.cancel()
