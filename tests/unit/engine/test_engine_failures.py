"""Failures of the CLI become errors with the reason, hint and exit code of what stood against it."""

from collections.abc import Sequence
from typing import Any

import pytest
from pulumi.automation import EngineEvent
from pulumi.automation._cmd import CommandResult
from pulumi.automation.errors import create_command_error

from provisioner.engine.events import Event, Message, unheard
from provisioner.engine.failures import translated
from provisioner.engine.listening import Listener
from provisioner.engine.relaying import for_people, received, relayed
from provisioner.errors import (
    CoopctlError,
    DiskFull,
    ExitCode,
    NotFound,
    NotOurs,
    NotPermitted,
    PartlyFailed,
    PolicyViolated,
    Unreachable,
)

URN = "urn:pulumi:rice::coopctl::"
NOT_CREATED = 'resource "{}" was not successfully created by the Kubernetes API server: '
QUOTA = NOT_CREATED.format("rice-apps/web") + (
    'services "web" is forbidden: exceeded quota: tenant, '
    "requested: services=1, used: services=10, limited: services=10"
)
POD_SECURITY = NOT_CREATED.format("rice-apps/web") + (
    'pods "web" is forbidden: violates PodSecurity "restricted:v1.35": allowPrivilegeEscalation != false '
    '(container "web" must set securityContext.allowPrivilegeEscalation=false)'
)
LIMIT_RANGE = NOT_CREATED.format("rice-apps/data") + (
    'persistentvolumeclaims "data" is forbidden: maximum storage usage per PersistentVolumeClaim is 10Gi, '
    "but request is 20Gi"
)
ADMISSION = NOT_CREATED.format("rice-apps/web") + (
    "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'coopctl-images' with binding 'coopctl-images' "
    "denied request: images come from registry.example.kr:5000/ by digest"
)
RBAC = NOT_CREATED.format("rice-apps") + (
    'namespaces is forbidden: User "deployer" cannot create resource "namespaces" in API group "" at the cluster scope'
)
ESCALATION = NOT_CREATED.format("rice-apps/operators") + (
    'roles.rbac.authorization.k8s.io "operators" is forbidden: user "deployer" (groups=["system:authenticated"]) is '
    'attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["get"]}'
)
REFUSED = (
    'Patch "https://127.0.0.1:6443/api/v1/namespaces/rice-apps": dial tcp 127.0.0.1:6443: connect: connection refused'
)
NOT_READY = (
    'the Kubernetes API server successfully created "rice-apps/portal", but reported that it failed to fully '
    "initialize or become live: Readiness probe failed: dial tcp 10.244.0.7:8080: connect: connection refused"
)
NOT_OURS = NotOurs("the PostgreSQL database rice belongs to somebody else", why="it bears no mark")
PROTECTED = PolicyViolated(
    "rice: name cannot change from 'rice' to 'reis'", why="its data would be lost", hint="keep it"
)


@pytest.mark.parametrize(
    ("told", "kind", "code"),
    [
        ([QUOTA], PartlyFailed, ExitCode.PARTLY_FAILED),
        ([LIMIT_RANGE], PartlyFailed, ExitCode.PARTLY_FAILED),
        ([POD_SECURITY], PolicyViolated, ExitCode.POLICY),
        ([ADMISSION], PolicyViolated, ExitCode.POLICY),
        ([RBAC], NotPermitted, ExitCode.NOT_PERMITTED),
        ([ESCALATION], NotPermitted, ExitCode.NOT_PERMITTED),
        ([REFUSED], PartlyFailed, ExitCode.PARTLY_FAILED),
        ([NOT_READY], PartlyFailed, ExitCode.PARTLY_FAILED),
        ([relayed(NOT_OURS)], NotOurs, ExitCode.NOT_PERMITTED),
        ([relayed(PROTECTED)], PolicyViolated, ExitCode.POLICY),
        ([relayed(NotFound("no password in DB_PASSWORD"))], NotFound, ExitCode.NOT_FOUND),
        ([relayed(CoopctlError("PostgreSQL refused a change", why="permission denied"))], PartlyFailed, 4),
        # Two reasons have no one exit code: some resources failed.
        ([relayed(NOT_OURS), QUOTA], PartlyFailed, ExitCode.PARTLY_FAILED),
        ([RBAC, ADMISSION], PartlyFailed, ExitCode.PARTLY_FAILED),
        ([RBAC, RBAC.replace("namespaces", "roles")], NotPermitted, ExitCode.NOT_PERMITTED),
    ],
)
def test_the_failure_of_a_partly_done_stack_is_what_stood_against_it(
    told: Sequence[str], kind: type[CoopctlError], code: int
) -> None:
    failure = translated(command_error(), listener=heard(*map(diagnostic, told), done("apps-namespace"), failed("x")))

    assert type(failure) is kind
    assert failure.exit_code == code


