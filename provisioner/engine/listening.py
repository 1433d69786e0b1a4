"""Turns Pulumi's engine events into ours, and gathers from them what changes."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pulumi.automation import EngineEvent, OpType
from pulumi.automation.events import StepEventMetadata

from provisioner.engine.changes import Changes, FieldChange, ResourceChange, differing_paths, field_changes
from provisioner.engine.events import (
    Message,
    Operation,
    Report,
    ResourceDone,
    ResourceFailed,
    ResourceStarted,
    Severity,
)
from provisioner.engine.foreign import ForeignFields, foreign_fields
from provisioner.engine.paths import parse
from provisioner.engine.relaying import for_people, received
from provisioner.errors import CoopctlError, PolicyViolated

_STACK_TYPE = "pulumi:pulumi:Stack"
_OPERATIONS: Mapping[OpType, Operation] = {
    OpType.CREATE: Operation.CREATE,
    OpType.UPDATE: Operation.UPDATE,
    OpType.DELETE: Operation.DELETE,
    OpType.REPLACE: Operation.REPLACE,
    OpType.CREATE_REPLACEMENT: Operation.REPLACE,
    OpType.DELETE_REPLACED: Operation.REPLACE,
    OpType.SAME: Operation.SAME,
}
_SEVERITIES = {"warning": Severity.WARNING, "error": Severity.ERROR}
# What Pulumi says at the end of everything that failed: no reason of its own.
_ECHOES = frozenset({"update failed", "preview failed", "refresh failed", "destroy failed"})
# What Pulumi says of objects that were still on their way, or before the policies, when something else ended the run.
_CUT_OFF = ("grpc: the client connection is closing", "context canceled")
# What Pulumi says of a program that had not come to its end by then; a traceback follows.
_PROGRAM_CUT_OFF = "resource monitor shut down"
_MANDATORY = "mandatory"
# What the CLI says at its end of a plugin that did not answer its request to stop in time, as on a busy machine, or
# that crashed: then its last words follow (sdk/go/common/resource/plugin/plugin.go, Plugin.Close).
_ENDED = re.compile(r"\ADetected that .+ exited prematurely\..*streams of the plugin:(?P<said>.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Told:
    """An error that was told: about which resource (empty: the stack), in which words, and ours if it is one."""

    resource: str
    text: str
    error: CoopctlError | None = None

    def __str__(self) -> str:
        return f"{self.resource}: {self.text}" if self.resource else self.text


@dataclass(kw_only=True)
class Listener:
    """Hears the events of one operation on one stack; events come from another thread."""

    stack: str
    report: Report
    errors: list[Told] = field(default_factory=list)
    crashes: list[Told] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    changed: int = 0
    _planned: dict[str, ResourceChange] = field(default_factory=dict)
    _drifted: dict[str, ResourceChange] = field(default_factory=dict)
    _foreign: dict[str, ForeignFields] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        with self._lock:
            if event.diagnostic_event:
                self._message(event.diagnostic_event)
            elif event.policy_event:
                self._violation(event.policy_event)
            elif event.resource_pre_event:
                self._begins(event.resource_pre_event.metadata)
            elif event.res_outputs_event:
                self._ends(event.res_outputs_event.metadata)
            elif event.res_op_failed_event:
                self._fails(event.res_op_failed_event.metadata)

    def changes(self, *, compared_with_world: bool = True) -> Changes:
        """What the operation changes, or would change, in the world."""
        return self._changes(self._with_foreign_fields(), compared_with_world=compared_with_world)

    def drift(self) -> Changes:
        """How the world differs from the state, as a refresh found it."""
        found = dict(self._drifted)
        for urn, foreign in self._foreign.items():
            found[urn] = _with_foreign(found.get(urn) or _update(urn), foreign.drift)
        return self._changes(found, compared_with_world=True)

    @property
    def foreign(self) -> tuple[ForeignFields, ...]:
        """The guards that are there still and that others changed where Pulumi did not see it."""
        return tuple(foreign for urn, foreign in self._foreign.items() if self._stays(urn) and foreign.mending)

    def _changes(self, found: Mapping[str, ResourceChange], *, compared_with_world: bool) -> Changes:
        # Pulumi works on several resources at once: the order in which they were heard of means nothing.
        changed = tuple(
            sorted(
                (change for change in found.values() if change.operation is not Operation.SAME),
                key=lambda change: (change.resource, change.type),
            )
        )
        same = len(self._seen) - len(changed)
        return Changes(stack=self.stack, resources=changed, same=same, compared_with_world=compared_with_world)

    def _with_foreign_fields(self) -> dict[str, ResourceChange]:
        found = dict(self._planned)
        for urn, foreign in self._foreign.items():
            if self._stays(urn) and (fields := foreign.mending):
                found[urn] = _with_foreign(found.get(urn) or _update(urn), fields)
        return found

    def _stays(self, urn: str) -> bool:
        """Whether a resource is neither deleted nor made anew."""
        change = self._planned.get(urn)
        return change is None or change.operation in {Operation.SAME, Operation.UPDATE}

    def _message(self, event: Any) -> None:
        text = event.message.strip()
        if event.severity not in _SEVERITIES or not text:
            return
        name, shown = _subject(event.urn or ""), for_people(text)
        if ended := _ENDED.match(shown):
            # It explains a failure, and is none itself: all that was begun is done when this is said.
            self.crashes += [Told(resource=name, text=shown)] if ended["said"].strip() else []
            return
        if event.severity == "error" and not _is_an_echo(shown):
            self.errors.append(Told(resource=name, text=shown, error=received(text)))
        self.report(Message(stack=self.stack, severity=_SEVERITIES[event.severity], text=shown, resource=name))

    def _violation(self, event: Any) -> None:
        mandatory = event.enforcement_level == _MANDATORY
        # The policy's own description comes first, and then what was found.
        name, found = _subject(event.resource_urn or ""), event.message.strip().partition("\n")[2]
        text = found or f"{event.policy_name}: {event.message.strip()}"
        if mandatory:
            hint = "do as the remedy says; `coopctl policy explain RULE` says why the rule is there"
            error = PolicyViolated(f"{self.stack} violates policies", hint=hint)
            self.errors.append(Told(resource=name, text=text, error=error))
        severity = Severity.ERROR if mandatory else Severity.WARNING
        self.report(Message(stack=self.stack, severity=severity, text=text, resource=name))

    def _begins(self, step: StepEventMetadata) -> None:
        operation = _OPERATIONS.get(step.op)
        if not _is_shown(step.type):
            return
        self._seen.add(step.urn)
        if operation is None:
            return
        self._planned[step.urn] = _merged(self._planned.get(step.urn), _planned_change(step, operation=operation))
        if step.urn in self._foreign and step.new and step.new.inputs:
            # What was refreshed is compared with what was applied last; what it is to be now says the program.
            self._foreign[step.urn] = replace(self._foreign[step.urn], declared=step.new.inputs)
        if operation is not Operation.SAME:
            self.report(ResourceStarted(**self._about(step, operation=operation)))

    def _ends(self, step: StepEventMetadata) -> None:
        if not _is_shown(step.type):
            return
        self._find_drift(step)
        operation = _OPERATIONS.get(step.op)
        if operation is not None and operation is not Operation.SAME:
            self.changed += 1
            self.report(ResourceDone(**self._about(step, operation=operation)))

    def _fails(self, step: StepEventMetadata) -> None:
        operation = _OPERATIONS.get(step.op, Operation.READ)
        self.failed.append(name_of(step.urn))
        self.report(ResourceFailed(**self._about(step, operation=operation)))

    def _find_drift(self, step: StepEventMetadata) -> None:
        old, new = step.old, step.new
        if old is None or _is_planned_step(step, planned=self._planned):
            return
        if new is None or step.op is OpType.DELETE:
            gone = ResourceChange(resource=name_of(step.urn), type=step.type, operation=Operation.DELETE)
            self._drifted[step.urn] = gone
            return
        if fields := _drifted_fields(step):
            self._drifted[step.urn] = _with_fields(_update(step.urn), fields)
        # A chart's objects may have other owners beside us: an autoscaler, a `kubectl rollout restart`.
        in_chart = "$" in step.urn.split("::")[2]
        if not in_chart and (foreign := foreign_fields(old.inputs or {}, live=new.outputs or {})):
            self._foreign[step.urn] = foreign

    def _about(self, step: StepEventMetadata, *, operation: Operation) -> dict[str, Any]:
        return {"stack": self.stack, "resource": name_of(step.urn), "type": step.type, "operation": operation}


def name_of(urn: str) -> str:
    """The name in a URN: the resource's key in the plan."""
    return urn.split("::", maxsplit=3)[-1] if urn else ""


