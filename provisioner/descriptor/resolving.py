"""From a Cooperative document to a Cooperative: the template's settings below it, expressions evaluated,
everything checked, every value with its origin.

1. The facts are gathered: members (from their file), employees, sector.
2. The descriptor is laid over size, template and defaults; expressions that are left are evaluated.
3. The merged document is checked against its model; a problem names the layer's own file and line.
4. What no field can say alone is checked (cooperative_rules.py), and the frozen value is made.
"""

from dataclasses import dataclass, field
from pathlib import Path

from provisioner.descriptor.checking import check, diagnostic
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.cooperative_document import CooperativeDocument
from provisioner.descriptor.cooperative_rules import rule_problems
from provisioner.descriptor.cooperative_values import cooperative_value
from provisioner.descriptor.expressions import ExpressionError, Facts
from provisioner.descriptor.fields import shown
from provisioner.descriptor.layers import mapped, overlay
from provisioner.descriptor.members import MembersRead, inline_members, members_of
from provisioner.descriptor.nodes import MappingNode, Node, ScalarNode, compose, find, location
from provisioner.descriptor.suggestions import did_you_mean
from provisioner.descriptor.surroundings import Surroundings
from provisioner.descriptor.templates import Template
from provisioner.descriptor.text import read_text
from provisioner.errors import Diagnostic, Location, Severity

_NO_VERSION = "0.0.0"


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A cooperative (None if it has problems), the merged document it was made from, and every problem."""

    source: Path
    cooperative: Cooperative | None = None
    merged: Node | None = None
    problems: tuple[Diagnostic, ...] = ()


@dataclass(kw_only=True)
class _Merging:
    """A document on its way through the layers; ``failed`` are the places of expressions without a value."""

    root: Node
    members: MembersRead
    problems: list[Diagnostic]
    template: Template | None = None
    failed: set[Location] = field(default_factory=set)


def resolve(file: Path, *, around: Surroundings) -> Resolved:
    """Read and resolve the Cooperative document ``file``."""
    content = read_text(file)
    if content.text is None:
        return Resolved(source=file, problems=content.problems)
    return resolve_text(content.text, file=file, around=around)


def resolve_text(text: str, *, file: Path, around: Surroundings) -> Resolved:
    """Resolve the Cooperative document ``text`` that stands, or will stand, in ``file``."""
    composed = compose(text, file=file)
    if composed.root is None:
        return Resolved(source=file, problems=composed.problems)
    node, found = find(composed.root, ("spec", "members"))
    members = members_of(node if found else None, estate_root=around.estate_root)
    merging = _Merging(root=composed.root, members=members, problems=[*composed.problems, *members.problems])
    _lay_over_template(merging, around=around)
    return _checked(merging, file=file, around=around)


def _checked(merging: _Merging, *, file: Path, around: Surroundings) -> Resolved:
    checked = check(merging.root, model=CooperativeDocument)
    if checked.document is None:
        new = [problem for problem in checked.problems if problem.location not in merging.failed]
        return Resolved(source=file, merged=merging.root, problems=(*merging.problems, *new))
    members = merging.members
    if isinstance(checked.document.spec.members, list):
        node, _ = find(merging.root, ("spec", "members"))
        members = inline_members(checked.document.spec.members, node=node)
        merging.problems += members.problems
    merging.problems += rule_problems(checked.document, root=merging.root, around=around, file=file)
    cooperative = None
    if all(problem.severity is Severity.WARNING for problem in merging.problems):
        cooperative = cooperative_value(
            checked.document,
            members=members.members,
            root=merging.root,
            template_version=merging.template.version if merging.template else _NO_VERSION,
            source=file,
        )
    return Resolved(source=file, cooperative=cooperative, merged=merging.root, problems=tuple(merging.problems))


def _lay_over_template(merging: _Merging, *, around: Surroundings) -> None:
    root = merging.root
    spec = root.fields.get("spec") if isinstance(root, MappingNode) else None
    if not (isinstance(root, MappingNode) and isinstance(spec, MappingNode)):
        return
    merged = overlay(_settings(merging, spec=spec, around=around), spec)
    evaluated = mapped(merged, lambda scalar, path: _evaluated(scalar, path, merging, around), path="spec")
    merging.root = root._replace(fields={**root.fields, "spec": evaluated})


def _settings(merging: _Merging, *, spec: MappingNode, around: Surroundings) -> Node:
    """The merged settings of defaults, template and size; unknown ones are problems and count as absent."""
    name = spec.fields.get("template")
    if not isinstance(name, ScalarNode) or not name.text:
        return around.shelf.defaults
    read = around.shelf.template(name.text)
    if read is None:
        message, hint = f"{shown(name.text)} is not a template", around.shelf.hint(name.text)
        merging.problems.append(diagnostic(merging.root, ("spec", "template"), message, hint=hint))
        return around.shelf.defaults
    merging.problems += read.problems
    merging.template = read.template
    return _sized(read.template, merging=merging, spec=spec) if read.template else around.shelf.defaults


def _sized(template: Template, *, merging: _Merging, spec: MappingNode) -> Node:
    size = spec.fields.get("size")
    if not isinstance(size, ScalarNode) or not size.text:
        return template.fallback
    if size.text in template.sizes:
        return template.sizes[size.text].settings
    hint = did_you_mean(size.text, template.sizes) or f"it offers {', '.join(template.sizes)}"
    message = f"the template {template.name} has no size {shown(size.text)}"
    merging.problems.append(diagnostic(merging.root, ("spec", "size"), message, hint=hint))
    return template.fallback


def _evaluated(scalar: ScalarNode, path: str, merging: _Merging, around: Surroundings) -> ScalarNode:
    try:
        text = around.evaluator.evaluate(scalar.text, facts=_facts(merging))
    except ExpressionError as error:
        merging.failed.add(location(scalar))
        if merging.members.complete:
            message = f"the expression {shown(scalar.text)} {error}"
            merging.problems.append(Diagnostic(message=message, location=location(scalar), path=path))
        return scalar
    return scalar._replace(text=text, plain=True, expression=scalar.text)


def _facts(merging: _Merging) -> Facts:
    sector, found = find(merging.root, ("spec", "sector"))
    return Facts(
        members=len(merging.members.members),
        employees=sum(member.employees for member in merging.members.members),
        sector=sector.text if found and isinstance(sector, ScalarNode) else "",
    )
