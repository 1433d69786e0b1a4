"""What `coopctl doctor` looks at in an estate: its platform's document, files, endpoints and ports. Changes nothing.

The facts are gathered first; the checks over them are pure, as those over the machine are (provisioner.toolchain).
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import read_platform
from provisioner.descriptor.migrations import migration_files
from provisioner.descriptor.platform import Platform, SecretReference
from provisioner.embedded import platform as embedded
from provisioner.embedded.platform import EmbeddedStatus
from provisioner.embedded.ports import taken_by_others
from provisioner.engine.state import list_stack_files
from provisioner.errors import CoopctlError, Diagnostic
from provisioner.operations.migration_orphans import Orphans, find_orphaned
from provisioner.operations.reaching import Server, api_server, connect, data_store_servers, other_servers
from provisioner.toolchain.findings import Check, Finding, Level

_FILE_SCHEME: Final = "file://"


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A server, and why a connection to it failed; None if it answered."""

    server: Server
    failure: str | None


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """A file or variable that the platform names and that cannot be read."""

    what: str
    found: str


@dataclass(frozen=True, kw_only=True)
class EstateFacts:
    """What was found of an estate.

    ``platform`` is None if its document has ``problems``. ``has_stacks`` is None where only the state's server knows.
    ``cluster`` is the failure of reading the kubeconfig. An embedded platform that does not run is not connected to.
    ``orphans`` are what migrations have left on servers that answer, looked at where the estate has a migration;
    ``unknown_orphans`` is why nobody could tell.
    """

    estate: Estate
    platform: Platform | None
    problems: tuple[Diagnostic, ...] = ()
    has_passphrase: bool = False
    has_stacks: bool | None = None
    lacking: tuple[Lacking, ...] = ()
    cluster: CoopctlError | None = None
    reached: tuple[Reached, ...] = ()
    embedded: EmbeddedStatus | None = None
    in_the_way: tuple[CoopctlError, ...] = ()
    orphans: tuple[Orphans, ...] = ()
    unknown_orphans: CoopctlError | None = None


def look_at_estate(estate: Estate, *, environment: Mapping[str, str]) -> EstateFacts:
    """Gather the facts; servers are connected to and left again, nothing is written."""
    try:
        platform, problems = read_platform(estate)
    except CoopctlError as error:
        return EstateFacts(estate=estate, platform=None, in_the_way=(error,))
    if platform is None:
        return EstateFacts(estate=estate, platform=None, problems=tuple(problems))
    status, in_the_way = _embedded(estate) if platform.embedded else (None, ())
    can_answer = not platform.embedded or (status is not None and is_up(status))
    cluster, servers = _servers(platform) if can_answer else (None, ())
    reached = _reach(servers)
    unheard = {one.server for one in reached if one.failure is not None}
    answers = can_answer and bool(migration_files(estate)) and unheard.isdisjoint(data_store_servers(platform))
    orphans, unknown = _orphans(estate, environment=environment) if answers else ((), None)
    return EstateFacts(
        estate=estate,
        platform=platform,
        has_passphrase=_is_readable(platform.state.passphrase_file),
        has_stacks=_has_stacks(platform.state.url),
        lacking=() if platform.embedded else tuple(_lacking(platform, environment=environment)),
        cluster=cluster,
        reached=reached,
        embedded=status,
        in_the_way=in_the_way,
        orphans=orphans,
        unknown_orphans=unknown,
    )


def is_up(status: EmbeddedStatus) -> bool:
    """Whether any process of the embedded platform runs."""
    return any(process.pid for process in status.processes)


def _servers(platform: Platform) -> tuple[CoopctlError | None, tuple[Server, ...]]:
    try:
        return None, (api_server(platform), *other_servers(platform))
    except CoopctlError as error:
        return error, other_servers(platform)


def _reach(servers: tuple[Server, ...]) -> tuple[Reached, ...]:
    """All at once: a network that swallows packets costs one wait, not one for each server."""
    with ThreadPoolExecutor(max_workers=max(1, len(servers))) as pool:
        return tuple(pool.map(_reached, servers))


def _reached(server: Server) -> Reached:
    try:
        connect(server)
    except OSError as error:
        return Reached(server=server, failure=str(error))
    return Reached(server=server, failure=None)


def _orphans(estate: Estate, *, environment: Mapping[str, str]) -> tuple[tuple[Orphans, ...], CoopctlError | None]:
    """What migrations have left, or why nobody could tell."""
    try:
        return find_orphaned(estate, environment=environment), None
    except CoopctlError as error:
        return (), error


def _has_stacks(url: str) -> bool | None:
    return bool(list_stack_files(Path(url.removeprefix(_FILE_SCHEME)))) if url.startswith(_FILE_SCHEME) else None


def _embedded(estate: Estate) -> tuple[EmbeddedStatus | None, tuple[CoopctlError, ...]]:
    """The embedded platform as it is, and what stands in its way."""
    try:
        status = embedded.status(estate)
    except CoopctlError as error:
        return None, (error,)
    # Before the first start there are no ports yet: free ones will be chosen.
    if not status.files.endpoints.exists():
        return status, ()
    own = frozenset(process.pid for process in status.processes if process.pid)
    return status, tuple(taken_by_others(status.endpoints, estate_root=estate.root, own=own))


