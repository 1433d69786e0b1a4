"""The estate's PolicyException documents into values, with every problem.

No clock: whether an exception has run out is for whoever judges by it (provisioner.rules.excepting).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.descriptor.checking import PathParts, check, diagnostic
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.fields import shown
from provisioner.descriptor.nodes import Node, ScalarNode, compose, find, location
from provisioner.descriptor.policy_exception import KnownRules, ObjectReference, PolicyException
from provisioner.descriptor.policy_exception_document import PolicyExceptionDocument, PolicyExceptionSpec
from provisioner.descriptor.suggestions import did_you_mean
from provisioner.descriptor.text import read_text
from provisioner.errors import Diagnostic

Found = tuple[PathParts, str, str | None]
_COOPERATIVE = ("spec", "cooperative")


@dataclass(frozen=True, kw_only=True)
class ExceptionsRead:
    """The exceptions without problems, and the problems of the others."""

    exceptions: tuple[PolicyException, ...]
    problems: tuple[Diagnostic, ...]


@dataclass(frozen=True, kw_only=True)
class _Read:
    """One document: its value, the cooperative that it names as far as that can be told, and its problems."""

    exception: PolicyException | None
    cooperative: str | None
    problems: tuple[Diagnostic, ...]


def exception_files(estate: Estate) -> list[Path]:
    """The files of the PolicyException documents, sorted by name."""
    return sorted(file for file in estate.exceptions.glob("*.yaml") if not file.name.startswith("."))


def read_exceptions(
    estate: Estate, *, cooperatives: Collection[str], rules: KnownRules, names: Collection[str] | None = None
) -> ExceptionsRead:
    """Read every document; ``cooperatives`` are those that the estate describes.

    With ``names`` what surely concerns none of these is left out: a misspelt name may mean one of them.
    """
    read = [_read(file, cooperatives=cooperatives, rules=rules) for file in exception_files(estate)]
    if names is not None:
        read = [one for one in read if one.cooperative in names or one.cooperative not in cooperatives]
    exceptions = tuple(one.exception for one in read if one.exception)
    problems = [problem for one in read for problem in one.problems]
    return ExceptionsRead(exceptions=exceptions, problems=(*problems, *_repeated(exceptions)))


def _read(file: Path, *, cooperatives: Collection[str], rules: KnownRules) -> _Read:
    content = read_text(file)
    if content.text is None:
        return _Read(exception=None, cooperative=None, problems=content.problems)
    composed = compose(content.text, file=file)
    if composed.root is None:
        return _Read(exception=None, cooperative=None, problems=composed.problems)
    root = composed.root
    checked = check(root, model=PolicyExceptionDocument)
    problems = [*composed.problems, *checked.problems]
    if checked.document is None:
        return _Read(exception=None, cooperative=_named(root), problems=tuple(problems))
    found = [*_name(checked.document, file=file), *_references(checked.document.spec, cooperatives, rules)]
    problems += [diagnostic(root, path, message, hint=hint) for path, message, hint in found]
    exception = None if problems else _value(checked.document, root=root)
    return _Read(exception=exception, cooperative=checked.document.spec.cooperative, problems=tuple(problems))


def _named(root: Node) -> str | None:
    node, found = find(root, _COOPERATIVE)
    return node.text if found and isinstance(node, ScalarNode) else None


def _name(document: PolicyExceptionDocument, *, file: Path) -> Iterator[Found]:
    name = document.metadata.name
    if name != file.stem:
        yield ("metadata", "name"), f"is {name!r}, but the file is called {file.name!r}", f"rename it to {name}.yaml"


def _references(spec: PolicyExceptionSpec, cooperatives: Collection[str], rules: KnownRules) -> Iterator[Found]:
    if spec.cooperative not in cooperatives:
        known = sorted(cooperatives)
        hint = did_you_mean(spec.cooperative, known) or f"there are {', '.join(known) or 'none'}"
        yield _COOPERATIVE, f"{shown(spec.cooperative)} is not a cooperative of this estate", hint
    path = ("spec", "rule")
    if spec.rule in rules.fixed:
        yield path, f"{spec.rule} cannot be excepted: {rules.fixed[spec.rule]}", "remove this document"
    elif spec.rule not in rules.exceptable:
        hint = did_you_mean(spec.rule, sorted(rules.exceptable)) or "`coopctl policy list` shows all rules"
        yield path, f"{shown(spec.rule)} is not a rule", hint


def _value(document: PolicyExceptionDocument, *, root: Node) -> PolicyException:
    spec, about = document.spec, document.spec.object
    return PolicyException(
        name=document.metadata.name,
        rule=spec.rule,
        cooperative=spec.cooperative,
        object=ObjectReference(kind=about.kind, name=about.name) if about else None,
        who=spec.who,
        why=spec.why,
        until=spec.until,
        source=location(find(root, ("spec", "until"))[0]),
    )


def _repeated(exceptions: Sequence[PolicyException]) -> Iterator[Diagnostic]:
    """Two documents that say the same would hide that one of them has run out."""
    first: dict[tuple[str, str, ObjectReference | None], PolicyException] = {}
    for one in exceptions:
        other = first.setdefault((one.rule, one.cooperative, one.object), one)
        if other is not one:
            about = f" of {one.object}" if one.object else ""
            message = f"excepts {one.cooperative}{about} from {one.rule} again, as {other.name} does"
            yield Diagnostic(message=message, location=one.source, path="spec", hint="keep one of the two")
