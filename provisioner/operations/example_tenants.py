"""Cooperatives that nobody has, for judging a chart before anybody chooses it.

They come from the same documents, templates and sizes as real ones, so that what a chart meets here is what it would
meet. With an estate they are on its platform and from its templates too; without one on an embedded platform.
"""

from dataclasses import dataclass
from pathlib import Path

from provisioner.catalogue.offer import Size
from provisioner.descriptor.checking import check
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.endpoints import EmbeddedEndpoints
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.expressions import Evaluator
from provisioner.descriptor.loading import invalid, load_platform
from provisioner.descriptor.nodes import compose
from provisioner.descriptor.platform import Platform
from provisioner.descriptor.platform_document import PlatformDocument
from provisioner.descriptor.platform_values import platform_value
from provisioner.descriptor.resolving import resolve_text
from provisioner.descriptor.surroundings import Surroundings
from provisioner.descriptor.templates import TemplateShelf, shipped_templates
from provisioner.errors import CoopctlError, NotFound

NAME = "example"
_NOWHERE = Path("example-estate")
_PLATFORM = """\
apiVersion: coopctl.dev/v1
kind: Platform
metadata: {name: example}
spec:
  cluster: {id: example}
  embedded: {}
  domainSuffixes: [example.kr]
"""
_COOPERATIVE = """\
apiVersion: coopctl.dev/v1
kind: Cooperative
metadata: {{name: example, displayName: 예시 조합}}
spec:
  sector: example
  template: "{template}"
  size: "{size}"
  support: {{start: 2026-01-01, end: 2028-12-31, afterwards: continue-paid}}
  members: [{{id: m-1, name: 회원사 001, employees: 8}}]
  network: {{domain: "example.{suffix}"}}
"""


@dataclass(frozen=True, kw_only=True)
class ExampleTenants:
    """The platform that examples are on, and what makes their descriptors whole."""

    platform: Platform
    around: Surroundings

    def of_size(self, size: Size) -> tuple[Cooperative, ...]:
        """A cooperative of ``size`` from each template that has it.

        Raises InvalidDescriptor for a bad template, NotFound if none has that size.
        """
        names = self.around.shelf.names()
        found = tuple(self._resolved(name, size=size) for name in names if self._offers(name, size))
        if not found:
            hint = f"add it to one of {', '.join(names)}, or state another coopctl.dev/needs-size"
            raise NotFound(f"no template has the size {size}", hint=hint)
        return found

    def _offers(self, template: str, size: Size) -> bool:
        read = self.around.shelf.template(template)
        # One with problems is resolved too: that tells them.
        return read is not None and (read.template is None or size in read.template.sizes)

    def _resolved(self, template: str, *, size: Size) -> Cooperative:
        text = _COOPERATIVE.format(template=template, size=size, suffix=self.platform.domain_suffixes[0])
        resolved = resolve_text(text, file=_NOWHERE / f"{NAME}.yaml", around=self.around)
        if resolved.cooperative is None:
            raise invalid(resolved.problems)
        return resolved.cooperative


def example_tenants(estate: Estate | None) -> ExampleTenants:
    """Examples on the platform of ``estate``, or on an embedded one. Raises InvalidDescriptor for a bad platform."""
    platform = load_platform(estate) if estate else _embedded_platform()
    own = (estate.templates,) if estate else ()
    around = Surroundings(
        estate_root=estate.root if estate else _NOWHERE,
        shelf=TemplateShelf(folders=(*own, shipped_templates())),
        evaluator=Evaluator(),
        platform=platform,
        catalogue_names=None,
    )
    return ExampleTenants(platform=platform, around=around)


def _embedded_platform() -> Platform:
    root = compose(_PLATFORM, file=_NOWHERE / "platform.yaml").root
    checked = check(root, model=PlatformDocument) if root else None
    if checked is None or checked.document is None:
        raise CoopctlError("the example platform is damaged", hint="install coopctl again")
    return platform_value(checked.document, estate=Estate(root=_NOWHERE), endpoints=EmbeddedEndpoints())