def _lacking(platform: Platform, *, environment: Mapping[str, str]) -> Iterator[Lacking]:
    references = {
        "PostgreSQL's password": platform.postgres.admin_password,
        "the S3 credentials": platform.objects.admin_credentials,
    }
    for what, reference in references.items():
        if found := _unresolved(reference, environment=environment):
            yield Lacking(what=what, found=found)
    authorities = {"PostgreSQL's": platform.postgres.ca_file, "the S3 server's": platform.objects.ca_file}
    for whose, file in authorities.items():
        if file is not None and not _is_readable(file):
            yield Lacking(what=f"{whose} certificate authority", found=f"{file} cannot be read, or is empty")


def _unresolved(reference: SecretReference, *, environment: Mapping[str, str]) -> str | None:
    if reference.env is not None:
        return None if environment.get(reference.env) else f"the variable {reference.env} is not set"
    if reference.file is None or _is_readable(reference.file):
        return None
    return f"{reference.file} cannot be read, or is empty"


def _is_readable(file: Path) -> bool:
    try:
        return file.is_file() and file.stat().st_size > 0 and os.access(file, os.R_OK)
    except (OSError, ValueError):
        return False


def document(facts: EstateFacts) -> Iterator[Finding]:
    """The Platform document."""
    subject = facts.estate.platform.name
    for problem in facts.problems:
        where = f"line {problem.location.line}: " if problem.location.line else ""
        path = f"{problem.path}: " if problem.path else ""
        remedy = problem.hint or "mend it; `coopctl validate` shows the problems of every document"
        yield Finding(subject=subject, found=f"{where}{path}{problem.message}", level=Level.PROBLEM, remedy=remedy)
    if facts.platform is not None:
        kind = "the embedded platform" if facts.platform.embedded else "servers of your own"
        yield Finding(subject=subject, found=f"{facts.platform.name}: {kind}")


def passphrase(facts: EstateFacts) -> Iterator[Finding]:
    """The passphrase that encrypts the secrets in the state."""
    if facts.platform is None:
        return
    file, subject = facts.platform.state.passphrase_file, "passphrase"
    if facts.has_passphrase:
        yield Finding(subject=subject, found=str(file))
    elif facts.has_stacks is False:
        yield Finding(subject=subject, found="none yet; the first apply makes it, as nothing is applied")
    else:
        remedy = "bring it back from where you keep it" + (
            "; if nothing was ever applied, the first apply makes it" if facts.has_stacks is None else ""
        )
        yield Finding(subject=subject, found=f"{file} is missing or empty", level=Level.PROBLEM, remedy=remedy)


def credentials(facts: EstateFacts) -> Iterator[Finding]:
    """The secrets and certificates that the document refers to."""
    for lacking in facts.lacking:
        remedy = f"provide it, or name another place in {facts.estate.platform}"
        yield Finding(subject=lacking.what, found=lacking.found, level=Level.PROBLEM, remedy=remedy)


def endpoints(facts: EstateFacts) -> Iterator[Finding]:
    """The kubeconfig with its context, and whether each server takes connections."""
    if facts.platform is None:
        return
    if facts.cluster is not None:
        remedy = facts.cluster.hint or f"mend the kubeconfig, or spec.cluster in {facts.estate.platform}"
        yield Finding(subject="kubeconfig", found=str(facts.cluster), level=Level.PROBLEM, remedy=remedy)
    for reached in facts.reached:
        subject, place = reached.server.what, f"{reached.server.host}:{reached.server.port}"
        if reached.failure is None:
            yield Finding(subject=subject, found=f"answers at {place}")
        else:
            found = f"does not answer at {place}: {reached.failure}"
            yield Finding(subject=subject, found=found, level=Level.PROBLEM, remedy=_remedy(facts.platform))


def _remedy(platform: Platform) -> str:
    if platform.embedded:
        return platform.remedy
    return f"start it, or open the way to it from this machine, or mend its address in {platform.source}"


def migrations(facts: EstateFacts) -> Iterator[Finding]:
    """What migrations have left behind: slots that fill the disk, logins, and fences that keep applications out."""
    for one in facts.orphans:
        whose = one.cooperative or f"a cooperative with the mark {one.uid}, which nobody knows here"
        named = ", ".join(f"{left.kind} {left.name}" for left in one.left)
        remedy = "if no other machine works on its migration: `coopctl migrate orphans --remove`"
        yield Finding(subject="migrations", found=f"left of {whose}: {named}", level=Level.PROBLEM, remedy=remedy)
    if (error := facts.unknown_orphans) is not None:
        yield Finding(subject="migrations", found=f"not looked at: {error.message}", remedy=error.hint)


def embedded_platform(facts: EstateFacts) -> Iterator[Finding]:
    """The embedded platform's processes and ports. One that was not started, or was stopped, is in order."""
    for failure in facts.in_the_way:
        yield Finding(subject="embedded platform", found=str(failure), level=Level.PROBLEM, remedy=failure.hint)
    status = facts.embedded
    if status is None or facts.in_the_way:
        return
    down = [process.name for process in status.processes if not process.ready]
    if not is_up(status):
        state = "was not started yet" if status.node is None else "is stopped"
        yield Finding(subject="embedded platform", found=f"{state}; `coopctl dev up` starts it")
    elif down:
        remedy = f"run `coopctl dev up`; `coopctl dev logs {down[0]}` says why"
        found = f"{', '.join(down)} does not run" if len(down) == 1 else f"{', '.join(down)} do not run"
        yield Finding(subject="embedded platform", found=found, level=Level.PROBLEM, remedy=remedy)
    else:
        yield Finding(subject="embedded platform", found=f"runs ({status.node.kind} node)" if status.node else "runs")


ESTATE_CHECKS: Final[tuple[Check[EstateFacts], ...]] = (
    document,
    passphrase,
    credentials,
    embedded_platform,
    endpoints,
    migrations,
)
