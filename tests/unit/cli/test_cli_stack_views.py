"""How plans, progress and status look: for people, as JSON, as NDJSON."""

import io
import json
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress

from cli.running import detailed, exit_code
from cli.views import changes as changes_view
from cli.views import drift as drift_view
from cli.views import status as status_view
from cli.views.progress import BarShower, LineShower, NdjsonShower
from provisioner.datastore.objects import BucketUsage
from provisioner.datastore.postgres import DatabaseUsage
from provisioner.engine.changes import Changes, FieldChange, ResourceChange
from provisioner.engine.events import (
    Message,
    Operation,
    ResourceDone,
    ResourceFailed,
    Severity,
    StackFinished,
    StackStarted,
    Verb,
    only_looking,
)
from provisioner.engine.fleet import Outcome
from provisioner.errors import CoopctlError, ExitCode, Interrupted, StackLocked
from provisioner.operations.drifting import Drift
from provisioner.operations.health import BucketHealth, DatabaseHealth, Health, NamespaceHealth, QuotaUse
from provisioner.operations.looking import Status
from provisioner.operations.workloads import Workload

QUOTA = ResourceChange(
    resource="apps-resourcequota-tenant",
    type="kubernetes:core/v1:ResourceQuota",
    operation=Operation.UPDATE,
    fields=(FieldChange(path="spec.hard.pods", before="24", after="30"),),
)
NAMESPACE = "kubernetes:core/v1:Namespace"
GONE = ResourceChange(resource="apps-networkpolicy-dns", type="k:NetworkPolicy", operation=Operation.DELETE)
CHANGES = Changes(stack="plastics", resources=(QUOTA, GONE), same=37)
NOTHING = Changes(stack="rice-processing", resources=(), same=39, compared_with_world=False)
BROKEN: Outcome[Changes] = Outcome(stack="lp-gas", failure=CoopctlError("no room"))


def test_a_plan_names_every_field_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [Outcome(stack="plastics", value=CHANGES), Outcome(stack="rice-processing", value=NOTHING), BROKEN]

    changes_view.show("Plan", outcomes, output="text", done=False)

    assert capsys.readouterr().out.splitlines() == [
        "plastics: 1 to update, 1 to delete, 37 the same",
        "  ~ apps-resourcequota-tenant  (ResourceQuota)",
        "      spec.hard.pods: 24 -> 30",
        "  - apps-networkpolicy-dns  (NetworkPolicy)",
        "rice-processing: no changes (39 resources the same; not compared with the world, --refresh does)",
        "lp-gas: failed: no room",
        "3 stacks: 1 with changes, 1 without, 1 failed",
    ]


def test_drift_is_told_as_what_it_is_and_not_as_what_a_plan_would_delete(capsys: pytest.CaptureFixture[str]) -> None:
    alone = Changes(stack="rice-processing", resources=(GONE,), same=38)
    found = [
        Outcome(stack="plastics", value=Drift(stack="plastics", found=CHANGES, foreign=())),
        Outcome(stack="rice-processing", value=Drift(stack="rice-processing", found=alone, foreign=())),
    ]
    drift_view.tell(found, events=False)
    drift_view.tell(found, events=True)

    shown = capsys.readouterr()
    *lines, event = shown.err.splitlines()
    assert shown.out == ""
    assert lines == [
        "plastics: 2 resources differ",
        "  apps-resourcequota-tenant  (ResourceQuota) was changed",
        "      spec.hard.pods: 24 -> 30",
        "  apps-networkpolicy-dns  (NetworkPolicy) is gone",
        "rice-processing: 1 resource differs",
        "  apps-networkpolicy-dns  (NetworkPolicy) is gone",
    ]
    told = json.loads(event)
    assert told["event"] == "Drift"
    assert [stack["stack"] for stack in told["stacks"]] == ["plastics", "rice-processing"]


def test_a_plan_as_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    changes_view.show("Plan", [Outcome(stack="plastics", value=CHANGES), BROKEN], output="json", done=False)

    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["changes"], document["failed"]) == ("Plan", True, 1)
    assert document["stacks"][0]["resources"][0]["fields"] == [
        {"path": "spec.hard.pods", "before": "24", "after": "30", "by": None}
    ]
    assert document["stacks"][1]["error"]["message"] == "no room"


@pytest.mark.parametrize(
    ("failures", "code"),
    [
        ([None], ExitCode.DONE),
        ([StackLocked("busy")], ExitCode.LOCKED),
        ([None, StackLocked("busy")], ExitCode.PARTLY_FAILED),
        ([StackLocked("busy"), Interrupted("stopped")], ExitCode.INTERRUPTED),
    ],
)
def test_one_failure_gives_its_own_code_and_one_of_several_four(
    failures: list[CoopctlError | None], code: ExitCode
) -> None:
    outcomes: list[Outcome[Any]] = [Outcome(stack="s", failure=failure) for failure in failures]

    assert exit_code(outcomes) is code


def test_detailed_exit_codes_tell_problems_before_changes() -> None:
    assert detailed(ExitCode.DONE, wanted=False, changes=True) is ExitCode.DONE
    assert detailed(ExitCode.DONE, wanted=True, changes=True) is ExitCode.CHANGES
    assert detailed(ExitCode.DONE, wanted=True, changes=True, problems=True) is ExitCode.PROBLEMS
    assert detailed(ExitCode.FAILED, wanted=True, changes=True) is ExitCode.FAILED


