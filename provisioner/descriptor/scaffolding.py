"""Files for people who begin: a new estate, a new cooperative. Nothing that exists is overwritten.

A new estate is written in an order that can be cut anywhere and begun again: the passphrase first (kept if it is
there), platform.yaml last, because that file is what makes a folder an estate.
"""

import re
import secrets
import string
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import MAXYEAR, date
from pathlib import Path

from provisioner.descriptor.checking import check
from provisioner.descriptor.cooperative import Afterwards, Cooperative, MemberLayout
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.estate_rules import estate_problems
from provisioner.descriptor.loading import cooperative_files, invalid, load_platform, surroundings
from provisioner.descriptor.nodes import ScalarNode, compose, find
from provisioner.descriptor.platform_document import PlatformDocument
from provisioner.descriptor.resolving import resolve, resolve_text
from provisioner.descriptor.templates import TemplateShelf, shipped_templates
from provisioner.descriptor.writing import quoted, write_whole
from provisioner.errors import Diagnostic, Severity, UsageError, refused_by_system
from provisioner.naming import name_problem

SUPPORT_YEARS = 3
_CLUSTER_ID_LENGTH = 10
_IGNORED = b".coopctl/"
_PASSPHRASE_MODE = 0o600
_LOCAL_MODE = 0o700

_PLATFORM = """\
# The platform of this estate. `coopctl schema Platform` prints its schema for editors.
apiVersion: coopctl.dev/v1
kind: Platform
metadata:
  name: {name}
spec:
  # Marks every database, bucket and object as this platform's. Never change it.
  cluster: {{id: {cluster_id}}}
  # The one-machine platform that `coopctl dev up` runs.
  # For servers of your own see docs/how-to/existing-cluster.md.
  embedded: {{}}
  # Every cooperative's domain lies below one of these.
  domainSuffixes: [{domain_suffix}]
  # Whom cooperatives call; shown on their portal.
  helpDesk: {{}}
"""

_COOPERATIVE = """\
# {display_name_comment}
# Every value that is not here comes from the template: `coopctl explain NAME` shows each with its origin.
apiVersion: coopctl.dev/v1
kind: Cooperative
metadata:
  name: {name}
  displayName: {display_name}
spec:
  sector: {sector}
  template: {template}
  size: {size}
  # What happens when the government stops paying: continue-paid, own-infrastructure or leave.
  support: {{start: {start}, end: {end}, afterwards: {afterwards}}}
  # A CSV file with the columns id, name, employees (`coopctl member add`); quotas follow the number of members.
  members: {members}
  # Users or groups of the cluster's identity provider who work in the cooperative's namespaces.
  access:
    operators: {operators}
  network:
    domain: {domain}
    # Flows to the outside: [{{cidr: 203.0.113.0/24, ports: [443], why: tax office gateway}}]
    egress: []
{data_store}  # What is installed; `integrates` names other chosen solutions that one exchanges data with.
  solutions: {solutions}
"""

_DATA_STORE = """\
  # How members are kept apart in the database, as the solutions need it; it stays so once there are data.
  dataStore: {{postgres: {{memberLayout: {layout}}}}}
"""


@dataclass(frozen=True, kw_only=True)
class NewCooperative:
    """What a new descriptor says; all other values come from the template.

    ``member_layout`` is what the solutions need, None if they need none: it is written where the template has another.
    """

    name: str
    display_name: str
    sector: str
    template: str
    size: str
    support_start: date
    support_end: date
    afterwards: Afterwards
    domain: str
    operators: tuple[str, ...]
    solutions: tuple[str, ...]
    member_layout: MemberLayout | None = None


def new_cluster_id() -> str:
    """A random id: a letter, then letters and digits."""
    alphabet = string.ascii_lowercase + string.digits
    rest = "".join(secrets.choice(alphabet) for _ in range(_CLUSTER_ID_LENGTH - 1))
    return secrets.choice(string.ascii_lowercase) + rest


def three_years_from(start: date) -> date:
    """The last day of a support period that begins on ``start`` and lasts about three years, or of the calendar."""
    if start.year > MAXYEAR - SUPPORT_YEARS:
        return date.max
    leap_day = start.month == 2 and start.day == 29
    first_after = start.replace(year=start.year + SUPPORT_YEARS, day=28 if leap_day else start.day)
    return date.fromordinal(first_after.toordinal() - 1)


def estate_name(folder: Path) -> str:
    """A name for the platform of the estate in ``folder``: the folder's, as far as it can be one."""
    folded = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    return folded if name_problem(folded) is None else "estate"


def create_estate(folder: Path, *, name: str, cluster_id: str, domain_suffix: str) -> tuple[Path, ...]:
    """Write a new estate into ``folder`` and return the files that were made, in the order of writing.

    Raises UsageError if there is an estate already, InvalidDescriptor if what it would say is not valid.
    """
    estate = Estate(root=folder.resolve())
    if estate.platform.exists():
        raise UsageError(f"{estate.root} is an estate already", hint="nothing was changed; choose another folder")
    text = _PLATFORM.format(name=quoted(name), cluster_id=quoted(cluster_id), domain_suffix=quoted(domain_suffix))
    composed = compose(text, file=estate.platform)
    problems = composed.problems if composed.root is None else check(composed.root, model=PlatformDocument).problems
    if problems:
        raise invalid(problems)
    try:
        return tuple(_write_estate(estate, platform=text))
    except OSError as error:
        message = f"{error.filename or folder} cannot be written"
        raise refused_by_system(error, message, hint="choose another folder") from error