def _is_an_echo(text: str) -> bool:
    """Whether an error only follows from another one."""
    return text in _ECHOES or text.endswith(_CUT_OFF) or _PROGRAM_CUT_OFF in text


def _subject(urn: str) -> str:
    """The resource that a message is about; none if it is about the stack."""
    return "" if type_of(urn) == _STACK_TYPE else name_of(urn)


def type_of(urn: str) -> str:
    """The resource's own type in a URN, without those of its parents."""
    parts = urn.split("::")
    return parts[2].split("$")[-1] if len(parts) > 3 else ""


def _is_shown(resource_type: str) -> bool:
    """Stacks, providers and components are Pulumi's own matter; people are shown what they get."""
    return not resource_type.startswith("pulumi:") and resource_type != "kubernetes:helm.sh/v4:Chart"


def _drifted_fields(step: StepEventMetadata) -> tuple[FieldChange, ...]:
    """How what was read differs from what was declared.

    A Kubernetes object's outputs always differ (versions, times); our own resources say in theirs what deviates.
    """
    old, new = (step.old.inputs, step.new.inputs) if step.old and step.new else (None, None)
    paths = list(step.detailed_diff or ()) or differing_paths(old, new)
    if found := field_changes(paths, before=old, after=new):
        return found
    if step.type.startswith("kubernetes:") or not step.old or not step.new:
        return ()
    before, after = step.old.outputs, step.new.outputs
    return field_changes(differing_paths(before, after), before=before, after=after)


