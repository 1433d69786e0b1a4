"""What operations work with: an estate's documents, the plans made of them, the programs that declare them, the engine.

A site is put together once per command, in the wiring of the command line.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from provisioner.datastore.records import Records, open_records
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.platform import Platform
from provisioner.engine.engine import Engine
from provisioner.engine.fingerprint import fingerprint
from provisioner.naming import PLATFORM_STACK
from provisioner.operations.policing import Policing
from provisioner.plan.resources import CooperativePlan, PlatformPlan, StackPlan

Program = Callable[[], None]


class Programs(Protocol):
    """Makes the Pulumi program of a plan."""

    def declaring(self, plan: StackPlan, *, platform: Platform) -> Program:
        """The program that declares all of ``plan``."""

    def leaving(self, name: str, *, platform: Platform, final_dump: str) -> Program:
        """The program that declares nothing but the providers that the stack ``name`` is taken away with.

        ``final_dump`` names the dump without which no data are deleted; empty: they are kept.
        """


@dataclass(frozen=True, kw_only=True)
class Target:
    """One stack to work on."""

    name: str
    plan: StackPlan
    program: Program
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Site:
    """An estate and all that is needed to work on its stacks.

    ``cooperatives`` are those that were loaded, ``described`` the names of all that have a descriptor; ``policing``
    is what they are held to.
    """

    estate: Estate
    platform: Platform
    cooperatives: Mapping[str, Cooperative]
    described: frozenset[str]
    plan_cooperative: Callable[[Cooperative], CooperativePlan]
    plan_platform: Callable[[], PlatformPlan]
    programs: Programs
    engine: Engine
    plugins: tuple[str, ...]
    policing: Policing

    def target(self, name: str) -> Target:
        """The stack ``name``: a cooperative's, or the platform's."""
        if name == PLATFORM_STACK:
            return self.target_of(name, plan=self.plan_platform())
        return self.target_of(name, plan=self.plan_cooperative(self.cooperatives[name]))

    def target_of(self, name: str, *, plan: StackPlan) -> Target:
        """The stack ``name``, to be made as ``plan`` says."""
        return Target(
            name=name,
            plan=plan,
            program=self.programs.declaring(plan, platform=self.platform),
            fingerprint=fingerprint(plan, surroundings=self._surroundings(name)),
        )

    def records(self) -> Records:
        """The small records beside the stacks' state."""
        settings = self.engine.settings
        return open_records(settings.backend_url, credentials_file=settings.credentials_file)

    def folder(self, name: str) -> Path:
        """Where the stack ``name`` keeps what is local to this machine."""
        return self.engine.settings.folder(name)

    def _surroundings(self, name: str) -> Mapping[str, str]:
        """What programs use beside their plan, and are held to. Credentials are references: no secret gets in."""
        platform, pack = self.platform, self.policing.policy_pack(name)
        return {
            "coopctl": version("coopctl"),
            "plugins": " ".join(sorted(self.plugins)),
            "cluster": repr(platform.cluster),
            "credentials": _digest(platform.cluster.kubeconfig),
            "postgres": repr(platform.postgres),
            "objects": repr(platform.objects),
            "policies": pack.digest if pack else "",
        }


def _digest(kubeconfig: Path) -> str:
    """A digest of the kubeconfig: a cluster that was made anew at the same address has other certificates."""
    return hashlib.sha256(kubeconfig.read_bytes()).hexdigest() if kubeconfig.is_file() else ""
