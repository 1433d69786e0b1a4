"""How it looks what a migration finds, plans and does."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from cli.views import events as events_view
from cli.views import human, json
from cli.views.telling import teller
from provisioner.migration.journal_entries import Run
from provisioner.migration.objects_report import as_document as objects_document
from provisioner.migration.planning import MigrationPlan, as_plan_document
from provisioner.migration.postgres_copy_progress import CopyProgress
from provisioner.migration.postgres_job_login import JobLogin
from provisioner.migration.postgres_preflight_checks import Problem
from provisioner.operations.migrating import Followed
from provisioner.operations.migration_ending import Aborted, Rehearsed
from provisioner.operations.migration_in_platform import Begun
from provisioner.operations.migration_journals import Held
from provisioner.operations.migration_run import Event, Report, StepBegan, StepEnded, Told
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.migration_status import MigrationStatus
from provisioner.operations.migration_verifying import Verification
from provisioner.operations.own_estate.way import SolutionsWay
from provisioner.operations.preflighting import PreflightReport

SECONDS_BETWEEN_LINES = 2.0
SHOWN_DIFFERENCES = 50
_MIB = 1024 * 1024


def show_preflight(report: PreflightReport, *, output: str) -> None:
    """Every problem, and what follows."""
    if output == "json":
        json.write("MigrationPreflight", _preflight_document(report))
        return
    console = human.stdout()
    for line in problem_lines(report.problems):
        console.print(line, markup=False)
    console.print(_verdict(report), markup=False)
    if report.plan is not None:
        console.print(_reckoned(report.plan), markup=False)


def show_plan(report: PreflightReport, *, output: str) -> None:
    """The steps in their order; problems after them."""
    if report.plan is None:
        raise AssertionError("only a look at both sides makes a plan")
    if output == "json":
        json.write("MigrationPlan", {**as_plan_document(report.plan), "problems": documents(report.problems)})
        return
    console = human.stdout()
    rows = [
        (str(number), str(one.step.PHASE), _duration(one.seconds), "outage" if one.outage else "", one.step.words)
        for number, one in enumerate(report.plan.steps, 1)
    ]
    console.print(human.table("", "phase", "about", "", "step", rows=rows))
    console.print(_reckoned(report.plan), markup=False)
    for line in problem_lines(report.problems):
        console.print(line, markup=False)
    console.print(_verdict(report), markup=False)


def show_followed(name: str, followed: Followed, *, output: str) -> None:
    """That the target holds what the source holds."""
    if output == "json":
        lag = {"bytes": followed.lag.bytes, "seconds": followed.lag.seconds} if followed.lag else None
        json.write("MigrationFollowed", {"migration": name, "fingerprint": followed.fingerprint, "lag": lag})
        return
    console = human.stdout()
    follows = "the target follows" if followed.lag else "objects are copied; tables are copied behind the fence"
    console.print(f"{name}: {follows}; `coopctl migrate verify {name}` compares both sides", markup=False)


def show_begun_in_platform(begun: Begun, *, output: str) -> None:
    """That a Job works on it."""
    if output == "json":
        content = {"migration": begun.migration, "namespace": begun.namespace, "job": begun.job}
        json.write("MigrationInPlatform", {**content, "already": begun.already})
        return
    works = "works already" if begun.already else "has begun"
    text = f"{begun.migration}: the Job {begun.job} in {begun.namespace} {works}"
    human.stdout().print(
        f"{text}; `coopctl migrate status {begun.migration} --watch` shows how far it is", markup=False
    )


def show_status(status: MigrationStatus, *, output: str) -> None:
    """The open run, or the last one."""
    if output == "json":
        json.write("MigrationStatus", _status_document(status))
        return
    console = human.stdout()
    for line in _status_lines(status):
        console.print(line, markup=False)


def show_verification(found: Verification, *, output: str) -> None:
    """What was compared, and every difference."""
    if output == "json":
        json.write("MigrationVerification", _verification_document(found))
        return
    console = human.stdout()
    for line in _verification_lines(found):
        console.print(line, markup=False)


def show_rehearsed(found: Rehearsed, *, output: str) -> None:
    """How long everything took, and whether it was right."""
    if output == "json":
        content = {"seconds": dict(found.seconds), "cleaned": found.cleaned}
        json.write("MigrationRehearsal", {**_verification_document(found.verification), **content})
        return
    console = human.stdout()
    console.print(human.table("step", "took", rows=[(name, _duration(seconds)) for name, seconds in found.seconds]))
    for line in _verification_lines(found.verification):
        console.print(line, markup=False)


def show_aborted(name: str, aborted: Aborted, *, output: str) -> None:
    """What is left, if anything."""
    if output == "json":
        json.write("MigrationAborted", {"migration": name, "run": str(aborted.kind), "cleaned": aborted.cleaned})
        return
    left = "" if aborted.cleaned else "; the target did not answer, and still holds what was copied there"
    human.stdout().print(f"{name}: the {aborted.kind} is given up, the source is as it was{left}", markup=False)


def abort_question(site: MigrationSite, run: Run) -> str:
    """What abort takes away."""
    return (
        f"Give up the {run.kind} {site.migration.name} of {run.begun:%Y-%m-%d %H:%M} UTC and delete what it has copied"
        f" to {site.target} and {site.target_bucket}?"
    )


def reporter(*, events: bool) -> Report:
    """Tells of a run on stderr: steps, and how far a copy is, a line now and then."""
    return _event if events else _Lines(tell=teller(events=False)).report


@dataclass(kw_only=True)
class _Lines:
    tell: Callable[[str], None]
    last: float = field(default=0.0)

    def report(self, event: Event) -> None:
        match event:
            case StepBegan(phase=phase, step=step):
                self.tell(f"{phase}: {step} ...")
            case StepEnded(phase=phase, step=step, seconds=seconds):
                self.tell(f"{phase}: {step} done in {_duration(seconds)}")
            case Told(text=text):
                self.tell(text)
            case _:
                self._now_and_then(event)

    def _now_and_then(self, event: Event) -> None:
        if time.monotonic() - self.last >= SECONDS_BETWEEN_LINES:
            self.last = time.monotonic()
            self.tell(_far(event))


def _far(event: Event) -> str:
    if isinstance(event, CopyProgress):
        total, left = event.total, event.total.eta_seconds
        rest = f", {_duration(left)} left" if left is not None else ""
        waits = f"; waiting: {event.waiting}" if event.waiting else ""
        done = f"{total.done_bytes / _MIB:.0f} of {total.total_bytes / _MIB:.0f} MiB"
        return f"copied {done}, {total.rate / _MIB:.1f} MiB/s{rest}{waits}"
    return f"{event}" if isinstance(event, Told | StepBegan | StepEnded) else f"objects: {event.copied} copied"


def _event(event: Event) -> None:
    match event:
        case StepBegan(phase=phase, step=step):
            events_view.write("StepBegan", {"phase": str(phase), "step": step})
        case StepEnded(phase=phase, step=step, seconds=seconds):
            events_view.write("StepEnded", {"phase": str(phase), "step": step, "seconds": round(seconds, 3)})
        case Told(text=text):
            teller(events=True)(text)
        case CopyProgress(total=total, waiting=waiting):
            content = {"doneBytes": total.done_bytes, "totalBytes": total.total_bytes, "waiting": waiting}
            events_view.write("Copying", {**content, "bytesPerSecond": total.rate, "etaSeconds": total.eta_seconds})
        case _:
            events_view.write("CopyingObjects", {"copied": event.copied, "copiedBytes": event.copied_bytes})


def _preflight_document(report: PreflightReport) -> dict[str, Any]:
    return {
        "migration": report.migration,
        "at": report.at.isoformat(),
        "targetOnly": report.plan is None,
        "targetVersion": report.target_version,
        "ready": not report.errors,
        "problems": documents(report.problems),
        "plan": as_plan_document(report.plan) if report.plan else None,
    }


def documents(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    """Problems as JSON."""
    return [
        {
            "severity": str(one.severity),
            "what": one.what,
            "consequence": one.consequence,
            "remedy": one.remedy,
        }
        for one in problems
    ]


def problem_lines(problems: tuple[Problem, ...]) -> Iterator[str]:
    """Each problem with what follows and what mends it."""
    for one in problems:
        yield f"{one.severity}: {one.what}"
        yield f"    then: {one.consequence}"
        yield f"    remedy: {one.remedy}"


def _verdict(report: PreflightReport) -> str:
    warnings = len(report.problems) - report.errors
    beside = f"; {warnings} to know about" if warnings else ""
    if report.errors:
        return f"{report.migration}: not ready: {report.errors} to mend{beside}"
    return f"{report.migration}: ready{beside}"


def _reckoned(plan: MigrationPlan) -> str:
    before, wait = _duration(plan.seconds_before_outage), _duration(plan.outage_seconds)
    return f"{plan.mode}: about {before} while people work, then about {wait} in which the applications wait"


def _status_lines(status: MigrationStatus) -> Iterator[str]:
    run = status.run
    if run is None:
        yield f"{status.migration}: nothing was done yet"
    else:
        state = "open" if run.open else f"{run.ending}"
        yield f"{status.migration}: {run.kind} of {run.begun:%Y-%m-%d %H:%M} UTC, {state}"
        yield from (f"    {one.phase}: {one.step} {one.state}" for one in run.steps)
    if status.held is not None:
        yield _held_line(status.held)
    if status.job_login is not None:
        login, until = status.job_login.name, status.job_login.until.astimezone(UTC)
        yield f"the Job in the platform reads the source as {login}, with a password until {until:%Y-%m-%d %H:%M} UTC"
    if status.silent:
        yield f"the source does not answer: {status.silent}"
    elif status.lag is not None:
        following = "follows" if status.lag.active else "does not read at the moment"
        yield f"the target {following}, {status.lag.bytes} bytes and {status.lag.seconds:.1f} s behind"
    if status.solutions is not None:
        yield status.solutions.text
        yield f"    next: {status.solutions.hint}"
    if status.orphaned:
        left = ", ".join(f"{one.kind} {one.name}" for one in status.leftovers)
        yield f"warning: the source keeps {left}, and no migration is under way"


def _held_line(held: Held) -> str:
    if held.holds:
        return f"{held.holder} works on it; its lease was renewed {held.seconds_ago:.0f} s ago"
    return f"{held.holder} has worked on it, and is gone: its lease has ended; the same command goes on"


def _held_document(held: Held) -> dict[str, Any]:
    holder = held.holder
    return {
        "host": holder.host,
        "pid": holder.pid,
        "user": holder.user,
        "renewedSecondsAgo": round(held.seconds_ago, 1),
        "holds": held.holds,
    }


def _login_document(login: JobLogin) -> dict[str, str]:
    return {"name": login.name, "until": login.until.astimezone(UTC).isoformat()}


def _solutions_document(way: SolutionsWay) -> dict[str, Any]:
    return {
        "stage": str(way.stage),
        "kubeconfig": str(way.cluster.kubeconfig),
        "context": way.cluster.context,
        "folder": way.folder or None,
        "handedOver": way.at.isoformat() if way.at else None,
    }


def _status_document(status: MigrationStatus) -> dict[str, Any]:
    run, lag = status.run, status.lag
    return {
        "migration": status.migration,
        "at": status.at.isoformat(),
        "run": _run_document(run) if run else None,
        "lag": {"bytes": lag.bytes, "seconds": lag.seconds, "active": lag.active} if lag else None,
        "onSource": [{"kind": one.kind, "name": one.name} for one in status.leftovers],
        "orphaned": status.orphaned,
        "silent": status.silent,
        "holder": _held_document(status.held) if status.held else None,
        "jobLogin": _login_document(status.job_login) if status.job_login else None,
        "solutions": _solutions_document(status.solutions) if status.solutions else None,
    }


def _run_document(run: Run) -> dict[str, Any]:
    return {
        "kind": str(run.kind),
        "begun": run.begun.isoformat(),
        "open": run.open,
        "ending": str(run.ending) if run.ending else None,
        "steps": [{"phase": str(one.phase), "step": one.step, "state": str(one.state)} for one in run.steps],
    }


def _verification_document(found: Verification) -> dict[str, Any]:
    return {
        "migration": found.migration,
        "clean": not found.differences,
        "postgres": found.postgres.to_json() if found.postgres else None,
        "objects": objects_document(found.objects),
    }


def _verification_lines(found: Verification) -> Iterator[str]:
    if found.postgres is not None:
        rows = sum(one.source_rows for one in found.postgres.tables)
        definitions = found.postgres.catalogue_entries
        yield f"compared {len(found.postgres.tables)} tables with {rows} rows, {definitions} definitions"
    yield f"compared {found.objects.keys} objects with {found.objects.versions} versions"
    yield from difference_lines(found.migration, found.differences, none="both sides hold the same")


def difference_lines(migration: str, differences: Sequence[object], *, none: str) -> Iterator[str]:
    """The first ``differences``, and the verdict on ``migration``, which says ``none`` where there are none."""
    yield from (f"    {one}" for one in differences[:SHOWN_DIFFERENCES])
    if (more := len(differences) - SHOWN_DIFFERENCES) > 0:
        yield f"    and {more} more"
    yield f"{migration}: {f'{len(differences)} differences' if differences else none}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
