"""Translates failures of the pulumi CLI into errors that say what to do, with the exit code of what stood against it.

1. Every error that was told is looked at alone: one of our provider's comes as it was raised (see
   provisioner.engine.relaying), one of the API server's is known by its own words (provisioner.cluster.refusals).
2. If all of them mean the same, the failure means that. If not, or if they say no more than that something failed,
   the stack has partly failed.
3. If none was told, the CLI itself could not go on: its output is looked at.
"""

import re
from collections.abc import Callable

from pulumi.automation.errors import CommandError

from provisioner.cluster.refusals import Refusal, refusal
from provisioner.engine.listening import Listener, Told
from provisioner.errors import CoopctlError, DiskFull, NotPermitted, PartlyFailed, PolicyViolated, Unreachable

_WHY_MAX = 1500
# The Kubernetes provider about an object that was made and does not become ready: what follows are its pods' words.
_NOT_READY = "failed to fully initialize or become live"

# What the CLI and its plugins print -> the error that says it in our words. The first that matches wins.
_KNOWN: tuple[tuple[re.Pattern[str], Callable[[str], CoopctlError]], ...] = (
    (
        re.compile("incorrect passphrase|passphrase must be set"),
        lambda stack: CoopctlError(
            f"the passphrase does not fit the state of {stack}",
            hint="bring back the passphrase file with which the estate was made",
        ),
    ),
    (
        re.compile("no resource plugin|could not find plugin|failed to load plugin"),
        lambda stack: CoopctlError(f"a Pulumi plugin for {stack} is missing", hint="run `coopctl toolchain install`"),
    ),
    (
        re.compile("no space left on device|disk quota exceeded", re.IGNORECASE),
        lambda stack: DiskFull(f"there was no room on this machine's disk to work on {stack}"),
    ),
    (
        # Go's net package; the Kubernetes provider before it has ever connected.
        re.compile(
            r"\bdial (tcp|udp)\b[^\n]*: "
            r"(connection refused|no such host|i/o timeout|network is unreachable|no route to host)"
            r"|TLS handshake timeout|configured Kubernetes cluster is unreachable"
        ),
        lambda stack: Unreachable(f"a server that {stack} needs does not answer"),
    ),
)
# Of the CLI itself only: said about a resource, the same words may mean anything.
_CLI_REFUSED = re.compile("permission denied|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch", re.IGNORECASE)


def translated(error: CommandError, *, listener: Listener) -> CoopctlError:
    """The error of our tree for a failed CLI; the CLI's own words become the reason."""
    stack, told = listener.stack, listener.errors or listener.crashes
    if not told and not listener.failed:
        return _of_cli(_output(error), stack=stack)
    causes = [_cause(one, stack=stack) for one in told]
    why = _cut("\n".join(dict.fromkeys(str(one) for one in (*told, *listener.crashes))) or _output(error))
    first = causes[0] if causes else None
    if first is not None and {type(cause) for cause in causes} == {type(first)} and not _is_a_part(first, listener):
        return _with(first, why=first.why if first.why and len(causes) == 1 else why)
    hints = {cause.hint for cause in causes if cause is not None}
    hint = hints.pop() if len(hints) == 1 else None
    if listener.failed:
        names = ", ".join(dict.fromkeys(listener.failed))
        return PartlyFailed(f"{stack}: failed: {names}; the others are done", why=why, hint=hint)
    return CoopctlError(f"{stack}: pulumi failed", why=why, hint=hint)


def _cause(told: Told, *, stack: str) -> CoopctlError | None:
    """What one told error means; None where its words say no more than that something failed."""
    if told.error is not None:
        return told.error
    match refusal(told.text):
        case Refusal.POLICY:
            hint = "change what the policy names: it holds for everybody"
            return PolicyViolated(f"a policy forbids what {stack} declares", hint=hint)
        case Refusal.RIGHT:
            hint = "give the kubeconfig's user the right that is named above"
            return NotPermitted(f"coopctl lacks a right that {stack} needs", hint=hint)
        case None:
            return None if _NOT_READY in told.text else _of_words(told.text, stack=stack)


def _of_words(text: str, *, stack: str) -> CoopctlError | None:
    return next((make(stack) for pattern, make in _KNOWN if pattern.search(text)), None)


def _of_cli(text: str, *, stack: str) -> CoopctlError:
    if found := _of_words(text, stack=stack):
        return _with(found, why=_cut(text))
    if _CLI_REFUSED.search(text):
        return NotPermitted(f"coopctl lacks a right that working on {stack} needs", why=_cut(text))
    return CoopctlError(f"{stack}: pulumi failed", why=_cut(text))


def _is_a_part(cause: CoopctlError, listener: Listener) -> bool:
    """Whether resources failed for a cause that says nothing about what can be done with the others."""
    unclear = type(cause) is CoopctlError or (isinstance(cause, Unreachable) and listener.changed > 0)
    return bool(listener.failed) and unclear


def _with(error: CoopctlError, *, why: str) -> CoopctlError:
    return type(error)(error.message, why=why, hint=error.hint)


def _output(error: CommandError) -> str:
    """What the CLI wrote to stderr, which the Automation API puts into its message."""
    return str(error).partition("stderr:")[2].strip() or str(error).strip()


def _cut(text: str) -> str:
    return text if len(text) <= _WHY_MAX else f"{text[:_WHY_MAX]}…"