def test_what_is_found_gone_was_not_deleted_by_looking() -> None:
    stream = io.StringIO()
    report = only_looking(LineShower(stream, planning=False).show)
    gone = ResourceDone(stack="plastics", resource="dns", type=NAMESPACE, operation=Operation.DELETE)
    for event in (gone, Message(stack="plastics", severity=Severity.WARNING, text="slow")):
        report(event)
    assert stream.getvalue() == "plastics: warning: slow\n"


def test_progress_off_a_terminal_is_one_plain_line_for_what_happened() -> None:
    stream = io.StringIO()
    shower = LineShower(stream, planning=False)
    about = {"stack": "plastics", "resource": "apps-namespace", "type": NAMESPACE, "operation": Operation.CREATE}

    for event in (
        StackStarted(stack="plastics", verb=Verb.APPLY),
        ResourceDone(**about),  # type: ignore[arg-type] # the fields of both events
        ResourceFailed(**about),  # type: ignore[arg-type]
        Message(stack="plastics", severity=Severity.ERROR, text="update failed"),
        Message(stack="plastics", severity=Severity.WARNING, text="slow", resource="objects-bucket"),
        StackFinished(stack="plastics", verb=Verb.APPLY),
    ):
        shower.show(event)

    assert stream.getvalue().splitlines() == [
        "plastics: apply begins",
        "plastics: created apps-namespace (Namespace)",
        "plastics: failed: create apps-namespace",
        "plastics: objects-bucket: warning: slow",
    ]


@pytest.mark.parametrize("planning", [False, True])
def test_on_a_terminal_each_change_is_told_above_the_bars(planning: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    done = ResourceDone(stack="plastics", resource="apps-namespace", type="t", operation=Operation.CREATE)

    with Progress(console=console) as progress:
        shower = BarShower(progress, totals={"plastics": 1}, planning=planning)
        shower.show(StackStarted(stack="plastics", verb=Verb.APPLY))
        shower.show(done)

    assert ("plastics: created apps-namespace" in stream.getvalue()) is not planning


def test_events_are_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    NdjsonShower().show(StackFinished(stack="plastics", verb=Verb.APPLY, failure="why\nnot"))

    assert [json.loads(line) for line in capsys.readouterr().err.splitlines()] == [
        {"event": "StackFinished", "stack": "plastics", "verb": "apply", "failure": "why\nnot"}
    ]


def test_a_status_shows_each_part_and_drift(capsys: pytest.CaptureFixture[str]) -> None:
    status_view.show([Outcome(stack="plastics", value=status())], output="text")

    shown = capsys.readouterr().out
    assert "plastics: 1 problem(s), 2 resource(s) differ from what was applied" in shown
    for part in ("plastics-apps", "2 of 30", "7.0 MiB of 10.0 GiB, 3 of 40 connections", "missing", "1 of 2 ready"):
        assert part in shown
    assert "problem: bucket pilot-plastics is missing" in shown
    assert "drift: apps-networkpolicy-dns (NetworkPolicy) is gone" in shown
    assert "`coopctl apply plastics` mends it" in shown


def test_a_status_as_json_holds_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    status_view.show([Outcome(stack="plastics", value=status())], output="json")

    stack = json.loads(capsys.readouterr().out)["stacks"][0]
    assert (stack["applied"], stack["healthy"]) == (True, False)
    assert stack["database"]["sizeBytes"] == 7 * 2**20
    assert stack["bucket"]["sizeBytes"] is None
    assert len(stack["drift"]["resources"]) == 2


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**40, "5.0 TiB")])
def test_sizes_are_shown_in_the_largest_unit_that_fits(size: int, text: str) -> None:
    assert status_view.human_bytes(size) == text


def test_a_full_bucket_is_told_in_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    usage = BucketUsage(size_bytes=2**30, objects=12, quota_bytes=2**30)

    status_view.show([Outcome(stack="plastics", value=status(bucket=usage))], output="text")

    assert "1.0 GiB of 1.0 GiB, 12 objects" in capsys.readouterr().out


def status(*, bucket: BucketUsage | None = None) -> Status:
    """A cooperative with drift and, without a bucket, a problem."""
    use = QuotaUse(resource="pods", used="2", hard="30", fraction=2 / 30)
    database = DatabaseUsage(size_bytes=7 * 2**20, sessions=3, connection_limit=40)
    health = Health(
        namespaces=(NamespaceHealth(name="plastics-apps", phase="Active", quota=(use,)),),
        database=DatabaseHealth(name="plastics", usage=database, storage_bytes=10 * 2**30),
        bucket=BucketHealth(name="pilot-plastics", usage=bucket, quota_bytes=2**30),
        workloads=(
            Workload(namespace="plastics-apps", kind="Deployment", name="portal", solution="portal", wanted=2, ready=1),
        ),
        problems=() if bucket else ("bucket pilot-plastics is missing",),
    )
    return Status(stack="plastics", applied=True, health=health, drift=CHANGES, interrupted=0)
