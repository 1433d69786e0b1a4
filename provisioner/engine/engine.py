"""Works on stacks: preview, up, status, refresh, destroy; each operation starts the pulumi CLI once.

What an operation on a stack does, and what happens when it is cut off:

1. It takes the stack's lease and ends what a killed coopctl left running (changing operations only).
2. It makes the working directory; a lost one is made anew, with the encryption salt from the state.
3. Operations that a kill left pending are refreshed first. Creates among them are forgotten: our provider's creates
   adopt what they made, Kubernetes objects are applied server-side over an existing own object.
4. It runs the CLI with the program. If Pulumi's own lock was left by a process that is gone, it is released, with a
   message, and the operation runs again.

Cut off anywhere, the same operation begins at 1 and finishes.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pulumi.automation import LocalWorkspace, Stack
from pulumi.automation._stack import StackInitMode
from pulumi.automation.errors import CommandError, ConcurrentUpdateError

from provisioner.engine import inventory
from provisioner.engine.changes import Changes
from provisioner.engine.cli import PulumiCli
from provisioner.engine.events import Message, Report, Severity, StackFinished, StackStarted, Verb, only_looking
from provisioner.engine.failures import translated
from provisioner.engine.foreign import ForeignFields
from provisioner.engine.interruption import Interruption
from provisioner.engine.lease import leased
from provisioner.engine.listening import Listener, name_of, type_of
from provisioner.engine.locks import lock_holders
from provisioner.engine.policies import PolicyPack, no_policies
from provisioner.engine.quiet import Program, QuietStack, QuietWorkspace, RememberingProgram
from provisioner.engine.scratch import scratch_folder, sweep
from provisioner.engine.settings import PROJECT, EngineSettings
from provisioner.engine.state import Checkpoint
from provisioner.errors import CoopctlError, NotFound, StackLocked, disk_full

T = TypeVar("T")
_PARALLEL = 8


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What an apply did, and the guards to which other field managers had added fields."""

    changes: Changes
    foreign: tuple[ForeignFields, ...]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Works on the stacks of one estate; safe to use from several threads for different stacks.

    ``policies`` says which policy pack a stack is held to, whoever works on it; None: to none.
    """

    settings: EngineSettings
    interruption: Interruption
    policies: Callable[[str], PolicyPack | None] = no_policies

    def preview(self, stack: str, program: Program, *, report: Report) -> Changes:
        """What `up` would change, compared with the world; nothing is changed, and no lock is taken."""
        with contextlib.ExitStack() as cleanup, self._operation(stack, verb=Verb.PLAN, report=report) as listener:
            engine = self if self.checkpoint(stack) else cleanup.enter_context(self._in_scratch_state())
            engine._run_or_create(  # noqa: SLF001 - another value of this class
                stack,
                program,
                lambda pulumi: pulumi.preview(
                    on_event=listener,
                    refresh=True,
                    run_program=True,
                    parallel=_PARALLEL,
                    suppress_progress=True,
                    **engine._policed(stack),  # noqa: SLF001 - another value of this class
                ),
            )
            return listener.changes()

    def up(self, stack: str, program: Program, *, report: Report) -> Applied:
        """Make the world as ``program`` declares it. Raises PartlyFailed if some resources failed."""
        return self._up(stack, program, targets=None, report=report)

    def repair(self, stack: str, program: Program, *, drifted: Changes, report: Report) -> Applied:
        """Make the resources of ``drifted`` as ``program`` declares them, and no others.

        Raises PartlyFailed if some resources failed.
        """
        found = self.checkpoint(stack)
        return self._up(
            stack, program, targets=urns_of(drifted, within=found.resources if found else ()), report=report
        )

    def drift(self, stack: str, program: Program, *, report: Report) -> Changes:
        """How the world differs from the state; the state is not written and no lock is taken.

        Raises NotFound if there is no such stack.
        """
        with self._operation(stack, verb=Verb.STATUS, report=only_looking(report)) as listener:
            if self.checkpoint(stack) is None:
                raise NotFound(f"{stack} has not been applied yet", hint=f"run `coopctl apply {stack}`")
            self._run(
                stack,
                program,
                lambda pulumi: pulumi.preview_refresh(
                    on_event=listener, run_program=True, parallel=_PARALLEL, suppress_progress=True
                ),
            )
            return listener.drift()

    def destroy(self, stack: str, program: Program, *, report: Report) -> Changes:
        """Take away all that the stack has made, and the stack. Raises PartlyFailed if some resources remain."""
        with self._changing(stack, verb=Verb.DESTROY, program=program, report=report) as (listener, run):
            found = self.checkpoint(stack)
            # Of an empty state Pulumi would make the program's providers, and leave them there.
            if found is None or found.holds_anything:
                run(
                    lambda pulumi: pulumi.destroy(
                        on_event=listener, refresh=True, run_program=True, parallel=_PARALLEL, suppress_progress=True
                    )
                )
            run(lambda pulumi: pulumi.workspace.remove_stack(stack))
            return listener.changes()

    def checkpoint(self, stack: str) -> Checkpoint | None:
        """The stack's state, or None if there is no such stack."""
        return inventory.checkpoint(self.settings, stack=stack, cli=self._cli({}))

    def stacks(self) -> tuple[str, ...]:
        """The names of all stacks in the state."""
        return inventory.stacks(self.settings, cli=self._cli({}))

    def require_stack(self, stack: str) -> None:
        """Raise NotFound if there is no such stack in the state."""
        if self.checkpoint(stack) is None:
            raise NotFound(f"there is no stack {stack}", hint="`coopctl status --all` shows what is applied")

    def unlock(self, stack: str, *, report: Report) -> None:
        """Release the stack's locks after ending what a killed coopctl left running.

        Raises StackLocked if a living coopctl on this machine works on the stack.
        """
        say = _sayer(stack, report=report)
        with self._operation(stack, verb=Verb.REFRESH, report=report):
            self.require_stack(stack)
            with leased(self.settings.folder(stack), stack=stack, say=say) as mark:
                self._prepare(stack)
                inventory.prepare_locks(self.settings, stack=stack)
                self._select(stack, lambda: None, mark=mark).cancel()

    def _up(self, stack: str, program: Program, *, targets: list[str] | None, report: Report) -> Applied:
        """Apply all resources, or only those with the URNs ``targets``."""
        with self._changing(stack, verb=Verb.APPLY, program=program, report=report) as (listener, run):
            run(
                lambda pulumi: pulumi.up(
                    on_event=listener,
                    refresh=True,
                    run_program=True,
                    parallel=_PARALLEL,
                    suppress_progress=True,
                    target=targets,
                    **self._policed(stack),
                )
            )
            return Applied(changes=listener.changes(), foreign=listener.foreign)

    @contextlib.contextmanager
    def _in_scratch_state(self) -> Iterator["Engine"]:
        """An engine with an empty state of its own: a stack must be there to be previewed, and planning makes none."""
        self.ensure_passphrase()
        with scratch_folder(self.settings.work) as scratch:
            settings = replace(self.settings, work=scratch / "work", backend_url=f"file://{scratch / 'state'}")
            yield replace(self, settings=settings)

    @contextlib.contextmanager
    def _operation(self, stack: str, *, verb: Verb, report: Report) -> Iterator[Listener]:
        listener = Listener(stack=stack, report=report)
        report(StackStarted(stack=stack, verb=verb))
        try:
            yield listener
        except CommandError as error:
            failure = translated(error, listener=listener)
            report(StackFinished(stack=stack, verb=verb, failure=failure.message))
            raise failure from error
        except CoopctlError as error:
            report(StackFinished(stack=stack, verb=verb, failure=error.message))
            raise
        except OSError as error:
            if full := disk_full(error):
                report(StackFinished(stack=stack, verb=verb, failure=full.message))
                raise full from error
            raise
        report(StackFinished(stack=stack, verb=verb))

    @contextlib.contextmanager
    def _changing(
        self, stack: str, *, verb: Verb, program: Program, report: Report
    ) -> Iterator[tuple[Listener, Callable[[Callable[[Stack], object]], None]]]:
        say = _sayer(stack, report=report)
        with (
            self._operation(stack, verb=verb, report=report) as listener,
            leased(self.settings.folder(stack), stack=stack, say=say) as mark,
        ):
            sweep(self.settings.work)
            inventory.prepare_locks(self.settings, stack=stack)
            if mended := inventory.keep_spare(self.settings, stack=stack):
                say(mended)
            self._clear_pending(stack, program, mark=mark, report=report)

            def run(operation: Callable[[Stack], object]) -> None:
                self._releasing_stale_locks(
                    lambda: self._run_or_create(stack, program, operation, mark=mark), stack=stack, mark=mark, say=say
                )

            yield listener, run

    def _clear_pending(self, stack: str, program: Program, *, mark: Mapping[str, str], report: Report) -> None:
        found = self.checkpoint(stack)
        if found is None or not found.pending:
            return
        say = _sayer(stack, report=report)
        say(f"looking again at {len(found.pending)} operation(s) that were cut off")
        listener = Listener(stack=stack, report=report)
        self._releasing_stale_locks(
            lambda: self._run(
                stack,
                program,
                lambda pulumi: pulumi.refresh(
                    on_event=listener, clear_pending_creates=True, run_program=True, parallel=_PARALLEL
                ),
                mark=mark,
            ),
            stack=stack,
            mark=mark,
            say=say,
        )

    def _releasing_stale_locks(
        self, work: Callable[[], T], *, stack: str, mark: Mapping[str, str], say: Callable[[str], None]
    ) -> T:
        try:
            return work()
        except ConcurrentUpdateError as error:
            holders = lock_holders(str(error))
            if not holders or not all(holder.is_gone for holder in holders):
                names = "; ".join(str(holder) for holder in holders) or "another process"
                raise StackLocked(f"{stack} is locked by {names}") from error
            say(f"released the lock of {stack} that {'; '.join(map(str, holders))} had left: it is gone")
            self._select(stack, lambda: None, mark=mark).cancel()
            return work()

    def _run_or_create(
        self,
        stack: str,
        program: Program,
        operation: Callable[[Stack], object],
        *,
        mark: Mapping[str, str] | None = None,
    ) -> None:
        if self.checkpoint(stack) is None:
            self._prepare(stack)
            self._workspace(stack, program=program, mark=mark or {}).create_stack(stack)
            inventory.keep_spare(self.settings, stack=stack)
        self._run(stack, program, operation, mark=mark)

    def _run(
        self,
        stack: str,
        program: Program,
        operation: Callable[[Stack], object],
        *,
        mark: Mapping[str, str] | None = None,
    ) -> None:
        self._prepare(stack)
        remembering = RememberingProgram(program)
        try:
            operation(self._select(stack, remembering, mark=mark or {}))
        except CommandError as error:
            if remembering.failure is not None:
                raise remembering.failure from error
            raise

    def _select(self, stack: str, program: Program, *, mark: Mapping[str, str]) -> Stack:
        # Not Stack.select: that gives Pulumi's own class whatever it is called on.
        return QuietStack(stack, self._workspace(stack, program=program, mark=mark), StackInitMode.SELECT)

    def _workspace(self, stack: str, *, program: Program, mark: Mapping[str, str]) -> LocalWorkspace:
        return QuietWorkspace(
            work_dir=str(self.settings.folder(stack)),
            program=program,
            env_vars=self.settings.environment,
            secrets_provider="passphrase",
            pulumi_command=self._cli(mark),
        )

    def _policed(self, stack: str) -> dict[str, Any]:
        """The options that hold a preview or an update of ``stack`` to its policy pack."""
        pack = self.policies(stack)
        if pack is None:
            return {}
        configuration = pack.write_configuration(self.settings.folder(stack))
        return {"policy_packs": [str(pack.folder)], "policy_pack_configs": [str(configuration)]}

    def _cli(self, mark: Mapping[str, str]) -> PulumiCli:
        return PulumiCli(executable=self.settings.pulumi, interruption=self.interruption, mark=mark)

    def ensure_passphrase(self) -> None:
        """Make the estate's passphrase where nothing was encrypted yet. Raises CoopctlError if it was lost."""
        inventory.ensure_passphrase(self.settings, stacks=self.stacks)

    def _prepare(self, stack: str) -> None:
        self.ensure_passphrase()
        inventory.prepare(self.settings, stack=stack, find=lambda: self.checkpoint(stack))


def urns_of(changes: Changes, *, within: Iterable[str]) -> list[str]:
    """The URNs of ``within`` that ``changes`` speaks of; names alone are not unique in a stack with charts."""
    wanted = {(change.resource, change.type) for change in changes.resources}
    return [urn for urn in within if (name_of(urn), type_of(urn)) in wanted]


def _sayer(stack: str, *, report: Report) -> Callable[[str], None]:
    return lambda text: report(Message(stack=stack, severity=Severity.INFO, text=text))


__all__ = ["PROJECT", "Applied", "Engine"]
