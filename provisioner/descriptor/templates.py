"""Tenant templates: found in the estate first, then among those that coopctl ships; read once each.

A template may stand above another one: default < the other's defaults < its own < the other's size < its own size.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import provisioner
from provisioner.descriptor.checking import check, diagnostic
from provisioner.descriptor.cooperative import OriginKind
from provisioner.descriptor.fields import shown
from provisioner.descriptor.layers import overlay, stamped
from provisioner.descriptor.nodes import MappingNode, Node, compose, find
from provisioner.descriptor.suggestions import did_you_mean
from provisioner.descriptor.template_document import TemplateDocument
from provisioner.descriptor.text import read_text
from provisioner.errors import CoopctlError, Diagnostic

TEMPLATE_FILE = "template.yaml"
FOLDER = "tenant_templates"
Found = tuple[tuple[str, ...], str, str | None]
"""Where a problem is, what it is, and what to do."""

_DEFAULTS = Path(__file__).with_name("defaults.yaml")


@dataclass(frozen=True, kw_only=True)
class Size:
    """A size on offer: whom it suits, and the settings of default, template and size merged, not yet evaluated.

    ``own`` are those of the size alone.
    """

    description: str
    settings: Node
    own: Node


@dataclass(frozen=True, kw_only=True)
class Template:
    """A tenant template; ``fallback`` are the settings without any size, ``solutions`` what it proposes to choose.

    ``extends`` names the template that it stands above.
    """

    name: str
    display_name: str
    version: str
    description: str
    source: Path
    fallback: Node
    sizes: Mapping[str, Size]
    extends: str | None = None
    solutions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TemplateRead:
    """A template, or the problems that it has."""

    template: Template | None = None
    problems: tuple[Diagnostic, ...] = ()


def shipped_templates() -> Path:
    """The folder of the templates that come with coopctl: beside the package in a checkout, inside it if installed."""
    package = Path(provisioner.__file__).parent
    installed = package / "assets" / FOLDER
    return installed if installed.is_dir() else package.parent / FOLDER


def default_settings() -> Node:
    """What holds where neither descriptor, size nor template says anything."""
    content = read_text(_DEFAULTS)
    composed = compose(content.text or "", file=_DEFAULTS, layer=OriginKind.DEFAULT)
    if composed.root is None or composed.problems:
        raise CoopctlError(f"{_DEFAULTS} is damaged", hint="install coopctl again")
    return composed.root


@dataclass(kw_only=True)
class TemplateShelf:
    """The templates of ``folders``, of which the first that has a name wins."""

    folders: tuple[Path, ...]
    defaults: Node = field(default_factory=default_settings)
    _read: dict[str, TemplateRead] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Every template's name, sorted."""
        return tuple(
            sorted({file.parent.name for folder in self.folders for file in folder.glob(f"*/{TEMPLATE_FILE}")})
        )

    def hint(self, name: str) -> str:
        """What to write instead of the unknown template ``name``."""
        return did_you_mean(name, self.names()) or f"there are {', '.join(self.names()) or 'none'}"

    def template(self, name: str) -> TemplateRead | None:
        """The template called ``name`` with its problems, or None if there is no such template."""
        if name not in self._read:
            files = [folder / name / TEMPLATE_FILE for folder in self.folders] if name in self.names() else []
            found = next((file for file in files if file.is_file()), None)
            if found is None:
                return None
            # What it extends may lead back to it: then there is nothing yet.
            self._read[name] = TemplateRead()
            self._read[name] = read_template(found, defaults=self.defaults, others=self)
        return self._read[name]


class Others(Protocol):
    """Whoever knows the templates that one may stand above."""

    def template(self, name: str) -> TemplateRead | None:
        """The template called ``name`` with its problems, or None if there is no such template."""

    def hint(self, name: str) -> str:
        """What to write instead of the unknown template ``name``."""


def read_template(file: Path, *, defaults: Node, others: Others) -> TemplateRead:
    """Read one template.yaml above ``defaults``, or above the one of ``others`` that it extends."""
    content = read_text(file)
    if content.text is None:
        return TemplateRead(problems=content.problems)
    composed = compose(content.text, file=file, layer=OriginKind.TEMPLATE)
    if composed.root is None or composed.problems:
        return TemplateRead(problems=composed.problems)
    checked = check(composed.root, model=TemplateDocument)
    if checked.document is None:
        return TemplateRead(problems=checked.problems)
    name = checked.document.metadata.name
    if name != file.parent.name:
        message = f"is {name!r}, but its folder is {file.parent.name!r}"
        return TemplateRead(problems=(diagnostic(composed.root, ("metadata", "name"), message),))
    return _above(checked.document, root=composed.root, file=file, defaults=defaults, others=others)


def _above(document: TemplateDocument, *, root: Node, file: Path, defaults: Node, others: Others) -> TemplateRead:
    """The template above what it extends, or the problems with that."""
    name = document.spec.extends
    below = others.template(name) if name else None
    problems = list(_problems(document, below=below, hint=others.hint))
    if problems:
        found = tuple(diagnostic(root, path, message, hint=hint) for path, message, hint in problems)
        return TemplateRead(problems=(*found, *(below.problems if below else ())))
    base = below.template if below else None
    return TemplateRead(template=_template(document, root=root, file=file, defaults=defaults, base=base))


def _problems(document: TemplateDocument, *, below: TemplateRead | None, hint: Callable[[str], str]) -> Iterator[Found]:
    name, path = document.spec.extends, ("spec", "extends")
    if name is None:
        if not document.spec.sizes:
            yield ("spec", "sizes"), "must hold at least one size", "or name in `extends` a template that has some"
    elif below is None:
        yield path, f"{shown(name)} is not a template", hint(name)
    elif below.template is None:
        yield path, f"{shown(name)} has problems of its own, or extends this one", None
    elif below.template.extends:
        yield path, f"{shown(name)} extends another template itself", f"name {below.template.extends} here"


def _template(document: TemplateDocument, *, root: Node, file: Path, defaults: Node, base: Template | None) -> Template:
    fallback = overlay(base.fallback if base else defaults, _settings(root, ("spec", "defaults")))
    lower = base.sizes if base else {}
    sizes = {}
    for name in dict.fromkeys((*lower, *document.spec.sizes)):
        own = stamped(_settings(root, ("spec", "sizes", name, "settings")), OriginKind.SIZE)
        own = overlay(lower[name].own, own) if name in lower else own
        said = document.spec.sizes.get(name) or lower[name]
        sizes[name] = Size(description=said.description, settings=overlay(fallback, own), own=own)
    return Template(
        name=document.metadata.name,
        display_name=document.metadata.display_name,
        version=document.metadata.version,
        description=document.spec.description,
        source=file,
        fallback=fallback,
        sizes=MappingProxyType(sizes),
        extends=document.spec.extends,
        solutions=tuple(document.spec.solutions),
    )


def _settings(root: Node, path: tuple[str, ...]) -> Node:
    node, found = find(root, path)
    return node if found else MappingNode({}, {}, node.file, node.line, node.column, node.layer)
