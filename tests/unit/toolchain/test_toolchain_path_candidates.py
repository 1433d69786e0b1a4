"""Programs on PATH: taken only if they state a fitting version."""

import os
import time
from pathlib import Path

import pytest

from provisioner.toolchain import Origin, Tool, Toolchain, versions
from provisioner.toolchain.pins import BUILDS
from tests.unit.toolchain.small_tools import LONE, script, small_toolchain, system_path, with_candidate

STATED = r"^hello v(\d+\.\d+\.\d+)(?![\w.-])"


def found_with(folder: Path, body: str, *more: Path) -> Tool:
    """What is found as ``lone`` when a script with ``body`` is first on PATH and ``more`` folders follow."""
    script(folder / "first", "lone", body)
    path = os.pathsep.join([str(folder / "first"), *(str(one) for one in more), system_path()])
    return small_toolchain(folder, path=path, builds=(with_candidate(LONE, STATED),)).find("lone")


def test_a_fitting_version_is_taken_and_nothing_is_built(tmp_path: Path) -> None:
    tool = found_with(tmp_path, "echo some banner; echo hello v1.2.9")
    assert (tool.origin, tool.path, tool.version) == (Origin.PATH, tmp_path / "first" / "lone", "1.2.9")


@pytest.mark.parametrize(
    "body",
    [
        "echo hello v1.2.2",
        "echo hello v1.3.0",
        "echo hello v2.0.0",
        "echo hello v1.2.9-rc.1",
        "echo hello v1.2.9.1",
        "echo hello v1.2",
        "echo registry 1.2.9",
        "echo unknown",
        "",
        "echo hello v1.2.9; exit 1",
        "kill -9 $$",
        r"printf 'hello v1.2.\377\376'",
        "read answer; echo $answer",
    ],
)
def test_what_does_not_state_a_fitting_version_is_not_taken(tmp_path: Path, body: str) -> None:
    assert found_with(tmp_path, body).origin is Origin.MISSING


def test_the_next_program_on_path_is_tried(tmp_path: Path) -> None:
    fitting = script(tmp_path / "second", "lone", "echo hello v1.2.3")
    assert found_with(tmp_path, "echo hello v1.0.0", tmp_path / "second").path == fitting


def test_a_program_that_hangs_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "ASK_TIMEOUT_SECONDS", 0.2)
    assert found_with(tmp_path, "exec sleep 60").origin is Origin.MISSING


def test_what_a_program_leaves_running_does_not_hold_up(tmp_path: Path) -> None:
    started = time.monotonic()
    assert found_with(tmp_path, "sleep 5 & echo hello v1.2.3").origin is Origin.PATH
    assert time.monotonic() - started < 4


def test_files_that_are_no_programs_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "lone").write_text("#!/bin/sh\necho hello v1.2.3\n")
    (tmp_path / "second" / "lone").mkdir(parents=True)
    path = f"{tmp_path / 'first'}{os.pathsep}{tmp_path / 'second'}"
    toolchain = small_toolchain(tmp_path, path=path, builds=(with_candidate(LONE, STATED),))
    assert toolchain.find("lone").origin is Origin.MISSING


@pytest.mark.parametrize("relative", [".", "bin", ""])
def test_the_current_folder_is_never_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: str) -> None:
    script(tmp_path / relative, "lone", "echo hello v1.2.3")
    monkeypatch.chdir(tmp_path)
    toolchain = small_toolchain(tmp_path, path=relative, builds=(with_candidate(LONE, STATED),))
    assert toolchain.find("lone").origin is Origin.MISSING


@pytest.mark.parametrize(
    "name", ["pause", "netpol", "helm-render", "storage-provisioner", "pulumi-resource-kubernetes"]
)
def test_programs_that_cannot_state_a_version_are_never_taken_from_path(tmp_path: Path, name: str) -> None:
    script(tmp_path / "bin", name, "echo 1.0.0")
    toolchain = Toolchain(cache=tmp_path / "cache", environment={"PATH": str(tmp_path / "bin")})
    assert toolchain.find(name).origin is Origin.MISSING


@pytest.mark.parametrize(
    ("name", "answer", "taken"),
    [
        ("etcd", "etcd Version: 3.6.13", True),
        ("etcd", "etcd Version: 3.5.9", False),
        ("kubelet", "Kubernetes v1.35.4", True),
        ("kubelet", "Kubernetes v1.35.6+k3s1", True),
        ("kubelet", "Kubernetes v1.35.3", False),
        ("kubelet", "Kubernetes v1.36.0", False),
        ("kube-apiserver", "Kubernetes v1.35.4-rc.1", False),
        ("kubectl", "Client Version: v1.35.4\\nKustomize Version: v5.7.1", True),
        ("kubectl", "Kubernetes v1.35.4", False),
        ("pulumi", "v3.259.0", True),
        ("pulumi", "v3.260.0", False),
        ("coredns", "CoreDNS-1.13.1\\nlinux/amd64, go1.26.8,", True),
        ("coredns", "CoreDNS-1.11.3", False),
        ("registry", "/usr/bin/registry github.com/distribution/distribution/v3 v3.0.0+unknown", True),
        ("registry", "/usr/bin/docker-registry github.com/docker/distribution 2.8.2+ds1", False),
        ("registry", "registry 3.0.0", False),
        ("kwok", "kwok version v0.8.0 go1.26.8 (linux/amd64)", True),
        ("kwok", "kwok version v0.7.0 go1.26.8 (linux/amd64)", False),
    ],
)
def test_the_versions_that_fit(tmp_path: Path, name: str, answer: str, taken: bool) -> None:
    script(tmp_path / "bin", name, f"printf '{answer}\\n'")
    toolchain = Toolchain(cache=tmp_path / "cache", environment={"PATH": f"{tmp_path / 'bin'}:{system_path()}"})
    assert (toolchain.find(name).origin is Origin.PATH) is taken


def test_every_tool_that_path_may_offer_is_asked_in_a_way_of_its_own() -> None:
    asked = {tool for build in BUILDS for tool in build.tools if build.candidate_of(tool)}
    assert asked == {
        *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
        *("etcd", "pulumi", "coredns", "registry", "kwok"),
    }
