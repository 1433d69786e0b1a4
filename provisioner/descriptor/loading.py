"""An estate's documents into values: the platform and its cooperatives, or every problem of all of them at once."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.descriptor.checking import check, diagnostic
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.endpoints import EmbeddedEndpoints, embedded_files, read_endpoints
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.estate_rules import estate_problems
from provisioner.descriptor.exceptions import read_exceptions
from provisioner.descriptor.expressions import Evaluator
from provisioner.descriptor.migration import DataStoreMigration
from provisioner.descriptor.migrations import Described, migration_files, read_migrations
from provisioner.descriptor.nodes import compose
from provisioner.descriptor.platform import Platform
from provisioner.descriptor.platform_document import PlatformDocument
from provisioner.descriptor.platform_rules import platform_problems
from provisioner.descriptor.platform_values import passphrase_file, platform_value
from provisioner.descriptor.policy_exception import KnownRules, PolicyException
from provisioner.descriptor.resolving import Resolved, resolve
from provisioner.descriptor.suggestions import did_you_mean
from provisioner.descriptor.surroundings import Surroundings
from provisioner.descriptor.templates import TemplateShelf, shipped_templates
from provisioner.descriptor.text import read_text
from provisioner.errors import Diagnostic, InvalidDescriptor, Location, NotFound, Severity


@dataclass(frozen=True, kw_only=True)
class EstateCheck:
    """What is known of an estate's documents, valid or not. ``problems`` hold warnings too."""

    platform: Platform | None
    resolved: tuple[Resolved, ...]
    problems: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The problems that refuse a document."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)


def load_platform(estate: Estate, *, endpoints: EmbeddedEndpoints | None = None) -> Platform:
    """Load platform.yaml; ``endpoints`` are those of the embedded platform, by default the ones it has written.

    Raises InvalidDescriptor with every problem.
    """
    platform, problems = read_platform(estate, endpoints=endpoints)
    if platform is None:
        raise invalid(problems)
    return platform


def load_estate(
    estate: Estate,
    *,
    catalogue_names: Collection[str] | None = None,
    endpoints: EmbeddedEndpoints | None = None,
    names: Collection[str] | None = None,
) -> tuple[Platform, tuple[Cooperative, ...]]:
    """Load the platform and its cooperatives, or of these only those called ``names``.

    ``catalogue_names`` are the solutions on offer; without them solutions are not looked up.
    Raises InvalidDescriptor with every problem (with ``names``: of the platform, of those, and between those and any
    other), NotFound for a name without a document.
    """
    found = check_estate(estate, catalogue_names=catalogue_names, endpoints=endpoints, names=names)
    if found.errors or found.platform is None:
        raise invalid(found.problems)
    return found.platform, tuple(resolved.cooperative for resolved in found.resolved if resolved.cooperative)


def check_estate(
    estate: Estate,
    *,
    catalogue_names: Collection[str] | None = None,
    endpoints: EmbeddedEndpoints | None = None,
    names: Collection[str] | None = None,
    rules: KnownRules | None = None,
    migrations: bool = False,
) -> EstateCheck:
    """Read every document and gather every problem; with ``names`` only what concerns those and the platform.

    ``rules`` are those that exceptions may name; without them exceptions are not read. ``migrations``:
    whether those are read.
    What two cooperatives have in common concerns both: a conflict of a named one with another is among the problems.
    """
    files = cooperative_files(estate)
    if names is not None:
        _refuse_unknown(names, files=files)
    platform, problems = read_platform(estate, endpoints=endpoints)
    around = surroundings(estate, platform=platform, catalogue_names=catalogue_names)
    resolved = [resolve(file, around=around) for file in files]
    described = _described(resolved, platform=platform)
    between = estate_problems(resolved, cluster=platform.cluster.id, named=names) if platform else []
    if names is not None:
        resolved = [one for one in resolved if one.source.stem in names]
    problems += [problem for one in resolved for problem in one.problems]
    problems += between
    if rules is not None:
        known = described.cooperatives or {}
        problems += read_exceptions(estate, cooperatives=known, rules=rules, names=names).problems
    if migrations:
        problems += read_migrations(estate, described=described, names=names).problems
    if names is None:
        folders = (estate.cooperatives, estate.exceptions, estate.migrations)
        problems += [problem for folder in folders for problem in _stray_files(folder)]
    # A template's problem is met once for each cooperative that uses it.
    return EstateCheck(platform=platform, resolved=tuple(resolved), problems=tuple(dict.fromkeys(problems)))


def surroundings(estate: Estate, *, platform: Platform | None, catalogue_names: Collection[str] | None) -> Surroundings:
    """What a cooperative of ``estate`` is checked against."""
    shelf = TemplateShelf(folders=(estate.templates, shipped_templates()))
    return Surroundings(
        estate_root=estate.root,
        shelf=shelf,
        evaluator=Evaluator(),
        platform=platform,
        catalogue_names=catalogue_names,
    )


