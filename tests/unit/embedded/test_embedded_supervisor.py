"""The supervisor with small real processes."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from provisioner.embedded.liveness import Records, birth, marks
from provisioner.embedded.ports import is_free
from provisioner.embedded.process import ProcessSpec, ReadyProbe
from provisioner.embedded.supervisor import Supervisor, in_order, wait_until
from provisioner.errors import CoopctlError, NotFound, TimedOut
from tests.unit.embedded.processes import failing, server


@pytest.fixture
def said() -> list[str]:
    """The supervisor's progress lines."""
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    """A supervisor whose processes are stopped after the test."""
    made = Supervisor(tmp_path, report=said.append)
    yield made
    made.stop()


def pid_of(supervisor: Supervisor, name: str) -> int:
    """The pid of a running process."""
    return supervisor.running()[name].pid


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is gone."""
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: birth(pid) is None, seconds=5)


def test_started_process_is_ready_and_recorded(supervisor: Supervisor, tmp_path: Path) -> None:
    spec = server(tmp_path, "etcd")
    assert supervisor.start([spec]) == ("etcd",)
    (state,) = supervisor.states([spec])
    assert state.ready
    assert state.pid == pid_of(supervisor, "etcd")
    assert "etcd serves" in spec.log.read_text()


def test_second_start_touches_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    specs = [server(tmp_path, "etcd"), server(tmp_path, "registry")]
    supervisor.start(specs)
    before = {name: record.pid for name, record in supervisor.running().items()}
    assert supervisor.start(specs) == ()
    assert {name: record.pid for name, record in supervisor.running().items()} == before


def test_killed_process_alone_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    specs = [server(tmp_path, "etcd"), server(tmp_path, "registry")]
    supervisor.start(specs)
    kept = pid_of(supervisor, "registry")
    kill(pid_of(supervisor, "etcd"))
    assert supervisor.start(specs) == ("etcd",)
    assert pid_of(supervisor, "registry") == kept


def test_process_that_ends_while_others_are_looked_at_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    first = server(tmp_path, "etcd")
    second = replace(server(tmp_path, "kube-apiserver"), depends_on=("etcd",))
    supervisor.start([first, second])
    doomed = pid_of(supervisor, "kube-apiserver")

    def kill_and_answer() -> bool:
        if birth(doomed) is not None:
            kill(doomed)
        return True

    killing = replace(first, ready=ReadyProbe(description="the end of the other", check=kill_and_answer))
    assert supervisor.start([killing, second]) == ("kube-apiserver",)
    assert pid_of(supervisor, "kube-apiserver") != doomed


def test_process_outlives_its_starter(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from provisioner.embedded.supervisor import Supervisor;"
        "from tests.unit.embedded.processes import server; folder = pathlib.Path(sys.argv[1]);"
        "Supervisor(folder, report=print).start([server(folder, 'etcd')])"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=root, capture_output=True)
    supervisor = Supervisor(tmp_path, report=print)
    pid = pid_of(supervisor, "etcd")
    assert os.getsid(pid) != os.getsid(0)
    assert supervisor.stop() == ("etcd",)
    assert birth(pid) is None


def test_dependents_start_after_and_stop_before_what_they_need(supervisor: Supervisor, tmp_path: Path) -> None:
    said: list[str] = []
    loud = Supervisor(tmp_path, report=said.append)
    loud.start([server(tmp_path, "api", depends_on=("etcd",)), server(tmp_path, "etcd")])
    assert said.index("etcd is ready") < said.index("starting api")
    said.clear()
    loud.stop()
    assert said == ["stopping api", "stopping etcd"]


def test_process_that_ignores_the_signal_is_killed_after_its_time(
    supervisor: Supervisor, tmp_path: Path, said: list[str]
) -> None:
    spec = server(tmp_path, "stubborn", obedient=False, stop_timeout_seconds=0.3)
    supervisor.start([spec])
    pid = pid_of(supervisor, "stubborn")
    supervisor.stop()
    assert birth(pid) is None
    assert "stubborn does not stop: killing it" in said
    assert "was asked to stop" in spec.log.read_text()


def test_process_that_ends_while_starting_is_reported_with_its_last_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    with pytest.raises(CoopctlError, match="etcd ended while starting") as failed:
        supervisor.start([failing(tmp_path, "etcd", says="the port is on fire")])
    assert "the port is on fire" in str(failed.value.why)
    assert str(tmp_path / "logs" / "etcd.log") in str(failed.value.hint)


def test_process_that_never_gets_ready_times_out_and_says_what_was_waited_for(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    never = ReadyProbe(description="port 1 to answer", check=lambda: False)
    with pytest.raises(TimedOut, match="port 1 to answer"):
        supervisor.start([server(tmp_path, "etcd", ready=never, start_timeout_seconds=0.5)])


def test_others_stay_when_one_fails_and_the_same_start_goes_on(supervisor: Supervisor, tmp_path: Path) -> None:
    good = server(tmp_path, "registry")
    supervisor.start([good])
    pid = pid_of(supervisor, "registry")
    with pytest.raises(CoopctlError):
        supervisor.start([good, failing(tmp_path, "etcd", says="no")])
    assert supervisor.start([good, server(tmp_path, "etcd")]) == ("etcd",)
    assert pid_of(supervisor, "registry") == pid


def test_changed_settings_restart_the_process_and_no_other(supervisor: Supervisor, tmp_path: Path) -> None:
    etcd, registry = server(tmp_path, "etcd"), server(tmp_path, "registry")
    supervisor.start([etcd, registry])
    kept = pid_of(supervisor, "registry")
    assert supervisor.start([replace(etcd, fingerprint="renewed certificate"), registry]) == ("etcd",)
    assert pid_of(supervisor, "registry") == kept


def test_process_that_is_no_longer_wanted_is_stopped(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([server(tmp_path, "kwok"), server(tmp_path, "etcd")])
    supervisor.start([server(tmp_path, "etcd")])
    assert set(supervisor.running()) == {"etcd"}


def test_foreign_process_with_the_recorded_pid_is_never_touched(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([server(tmp_path, "etcd")])
    record = supervisor.running()["etcd"]
    kill(record.pid)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as foreign:
        # As after a reboot: the number in the record now belongs to somebody else.
        Records(tmp_path / "processes").write(replace(record, pid=foreign.pid))
        assert supervisor.running() == {}
        assert supervisor.stop() == ()
        assert foreign.poll() is None
        foreign.kill()


def test_process_counts_as_alive_while_one_of_its_threads_holds_its_ports() -> None:
    script = (
        "import ctypes, socket, threading, time; s = socket.create_server(('127.0.0.1', 0));"
        "print(s.getsockname()[1], flush=True); threading.Thread(target=time.sleep, args=(60,)).start();"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, seconds=5)
        assert not is_free(port)
        assert birth(process.pid) is not None
        process.kill()
        assert wait_until(lambda: birth(process.pid) is None, seconds=5)
        assert is_free(port)


def test_process_that_was_never_recorded_is_found_by_its_marks(supervisor: Supervisor, tmp_path: Path) -> None:
    spec = server(tmp_path, "etcd")
    supervisor.start([spec])
    pid = pid_of(supervisor, "etcd")
    # As when coopctl is killed between the start and the record.
    Records(tmp_path / "processes").remove("etcd")
    assert pid_of(supervisor, "etcd") == pid
    assert supervisor.start([spec]) == ("etcd",)
    assert birth(pid) is None


def test_two_unrecorded_processes_of_one_name_are_both_stopped(supervisor: Supervisor, tmp_path: Path) -> None:
    spec = server(tmp_path, "etcd")
    environment = {**os.environ, **marks(root=tmp_path, name="etcd", program=spec.argv[0])}
    loose = [subprocess.Popen(spec.argv, env=environment, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert wait_until(lambda: len(supervisor.running()) == 2, seconds=10)
    supervisor.stop()
    assert [process.wait(timeout=5) is not None for process in loose] == [True, True]


def test_helper_that_inherits_the_marks_is_not_taken_for_the_process(supervisor: Supervisor, tmp_path: Path) -> None:
    sleep = Path("/bin/sleep").resolve()
    environment = {**os.environ, **marks(root=tmp_path, name="containerd", program=sys.executable)}
    with subprocess.Popen([str(sleep), "60"], env=environment) as helper:
        assert supervisor.stop() == ()
        assert helper.poll() is None
        helper.kill()


def test_another_estates_processes_are_never_touched(tmp_path: Path) -> None:
    ours, theirs = (Supervisor(tmp_path / name, report=print) for name in ("ours", "theirs"))
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
    theirs.start([server(tmp_path / "theirs", "etcd")])
    assert ours.running() == {}
    assert ours.stop() == ()
    assert set(theirs.running()) == {"etcd"}
    theirs.stop()


def test_taken_port_is_refused_and_its_holder_named(supervisor: Supervisor, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(CoopctlError) as refused:
            supervisor.start([server(tmp_path, "etcd", ports=(port,))])
    assert f"port {port} of etcd is taken by" in refused.value.message
    assert f"pid {os.getpid()}" in refused.value.message
    assert "dev up" in str(refused.value.hint)


def test_missing_program_is_named(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="/nowhere/etcd is no program"):
        supervisor.start([server(tmp_path, "etcd", argv=("/nowhere/etcd",))])


def test_secrets_of_the_callers_environment_do_not_reach_a_process(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of the caller")
    supervisor.start([server(tmp_path, "etcd", environment={"GOGC": "50"})])
    environment = psutil.Process(pid_of(supervisor, "etcd")).environ()
    assert "PULUMI_CONFIG_PASSPHRASE" not in environment
    assert environment["GOGC"] == "50"


def test_log_is_private_and_begun_anew_when_it_is_large(supervisor: Supervisor, tmp_path: Path) -> None:
    spec = server(tmp_path, "etcd")
    spec.log.parent.mkdir()
    spec.log.write_bytes(b"x" * (9 * 1024 * 1024))
    supervisor.start([spec])
    assert spec.log.stat().st_size < 1024
    assert spec.log.stat().st_mode & 0o077 == 0
    assert spec.log.with_suffix(".log.1").exists()


def test_two_commands_at_once_wait_for_each_other(tmp_path: Path) -> None:
    order: list[str] = []
    first, second = Supervisor(tmp_path, report=order.append), Supervisor(tmp_path, report=order.append)

    def later() -> None:
        with second.exclusive():
            order.append("second")

    with first.exclusive():
        waiting = threading.Thread(target=later)
        waiting.start()
        assert wait_until(lambda: "waiting for another `coopctl dev` on this estate" in order, seconds=5)
        time.sleep(0.1)
        order.append("first")
    waiting.join(timeout=5)
    assert order[-2:] == ["first", "second"]


def test_damaged_record_counts_as_absent_and_its_process_is_still_found(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([server(tmp_path, "etcd")])
    (tmp_path / "processes" / "etcd.json").write_text("{")
    assert set(supervisor.running()) == {"etcd"}
    assert supervisor.stop() == ("etcd",)
    assert list((tmp_path / "processes").iterdir()) == []


def test_order_puts_every_process_after_what_it_needs(tmp_path: Path) -> None:
    specs = [
        server(tmp_path, "c", depends_on=("b",)),
        server(tmp_path, "a"),
        server(tmp_path, "b", depends_on=("a",)),
    ]
    assert [spec.name for spec in in_order(specs)] == ["a", "b", "c"]


@pytest.mark.parametrize("needs", [("b",), ("nowhere",)])
def test_order_refuses_circles_and_unknown_names(tmp_path: Path, needs: tuple[str, ...]) -> None:
    specs: list[ProcessSpec] = [
        server(tmp_path, "a", depends_on=needs),
        server(tmp_path, "b", depends_on=("a",)),
    ]
    with pytest.raises(ValueError, match="unknown or circular"):
        in_order(specs)
