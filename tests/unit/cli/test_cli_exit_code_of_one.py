"""One cooperative that was named keeps its failure's exit code, although the platform's own stack went along."""

from typing import Any

import pytest

from cli.running import exit_code
from provisioner.engine.fleet import Outcome
from provisioner.errors import CoopctlError, ExitCode, NotOurs, NotPermitted, PartlyFailed, StackLocked
from provisioner.naming import PLATFORM_STACK


@pytest.mark.parametrize(
    ("platform", "cooperatives", "code"),
    [
        (None, [StackLocked("busy")], ExitCode.LOCKED),
        (None, [NotOurs("another's")], ExitCode.NOT_PERMITTED),
        (NotPermitted("no right"), [PartlyFailed("not begun")], ExitCode.NOT_PERMITTED),
        (NotPermitted("no right"), [], ExitCode.NOT_PERMITTED),
        (None, [None, StackLocked("busy")], ExitCode.PARTLY_FAILED),
        (None, [None], ExitCode.DONE),
    ],
)
def test_the_platform_counts_as_none_of_several(
    platform: CoopctlError | None, cooperatives: list[CoopctlError | None], code: ExitCode
) -> None:
    outcomes: list[Outcome[Any]] = [Outcome(stack=PLATFORM_STACK, failure=platform)]
    outcomes += [Outcome(stack=f"c{number}", failure=failure) for number, failure in enumerate(cooperatives)]

    assert exit_code(outcomes) is code
