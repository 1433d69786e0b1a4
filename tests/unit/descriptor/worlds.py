"""The smallest estates that show one behaviour each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.descriptor.endpoints import EmbeddedEndpoints
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import EstateCheck, check_estate

PILOT = Path(__file__).parents[3] / "examples" / "pilot"

PLATFORM = """\
apiVersion: coopctl.dev/v1
kind: Platform
metadata: {name: test}
spec:
  cluster: {id: test}
  embedded: {}
  domainSuffixes: [example.kr]
"""

COOPERATIVE = """\
apiVersion: coopctl.dev/v1
kind: Cooperative
metadata: {name: rice, displayName: 쌀조합}
spec:
  sector: food
  template: manufacturing
  size: small
  support: {start: 2014-06-01, end: 2017-05-31, afterwards: leave}
  members: [{id: m-1, name: 회원사 001, employees: 8}]
  network: {domain: rice.example.kr}
  solutions: [{name: portal}]
"""

TEMPLATE = """\
apiVersion: coopctl.dev/v1
kind: TenantTemplate
metadata: {name: own, displayName: 우리 틀, version: 1.2.3}
spec:
  description: a template of the estate's own
  sizes:
    small:
      description: all
      settings:
        dataStore:
          postgres: {connectionLimit: 20}
"""


@dataclass(frozen=True, kw_only=True)
class World:
    """An estate on disk."""

    estate: Estate

    def write(self, path: str, content: str | bytes) -> Path:
        """Write a file of the estate."""
        file = self.estate.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def check(self, *, catalogue_names: frozenset[str] | None = frozenset({"portal", "ledger"})) -> EstateCheck:
        """Every problem of the estate."""
        return check_estate(self.estate, catalogue_names=catalogue_names, endpoints=EmbeddedEndpoints())

    def problems(self) -> list[str]:
        """Every problem of the estate as `file:line:column: path: message (hint)`, files relative to it."""
        root = f"{self.estate.root}/"
        return [
            f"{problem}".replace(root, "") + (f" ({problem.hint})" if problem.hint else "")
            for problem in self.check().problems
        ]


def world(folder: Path, cooperatives: Mapping[str, str] | None = None, *, platform: str = PLATFORM) -> World:
    """An estate in ``folder`` with a platform and ``cooperatives`` (name -> text; by default one that is valid)."""
    made = World(estate=Estate(root=folder.resolve()))
    made.write("platform.yaml", platform)
    for name, text in ({"rice": COOPERATIVE} if cooperatives is None else cooperatives).items():
        made.write(f"cooperatives/{name}.yaml", text)
    return made


def changed(old: str, new: str, *, text: str = COOPERATIVE) -> str:
    """The valid document with ``old``, which must be in it, replaced."""
    assert text.count(old) == 1, old
    return text.replace(old, new)


def with_spec(line: str) -> str:
    """The valid document with one more line of its spec, the twelfth line of the text."""
    return f"{COOPERATIVE}  {line}\n"
