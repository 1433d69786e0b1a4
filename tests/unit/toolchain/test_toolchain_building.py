"""Building tools for real: once, whole or not at all, whoever else builds and whatever cuts it off."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from provisioner.errors import BuildFailed, CoopctlError, NotFound
from provisioner.toolchain import Origin, Toolchain
from provisioner.toolchain.building import build_environment, require_room
from tests.unit.toolchain.small_tools import (
    HELLO,
    LONE,
    contents,
    fake_go,
    small_toolchain,
    system_path,
    write_module,
)

WAIT_SECONDS = 60
PROJECT = Path(__file__).parents[3]


def quiet(_line: str) -> None:
    """Take progress and drop it."""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_missing_tool_is_built_under_all_its_names_and_then_found_in_the_cache(tmp_path: Path) -> None:
    toolchain = small_toolchain(tmp_path)
    assert toolchain.find("hello-a").origin is Origin.MISSING
    said: list[str] = []
    paths = toolchain.ensure(["hello-b", "hello-a"], report=said.append)
    assert list(paths) == ["hello-b", "hello-a"]
    assert subprocess.run([paths["hello-a"]], capture_output=True, check=True, text=True).stderr == "hello 1.2.3\n"
    assert (toolchain.find("hello-a").origin, toolchain.find("hello-a").path) == (Origin.CACHE, paths["hello-a"])
    assert any("building hello 1.2.3" in line for line in said)
    again: list[str] = []
    assert toolchain.ensure(["hello-a"], report=again.append) == {"hello-a": paths["hello-a"]}
    assert again == []


def test_looking_for_tools_changes_nothing(tmp_path: Path) -> None:
    toolchain = small_toolchain(tmp_path)
    toolchain.all()
    assert not (tmp_path / "cache").exists()


def test_an_unknown_tool_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as refused:
        small_toolchain(tmp_path).ensure(["hello-a", "helo-b"], report=quiet)
    assert "hello-b" in (refused.value.hint or "")
    assert not (tmp_path / "cache").exists()


def test_a_path_with_spaces_and_hangul_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / "쌀 가공 estate"
    folder.mkdir()
    path = small_toolchain(folder).ensure(["hello-a"], report=quiet)["hello-a"]
    assert subprocess.run([path], capture_output=True, check=True, text=True).stderr == "hello 1.2.3\n"


def test_two_who_need_the_same_tool_build_it_once(tmp_path: Path) -> None:
    toolchain = small_toolchain(tmp_path)
    said: list[str] = []
    threads = [
        threading.Thread(target=toolchain.ensure, args=(["hello-a"],), kwargs={"report": said.append}) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert len([line for line in said if line.startswith("built hello")]) == 1
    assert toolchain.find("hello-a").origin is Origin.CACHE


def test_who_comes_second_says_what_it_waits_for_and_goes_on(tmp_path: Path) -> None:
    toolchain = small_toolchain(tmp_path)
    said: list[str] = []
    key = toolchain.folder(HELLO).name
    with toolchain.store.lock(key, waiting=lambda: None):
        second = threading.Thread(target=toolchain.ensure, args=(["hello-a"],), kwargs={"report": said.append})
        second.start()
        wait_for(lambda: said != [])
        assert said == ["another coopctl builds hello; waiting for it"]
        assert toolchain.find("hello-a").origin is Origin.MISSING
    second.join(WAIT_SECONDS)
    assert toolchain.find("hello-a").origin is Origin.CACHE


def test_another_tool_is_not_waited_for(tmp_path: Path) -> None:
    toolchain = small_toolchain(tmp_path, builds=(HELLO, LONE))
    with toolchain.store.lock(toolchain.folder(HELLO).name, waiting=lambda: None):
        assert toolchain.ensure(["lone"], report=quiet)["lone"].is_file()


SLOW_BUILD = 'printf half > "$target"; echo $$ > "$PROBE"; sleep 300 & wait'


def start_slow_build(folder: Path) -> tuple[subprocess.Popen[bytes], psutil.Process]:
    """A coopctl process in the middle of a build, and its compiler."""
    fake_go(folder / "bin", build=SLOW_BUILD)
    probe = folder / "probe"
    code = (
        # A test run that was itself started in the background hands down an ignored SIGINT.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from pathlib import Path; from tests.unit.toolchain.small_tools import small_toolchain;"
        f"small_toolchain(Path({str(folder)!r})).ensure(['hello-a'], report=print)"
    )
    path = f"{folder / 'bin'}{os.pathsep}{system_path()}"
    environment = {**os.environ, "PATH": path, "PROBE": str(probe)}
    coopctl = subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: probe.exists() and probe.read_text().endswith("\n"))
    return coopctl, psutil.Process(int(probe.read_text()))


def end(compiler: psutil.Process) -> None:
    for process in (*compiler.children(), compiler):
        process.kill()


def test_after_kill_9_in_mid_build_there_is_no_half_tool_and_the_next_run_goes_on(tmp_path: Path) -> None:
    write_module(tmp_path / "tools", "hello")
    coopctl, compiler = start_slow_build(tmp_path)
    half = [name for name in contents(tmp_path / "cache") if name.endswith("bin/hello")]
    assert len(half) == 1
    coopctl.kill()
    coopctl.wait(WAIT_SECONDS)
    toolchain = small_toolchain(tmp_path)
    assert toolchain.find("hello-a").origin is Origin.MISSING

    # The compiler still runs and keeps the lock: it is waited for, not run a second time beside it.
    said: list[str] = []
    second = threading.Thread(target=toolchain.ensure, args=(["hello-a"],), kwargs={"report": said.append})
    second.start()
    wait_for(lambda: said != [])
    assert "waiting" in said[0]
    end(compiler)
    second.join(WAIT_SECONDS)
    path = toolchain.find("hello-a").path
    assert path is not None
    assert path.stat().st_size > len("half")
    assert not [name for name in contents(tmp_path / "cache") if name.startswith(".")]


@pytest.mark.parametrize("number", [signal.SIGINT])
def test_interrupted_by_hand_the_compiler_ends_too_and_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    write_module(tmp_path / "tools", "hello")
    coopctl, compiler = start_slow_build(tmp_path)
    coopctl.send_signal(number)
    assert coopctl.wait(WAIT_SECONDS) != 0
    assert not compiler.is_running() or compiler.status() == psutil.STATUS_ZOMBIE
    assert contents(tmp_path / "cache") == set()


def test_what_does_not_compile_is_named_with_its_log_and_leaves_nothing(tmp_path: Path) -> None:
    write_module(tmp_path / "tools", "hello", main="package main\n\nfunc main() { undefined_here() }\n")
    toolchain = small_toolchain(tmp_path)
    with pytest.raises(BuildFailed) as failed:
        toolchain.ensure(["hello-a"], report=quiet)
    log = toolchain.store.log("hello")
    assert str(log) in failed.value.message
    assert "undefined_here" in (failed.value.why or "")
    assert "undefined_here" in log.read_text()
    assert contents(tmp_path / "cache") == set()


def test_a_module_that_the_lock_does_not_cover_is_refused(tmp_path: Path) -> None:
    main = 'package main\n\nimport _ "golang.org/x/text"\n\nfunc main() {}\n'
    write_module(tmp_path / "tools", "hello", main=main)
    with pytest.raises(BuildFailed, match="could not be built") as failed:
        small_toolchain(tmp_path).ensure(["hello-a"], report=quiet)
    assert "golang.org/x/text" in (failed.value.why or "")


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    fake_go(tmp_path / "bin", build='echo "write $WORK/b001/_pkg_.a: no space left on device"; exit 1')
    path = f"{tmp_path / 'bin'}{os.pathsep}{system_path()}"
    with pytest.raises(CoopctlError, match="the disk is full") as failed:
        small_toolchain(tmp_path, path=path).ensure(["hello-a"], report=quiet)
    assert "GOCACHE" in (failed.value.hint or "")


def test_a_disk_that_is_nearly_full_is_refused_before_building(tmp_path: Path) -> None:
    require_room(HELLO, free=206_000_000, at=tmp_path)
    with pytest.raises(CoopctlError, match="nearly full: 205 MB"):
        require_room(HELLO, free=205_999_999, at=tmp_path)


def test_a_cache_that_cannot_be_written_is_told_with_the_way_out() -> None:
    toolchain = replace(Toolchain(), cache=Path("/dev/null/cache"))
    with pytest.raises(CoopctlError, match="cannot be written") as refused:
        toolchain.ensure(["pause"], report=quiet)
    assert "XDG_CACHE_HOME" in (refused.value.hint or "")


def test_a_damaged_tool_in_the_cache_is_built_again(tmp_path: Path) -> None:
    toolchain = small_toolchain(tmp_path)
    path = toolchain.ensure(["hello-a"], report=quiet)["hello-a"]
    path.with_name("hello").unlink()
    assert toolchain.find("hello-a").origin is Origin.MISSING
    toolchain.ensure(["hello-a"], report=quiet)
    assert toolchain.find("hello-b").origin is Origin.CACHE
    assert not [name for name in contents(tmp_path / "cache") if name.startswith(".")]


@pytest.mark.parametrize(("file", "text"), [("main.go", "\n// changed\n"), ("go.sum", "")])
def test_changed_sources_are_another_build_and_the_old_one_stays(tmp_path: Path, file: str, text: str) -> None:
    toolchain = small_toolchain(tmp_path)
    old = toolchain.ensure(["hello-a"], report=quiet)["hello-a"]
    with (tmp_path / "tools" / "hello" / file).open("a") as source:
        source.write(text)
    new = toolchain.ensure(["hello-a"], report=quiet)["hello-a"]
    assert new != old
    assert old.exists()


def test_changed_ldflags_are_another_build(tmp_path: Path) -> None:
    toolchain = small_toolchain(tmp_path)
    other = replace(HELLO, ldflags="-X main.version=9")
    assert toolchain.folder(HELLO) != replace(toolchain, builds=(other,)).folder(other)


def test_the_callers_go_settings_do_not_change_the_tool(tmp_path: Path) -> None:
    foreign = {"GOOS": "plan9", "GOARCH": "arm", "GOFLAGS": "-mod=vendor", "GOWORK": "/nowhere/go.work"}
    toolchain = small_toolchain(tmp_path, environment=foreign)
    path = toolchain.ensure(["hello-a"], report=quiet)["hello-a"]
    assert subprocess.run([path], capture_output=True, check=True, text=True).stderr == "hello 1.2.3\n"


def test_go_keeps_its_caches_and_proxies() -> None:
    given = {"GOPROXY": "https://proxy.example", "GOCACHE": "/c", "GOSUMDB": "sum.example", "HOME": "/h"}
    made = build_environment(given)
    assert {name: made[name] for name in given} == given
    assert made["GOFLAGS"] == "-mod=readonly -buildvcs=false"