def _is_planned_step(step: StepEventMetadata, *, planned: Mapping[str, ResourceChange]) -> bool:
    """In `preview --refresh` and `up --refresh` an urn's refresh comes before its step in the plan."""
    return step.urn in planned


def _update(urn: str) -> ResourceChange:
    return ResourceChange(resource=name_of(urn), type=type_of(urn), operation=Operation.UPDATE)


def _with_fields(change: ResourceChange, fields: tuple[FieldChange, ...]) -> ResourceChange:
    return ResourceChange(
        resource=change.resource, type=change.type, operation=Operation.UPDATE, fields=(*change.fields, *fields)
    )


def _with_foreign(change: ResourceChange, fields: tuple[FieldChange, ...]) -> ResourceChange:
    """The change with the foreign fields, which stand for what Pulumi found of the same or inside of it."""
    foreign = [parse(each.path) for each in fields]
    kept = tuple(each for each in change.fields if not any(_begins_with(parse(each.path), path) for path in foreign))
    return _with_fields(replace(change, fields=kept), fields)


def _begins_with(path: tuple[str | int, ...], start: tuple[str | int, ...]) -> bool:
    return path[: len(start)] == start


def _merged(before: ResourceChange | None, now: ResourceChange) -> ResourceChange:
    """A replacement comes as several steps (create-replacement, replace, delete-replaced): one change for people."""
    return before if before and before.operation is Operation.REPLACE and not now.fields else now


def _planned_change(step: StepEventMetadata, *, operation: Operation) -> ResourceChange:
    before = step.old.inputs if step.old else None
    after = step.new.inputs if step.new else None
    fields: tuple[FieldChange, ...] = ()
    if operation in {Operation.UPDATE, Operation.REPLACE} and before is not None and after is not None:
        paths = list(step.detailed_diff or ()) or differing_paths(before, after)
        fields = field_changes(paths, before=before, after=after)
    return ResourceChange(resource=name_of(step.urn), type=step.type, operation=operation, fields=fields)