def _write_estate(estate: Estate, *, platform: str) -> list[Path]:
    for part in (estate.root, estate.cooperatives, estate.root / "members"):
        part.mkdir(parents=True, exist_ok=True)
    estate.local.mkdir(mode=_LOCAL_MODE, exist_ok=True)
    made: list[Path] = []
    passphrase = estate.local / "passphrase"
    if not passphrase.exists():
        write_whole(passphrase, f"{secrets.token_urlsafe(32)}\n".encode(), mode=_PASSPHRASE_MODE)
        made.append(passphrase)
    for empty in (estate.cooperatives / ".gitkeep", estate.root / "members" / ".gitkeep"):
        empty.touch()
    ignore = estate.root / ".gitignore"
    # Bytes: what others wrote there stays as it is, in whatever encoding.
    known = ignore.read_bytes() if ignore.exists() else b""
    if _IGNORED not in known.splitlines():
        write_whole(ignore, known + (b"" if known.endswith(b"\n") or not known else b"\n") + _IGNORED + b"\n")
        made.append(ignore)
    write_whole(estate.platform, platform.encode())
    return [*made, estate.platform]


def create_cooperative(
    wanted: NewCooperative,
    *,
    estate: Estate,
    catalogue_names: Collection[str],
    choices: Callable[[Cooperative], Sequence[Diagnostic]] = lambda _: (),
) -> tuple[Path, ...]:
    """Write a descriptor that is valid at once, and its empty members file; return the files that were made.

    ``choices`` gives what is wrong with the solutions that a cooperative chose, which only the catalogue knows.
    Raises UsageError if the cooperative exists, InvalidDescriptor with every problem before anything is written.
    """
    if (wrong := name_problem(wanted.name)) is not None:
        raise UsageError(f"{wanted.name!r} {wrong}", hint="names are like rice-processing")
    descriptor = estate.cooperatives / f"{wanted.name}.yaml"
    if descriptor.exists():
        raise UsageError(f"{descriptor} exists already", hint=f"edit it, or look at it: coopctl explain {wanted.name}")
    wanted = _without_what_the_template_says(wanted, estate=estate)
    members = estate.root / "members" / f"{wanted.name}.csv"
    reference = f"{{file: ../members/{wanted.name}.csv}}"
    _refuse_problems(
        _text(wanted, members=reference if members.exists() else "[]"),
        file=descriptor,
        estate=estate,
        catalogue_names=catalogue_names,
        choices=choices,
    )
    try:
        return tuple(_write_cooperative(descriptor, _text(wanted, members=reference), members=members))
    except OSError as error:
        raise refused_by_system(error, f"{error.filename or descriptor} cannot be written") from error


def _without_what_the_template_says(wanted: NewCooperative, *, estate: Estate) -> NewCooperative:
    """``wanted``, whose layout is said only if it is another than the template's own for that size."""
    read = TemplateShelf(folders=(estate.templates, shipped_templates())).template(wanted.template)
    template = read.template if read else None
    if template is None or wanted.size not in template.sizes:
        return wanted
    node, found = find(template.sizes[wanted.size].settings, ("dataStore", "postgres", "memberLayout"))
    is_said = found and isinstance(node, ScalarNode) and node.text == wanted.member_layout
    return replace(wanted, member_layout=None) if is_said else wanted


def _write_cooperative(descriptor: Path, text: str, *, members: Path) -> list[Path]:
    made = [descriptor]
    for folder in (descriptor.parent, members.parent):
        folder.mkdir(exist_ok=True)
    if not members.exists():
        write_whole(members, b"id,name,employees\n")
        made.append(members)
    write_whole(descriptor, text.encode())
    return made


def _refuse_problems(
    text: str,
    *,
    file: Path,
    estate: Estate,
    catalogue_names: Collection[str],
    choices: Callable[[Cooperative], Sequence[Diagnostic]],
) -> None:
    platform = load_platform(estate)
    around = surroundings(estate, platform=platform, catalogue_names=catalogue_names)
    resolved = resolve_text(text, file=file, around=around)
    chosen = choices(resolved.cooperative) if resolved.cooperative else ()
    problems = [problem for problem in (*resolved.problems, *chosen) if problem.severity is Severity.ERROR]
    if resolved.cooperative is not None:
        others = [resolve(other, around=around) for other in cooperative_files(estate)]
        problems += estate_problems([*others, resolved], cluster=platform.cluster.id, named={file.stem})
    if problems:
        raise invalid(problems)


def _text(wanted: NewCooperative, *, members: str) -> str:
    return _COOPERATIVE.format(
        name=quoted(wanted.name),
        display_name_comment=" ".join(wanted.display_name.split()),
        display_name=quoted(wanted.display_name),
        sector=quoted(wanted.sector),
        template=quoted(wanted.template),
        size=quoted(wanted.size),
        start=wanted.support_start,
        end=wanted.support_end,
        afterwards=wanted.afterwards,
        members=members,
        operators=_listed("user", wanted.operators),
        domain=quoted(wanted.domain),
        data_store=_DATA_STORE.format(layout=wanted.member_layout) if wanted.member_layout else "",
        solutions=_listed("name", wanted.solutions),
    )


def _listed(key: str, values: Sequence[str]) -> str:
    return "[" + ", ".join(f"{{{key}: {quoted(value)}}}" for value in values) + "]"