def test_a_partly_failed_stack_names_what_failed_and_why() -> None:
    listener = heard(diagnostic(QUOTA, resource="web"), diagnostic("update failed", resource=None), failed("web"))

    failure = translated(command_error(), listener=listener)

    assert failure.message == "rice: failed: web; the others are done"
    assert failure.why == f"web: {QUOTA}"


SLOW_TO_STOP = (
    "Detected that /plugins/pulumi-resource-kubernetes exited prematurely. \n"
    "       This is *always* a bug in the provider. Please report the issue to the provider author as appropriate.\n"
    "       To assist with debugging we have dumped the STDOUT and STDERR streams of the plugin:"
)


def test_a_plugin_that_is_slow_to_stop_is_no_error_and_changes_none() -> None:
    shown: list[Event] = []
    listener = Listener(stack="rice", report=shown.append)
    listener(diagnostic(SLOW_TO_STOP, resource=None))
    assert (shown, listener.errors) == ([], [])

    refused = heard(diagnostic(relayed(NOT_OURS)), diagnostic(SLOW_TO_STOP, resource=None), failed("x"))
    assert type(translated(command_error(), listener=refused)) is NotOurs


def test_the_last_words_of_a_plugin_that_crashed_stand_beside_the_failure() -> None:
    crash = diagnostic(f"{SLOW_TO_STOP}\npanic: out of memory", resource=None)
    lost = diagnostic("rpc error: code = Unavailable desc = error reading from server: EOF", resource="web")
    failure = translated(command_error(), listener=heard(lost, crash, failed("web")))
    assert type(failure) is PartlyFailed
    assert (failure.why or "").startswith("web: rpc error")
    assert "panic: out of memory" in (failure.why or "")
    assert "panic: out of memory" in (translated(command_error(), listener=heard(crash)).why or "")


def test_errors_of_the_provider_keep_message_reason_and_hint() -> None:
    failure = translated(command_error(), listener=heard(diagnostic(relayed(PROTECTED)), failed("postgres-database")))

    assert (failure.message, failure.why, failure.hint) == (PROTECTED.message, PROTECTED.why, PROTECTED.hint)


@pytest.mark.parametrize("kind", [NotOurs, PolicyViolated, NotPermitted, Unreachable, NotFound, CoopctlError])
def test_an_error_of_any_class_comes_through_as_it_was_raised(kind: type[CoopctlError]) -> None:
    error = kind('쌀: it\'s "so"', why="line one\nline {two}", hint="do that")

    through = received(f"creating rice: {relayed(error)}\n")

    assert type(through) is kind
    assert (through.message, through.why, through.hint) == (error.message, error.why, error.hint)
    assert for_people(relayed(error)) == '쌀: it\'s "so": line one\nline {two} (hint: do that)'


@pytest.mark.parametrize("text", ["coopctl-error: {broken}", "no mark", 'coopctl-error: {"error": "NotOurs"}', ""])
def test_what_is_no_error_of_ours_is_left_as_it_is(text: str) -> None:
    assert received(text) is None