def read_platform(
    estate: Estate, *, endpoints: EmbeddedEndpoints | None = None
) -> tuple[Platform | None, list[Diagnostic]]:
    """The platform (None if it has problems) and every problem of platform.yaml."""
    content = read_text(estate.platform)
    if content.text is None:
        return None, list(content.problems)
    composed = compose(content.text, file=estate.platform)
    if composed.root is None:
        return None, list(composed.problems)
    checked = check(composed.root, model=PlatformDocument)
    problems = [*composed.problems, *checked.problems]
    if checked.document is not None:
        found = platform_problems(checked.document, passphrase=passphrase_file(checked.document.spec, estate=estate))
        problems += [diagnostic(composed.root, path, message, hint=hint) for path, message, hint in found]
    if problems or checked.document is None:
        return None, problems
    ports = endpoints or read_endpoints(embedded_files(estate.root))
    return platform_value(checked.document, estate=estate, endpoints=ports), []


def load_exceptions(
    estate: Estate, *, rules: KnownRules, names: Collection[str] | None = None
) -> tuple[PolicyException, ...]:
    """Load the estate's exceptions, or those of the cooperatives ``names``, run out or not.

    Raises InvalidDescriptor with every problem.
    """
    described = [file.stem for file in cooperative_files(estate)]
    read = read_exceptions(estate, cooperatives=described, rules=rules, names=names)
    if read.problems:
        raise invalid(read.problems)
    return read.exceptions


def load_migrations(
    estate: Estate,
    *,
    platform: Platform,
    cooperatives: Iterable[Cooperative],
    names: Collection[str] | None = None,
    only: str | None = None,
) -> tuple[DataStoreMigration, ...]:
    """Load the estate's migrations, of the cooperatives ``names`` alone, or ``only`` the one of that name.

    ``cooperatives`` are those that were loaded: members are looked up among theirs.
    Raises InvalidDescriptor with every problem, NotFound if there is no such document.
    """
    if only is not None:
        _require_migration(estate, only)
    known_cooperatives: dict[str, Cooperative | None] = {file.stem: None for file in cooperative_files(estate)}
    known_cooperatives |= {str(one.name): one for one in cooperatives}
    described = Described(cooperatives=known_cooperatives, platform=platform)
    read = read_migrations(estate, described=described, names=names, only=only)
    if read.problems:
        raise invalid(read.problems)
    return read.migrations


def load_migration_alone(estate: Estate, name: str) -> DataStoreMigration:
    """Load one migration where there is neither platform nor cooperative to check it against.

    Raises InvalidDescriptor with every problem, NotFound if there is no such document.
    """
    _require_migration(estate, name)
    read = read_migrations(estate, described=Described(cooperatives=None, platform=None), only=name)
    if read.problems:
        raise invalid(read.problems)
    [found] = read.migrations
    return found


def _require_migration(estate: Estate, name: str) -> None:
    known = [file.stem for file in migration_files(estate)]
    if name not in known:
        hint = did_you_mean(name, known) or f"write {estate.migrations.name}/{name}.yaml: `coopctl schema` knows how"
        raise NotFound(f"the estate has no migration {name!r}", hint=hint)


def cooperative_files(estate: Estate) -> list[Path]:
    """The files of the Cooperative documents, sorted by name."""
    return sorted(file for file in estate.cooperatives.glob("*.yaml") if not file.name.startswith("."))


def invalid(problems: Sequence[Diagnostic]) -> InvalidDescriptor:
    """The failure that holds ``problems``."""
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    files = len({problem.location.file for problem in problems if problem.severity is Severity.ERROR})
    message = f"{_counted(errors, 'problem')} in {_counted(files, 'file')}"
    return InvalidDescriptor(message, diagnostics=problems, hint="mend what is listed above; nothing was changed")


def _described(resolved: Iterable[Resolved], *, platform: Platform | None) -> Described:
    return Described(cooperatives={one.source.stem: one.cooperative for one in resolved}, platform=platform)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _refuse_unknown(names: Iterable[str], *, files: Sequence[Path]) -> None:
    known = [file.stem for file in files]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"there are {', '.join(known) or 'none'}"
            raise NotFound(f"the estate has no cooperative {name!r}", hint=hint)


def _stray_files(folder: Path) -> list[Diagnostic]:
    """Documents under another ending would silently be left out."""
    return [
        Diagnostic(
            message="is not read: documents end in .yaml",
            location=Location(file=file),
            hint=f"rename it to {file.stem}.yaml",
        )
        for file in sorted(folder.glob("*.y*ml"))
        if file.suffix.lower() in {".yml", ".yaml"} and file.suffix != ".yaml"
    ]