def test_people_are_shown_no_line_that_is_meant_for_coopctl() -> None:
    shown: list[Event] = []
    listener = Listener(stack="rice", report=shown.append)

    listener(diagnostic(relayed(NOT_OURS)))

    (message,) = shown
    assert isinstance(message, Message)
    assert message.text.startswith("the PostgreSQL database rice belongs to somebody else: it bears no mark (hint: ")
    assert "\n" not in message.text


def test_a_server_that_answered_nothing_at_all_is_unreachable() -> None:
    failure = translated(command_error(), listener=heard(diagnostic(REFUSED), failed("apps-namespace")))

    assert type(failure) is Unreachable


@pytest.mark.parametrize(
    ("level", "kind"), [("mandatory", PolicyViolated), ("advisory", CoopctlError)], ids=["mandatory", "advisory"]
)
def test_a_mandatory_policy_of_a_pack_is_a_violated_policy(level: str, kind: type[CoopctlError]) -> None:
    failure = translated(command_error("error: preview failed"), listener=heard(policy_event(level)))

    assert type(failure) is kind
    assert ("portal: image-digest: images are pinned by digest" in str(failure.why)) == (level == "mandatory")


@pytest.mark.parametrize(
    "ending",
    [
        "the Chart 'bad' has a problem: grpc: the client connection is closing",
        "python inline source runtime error: resource monitor shut down\nTraceback (most recent call last):\n  File",
    ],
)
def test_what_the_program_hears_of_the_cli_s_end_does_not_hide_its_cause(ending: str) -> None:
    failure = translated(command_error(), listener=heard(diagnostic(ending), policy_event("mandatory")))

    assert type(failure) is PolicyViolated
    assert ending not in str(failure.why)


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("error: incorrect passphrase", CoopctlError),
        ("error: could not save: write /s/.pulumi/stacks/coopctl/rice.json: no space left on device", DiskFull),
        ("error: open /s/.pulumi/meta.yaml: permission denied", NotPermitted),
        ('error: read ".pulumi/meta.yaml": blob (code=Unknown): dial tcp 10.0.0.1:443: i/o timeout', Unreachable),
        ("error: something that nobody knows", CoopctlError),
    ],
)
def test_what_the_cli_says_about_itself_is_the_reason(stderr: str, kind: type[CoopctlError]) -> None:
    failure = translated(command_error(stderr), listener=heard())

    assert type(failure) is kind
    assert failure.why == stderr


def command_error(stderr: str = "error: update failed") -> Any:
    return create_command_error(CommandResult(stdout="", stderr=stderr, code=255))


def heard(*events: EngineEvent) -> Listener:
    listener = Listener(stack="rice", report=unheard)
    for event in events:
        listener(event)
    return listener


def diagnostic(message: str, *, resource: str | None = "x") -> EngineEvent:
    """An error as the CLI's event log has it; without a resource it is about the stack."""
    about = f"kubernetes:core/v1:Service::{resource}" if resource else "pulumi:pulumi:Stack::coopctl-rice"
    return EngineEvent.from_json({"diagnosticEvent": {"severity": "error", "message": message, "urn": URN + about}})


def policy_event(level: str) -> EngineEvent:
    """A policy of a pack that is violated, as the CLI's event log has it."""
    event = {
        "message": "images are pinned by digest",
        "policyName": "image-digest",
        "policyPackName": "coopctl",
        "enforcementLevel": level,
        "resourceUrn": f"{URN}kubernetes:apps/v1:Deployment::portal",
    }
    return EngineEvent.from_json({"policyEvent": event})


def done(resource: str) -> EngineEvent:
    return EngineEvent.from_json({"resOutputsEvent": {"metadata": step(resource)}})


def failed(resource: str) -> EngineEvent:
    return EngineEvent.from_json({"resOpFailedEvent": {"metadata": step(resource)}})


def step(resource: str) -> dict[str, str]:
    kind = "kubernetes:core/v1:Namespace"
    return {"op": "create", "urn": f"{URN}{kind}::{resource}", "type": kind}
