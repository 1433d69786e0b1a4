"""The whole embedded platform with simulated nodes, on an estate whose path has spaces and Hangul."""

import json
import logging
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import boto3
import psutil
import psycopg
import pytest
from psycopg import sql

from cli.main import run
from provisioner.descriptor.endpoints import EmbeddedFiles, embedded_files, read_endpoints
from provisioner.descriptor.estate import Estate
from provisioner.embedded import platform, ports
from provisioner.embedded.folders import run_folder
from provisioner.embedded.liveness import birth, marked
from provisioner.embedded.objects import admin_keys
from provisioner.embedded.platform import EmbeddedStatus
from provisioner.embedded.supervisor import wait_until
from provisioner.errors import CoopctlError, ExitCode, UsageError
from provisioner.toolchain import Toolchain
from tests.conftest import EmbeddedPlatform, open_temporary_folder, running_platform

pytestmark = pytest.mark.cluster

SILENT = logging.getLogger(__name__).debug


def new_estate(root: Path) -> Estate:
    """An estate of which nothing but the folder is needed here."""
    root.mkdir(parents=True)
    (root / "platform.yaml").touch()
    return Estate(root=root)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where this module's estates are."""
    with open_temporary_folder() as made:
        yield made


@pytest.fixture(scope="module")
def running(folder: Path, toolchain: Toolchain) -> Iterator[EmbeddedPlatform]:
    """One embedded platform for the module; tests that break it mend it."""
    estate = new_estate(folder / "한국 쌀가공식품협회" / "it's an estate")
    with running_platform(estate, toolchain=toolchain, node="simulated") as made:
        yield made


def up(made: EmbeddedPlatform) -> EmbeddedStatus:
    """Bring it up again."""
    return platform.up(made.estate, toolchain=made.toolchain, node="simulated", report=SILENT)


def down(made: EmbeddedPlatform) -> tuple[str, ...]:
    """Take it down, keeping its data."""
    return platform.down(made.estate, report=SILENT)


def pids(estate: Estate) -> dict[str, int]:
    """Name and pid of what runs."""
    return {process.name: process.pid for process in platform.status(estate).processes if process.pid}


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is gone."""
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: birth(pid) is None, seconds=10)


def database(estate: Estate) -> psycopg.Connection[Any]:
    """A session of PostgreSQL's administrator."""
    return database_of(embedded_files(estate.root))


def database_of(files: EmbeddedFiles, *, password_of: EmbeddedFiles | None = None) -> psycopg.Connection[Any]:
    """The same for servers with these files."""
    return psycopg.connect(
        host="127.0.0.1",
        port=read_endpoints(files).postgres,
        user="postgres",
        password=(password_of or files).postgres_password.read_text().strip(),
        dbname="postgres",
        sslmode="verify-full",
        sslrootcert=str(files.postgres_ca),
        autocommit=True,
    )


def objects(estate: Estate) -> Any:
    """An S3 client with the administrator's keys."""
    files = embedded_files(estate.root)
    key, secret = admin_keys(files.objects_credentials)
    make: Any = boto3.client
    return make(
        "s3",
        endpoint_url=f"http://127.0.0.1:{read_endpoints(files).objects}",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def kubectl(made: EmbeddedPlatform, *arguments: str) -> str:
    """Run kubectl as the administrator."""
    program = made.toolchain.find("kubectl").path
    assert program is not None
    argv = [str(program), "--kubeconfig", str(made.kubeconfig), *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def put_data(made: EmbeddedPlatform, name: str) -> None:
    """Leave something in every store."""
    with database(made.estate) as session:
        session.execute(sql.SQL("CREATE TABLE {} AS SELECT '쌀' AS what").format(sql.Identifier(name)))
    client = objects(made.estate)
    client.create_bucket(Bucket=f"bucket-{name}")
    client.put_object(Bucket=f"bucket-{name}", Key="lot", Body=b"1")
    kubectl(made, "create", "configmap", name, "--from-literal=what=1")


def require_data(made: EmbeddedPlatform, name: str) -> None:
    """Find it again."""
    with database(made.estate) as session:
        assert session.execute(sql.SQL("SELECT what FROM {}").format(sql.Identifier(name))).fetchone() == ("쌀",)
    assert objects(made.estate).get_object(Bucket=f"bucket-{name}", Key="lot")["Body"].read() == b"1"
    assert kubectl(made, "get", "configmap", name, "-o", "jsonpath={.data.what}") == "1"


def test_simulated_pods_run_and_the_status_says_that_they_are_simulated(running: EmbeddedPlatform) -> None:
    assert running.status.runs
    assert running.status.node is not None
    assert not running.status.node.policies_in_force
    kubectl(running, "create", "deployment", "portal", "--image=portal", "--replicas=2")
    kubectl(running, "rollout", "status", "deployment/portal", "--timeout=60s")


def test_second_up_starts_nothing(running: EmbeddedPlatform) -> None:
    before = pids(running.estate)
    assert up(running).started == ()
    assert pids(running.estate) == before


def test_a_target_has_servers_and_secrets_of_its_own_until_it_is_not_wanted(
    running: EmbeddedPlatform, tmp_path: Path
) -> None:
    made = platform.up(running.estate, toolchain=running.toolchain, target=True, report=SILENT)
    other_version = tmp_path / "99" / "bin"
    other_version.mkdir(parents=True)
    for program in ("postgres", "initdb", "pg_isready"):
        (other_version / program).touch()
    try:
        assert made.runs
        assert made.target is not None
        assert set(made.started) == {"target-postgres", "target-objects"}
        with database_of(made.target.files) as session:
            assert session.execute("SELECT current_setting('wal_level')").fetchone() == ("logical",)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            database_of(made.target.files, password_of=made.files)
        with pytest.raises(UsageError, match="holds PostgreSQL 99"):
            platform.up(running.estate, toolchain=running.toolchain, target_programs=other_version, report=SILENT)
        assert up(running).started == ()
        assert {"target-postgres", "target-objects"} < pids(running.estate).keys()
    finally:
        without = platform.up(running.estate, toolchain=running.toolchain, target=False, report=SILENT)
    assert without.runs
    assert not [name for name in pids(running.estate) if name.startswith("target")]
    assert (made.target.files.root / "data" / "postgres" / "PG_VERSION").exists()
    assert not run_folder(made.target.files.root).exists()


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("postgres", "registry", "kwok"), id="three"),
        pytest.param((), id="all", marks=pytest.mark.long(seconds=60)),
    ],
)
def test_each_killed_process_alone_is_mended_by_the_next_up(running: EmbeddedPlatform, names: tuple[str, ...]) -> None:
    for name in names or tuple(pids(running.estate)):
        before = pids(running.estate)
        kill(before.pop(name))
        found = platform.status(running.estate)
        assert not found.runs
        assert [process.name for process in found.processes if process.pid is None] == [name]
        after = up(running)
        assert after.runs
        assert after.started == (name,)
        assert pids(running.estate).items() > before.items()


@pytest.mark.long(seconds=25)
def test_data_is_there_again_after_down_and_up(running: EmbeddedPlatform) -> None:
    put_data(running, "kept")
    assert set(down(running)) == {process.name for process in running.status.processes}
    assert not platform.status(running.estate).runs
    assert up(running).runs
    require_data(running, "kept")


@pytest.mark.long(seconds=20)
def test_data_is_there_again_after_a_crash_of_the_machine(running: EmbeddedPlatform) -> None:
    put_data(running, "survived")
    for pid in pids(running.estate).values():
        os.kill(pid, signal.SIGKILL)
    # A reboot also empties /run.
    shutil.rmtree(run_folder(running.status.files.root))
    assert up(running).runs
    require_data(running, "survived")


@pytest.mark.long(seconds=20)
def test_two_estates_run_beside_each_other(running: EmbeddedPlatform, folder: Path, toolchain: Toolchain) -> None:
    before = pids(running.estate)
    with running_platform(new_estate(folder / "second"), toolchain=toolchain, node="simulated") as second:
        assert second.status.runs
        assert second.status.endpoints.api_server != running.status.endpoints.api_server
        with database(second.estate) as session:
            session.execute("CREATE TABLE only_in_the_second (id int)")
        with database(running.estate) as session:
            assert session.execute("SELECT to_regclass('only_in_the_second')").fetchone() == (None,)
        platform.down(second.estate, report=SILENT)
        assert pids(running.estate) == before


def test_taken_port_is_refused_with_its_holder_and_goes_on_when_it_is_free(running: EmbeddedPlatform) -> None:
    port = running.status.endpoints.registry
    kill(pids(running.estate)["registry"])
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        with pytest.raises(CoopctlError, match=rf"port {port} of registry is taken by .*pid {os.getpid()}"):
            up(running)
    assert up(running).runs
    assert read_endpoints(running.status.files) == running.status.endpoints


def test_nothing_listens_but_on_loopback(running: EmbeddedPlatform) -> None:
    ours = set()
    for pid in pids(running.estate).values():
        process = psutil.Process(pid)
        ours |= {one.pid for one in (process, *process.children(recursive=True))}
    listening = {
        connection.laddr[0]
        for connection in psutil.net_connections(kind="inet")
        if connection.laddr
        and connection.pid in ours
        and (connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM)
    }
    assert listening <= {"127.0.0.1", "::1"}


def test_control_plane_knows_no_anonymous(running: EmbeddedPlatform) -> None:
    authority = running.status.files.root / "pki" / "kubernetes" / "ca.crt"
    context = ssl.create_default_context(cafile=str(authority))
    url = f"https://127.0.0.1:{running.status.endpoints.api_server}/api"
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    with pytest.raises(HTTPError) as refused:
        opener.open(url, timeout=5)
    assert refused.value.code == 401
    refused.value.close()


def test_etcd_refuses_clients_of_the_clusters_authority(running: EmbeddedPlatform) -> None:
    pki = running.status.files.root / "pki"
    context = ssl.create_default_context(cafile=str(pki / "etcd" / "ca.crt"))
    context.load_cert_chain(pki / "kubernetes" / "admin.crt", pki / "kubernetes" / "admin.key")
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    with pytest.raises(OSError, match=r"alert|reset|EOF"):
        opener.open(f"https://127.0.0.1:{running.status.endpoints.etcd_client}/health", timeout=5)


def test_no_secret_shows_in_arguments_environments_or_logs(running: EmbeddedPlatform) -> None:
    files = running.status.files
    secrets = [files.postgres_password.read_text().strip(), admin_keys(files.objects_credentials)[1]]
    shown = "".join(path.read_text(errors="replace") for path in (files.root / "logs").glob("*.log"))
    for pid in pids(running.estate).values():
        process = psutil.Process(pid)
        shown += " ".join(process.cmdline()) + " ".join(process.environ().values())
    assert not [secret for secret in secrets if secret in shown]


def test_private_files_are_private(running: EmbeddedPlatform) -> None:
    root = running.status.files.root
    private = [running.kubeconfig, *(root / "kubeconfigs").iterdir(), *root.glob("pki/*/*.key")]
    assert [path for path in private if path.stat().st_mode & 0o077] == []


def test_status_command_tells_by_its_exit_code(running: EmbeddedPlatform, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["dev", "status", "--estate", str(running.estate.root), "--output", "json"]
    assert run(arguments) is ExitCode.DONE
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "EmbeddedPlatform"
    assert document["running"]
    kill(pids(running.estate)["registry"])
    assert run(arguments) is ExitCode.PROBLEMS
    states = {process["name"]: process["state"] for process in json.loads(capsys.readouterr().out)["processes"]}
    assert states.pop("registry") == "down"
    assert set(states.values()) == {"running"}
    up(running)


def test_logs_command_shows_a_process_and_names_those_there_are(
    running: EmbeddedPlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    estate = ["--estate", str(running.estate.root)]
    assert run(["dev", "logs", "etcd", "-n", "1", *estate]) is ExitCode.DONE
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert run(["dev", "logs", "nobody", *estate]) is ExitCode.NOT_FOUND
    assert "kube-apiserver" in capsys.readouterr().err


def test_delete_asks_first_and_then_names_what_goes(
    running: EmbeddedPlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pids(running.estate)
    assert run(["dev", "down", "--delete", "--estate", str(running.estate.root)]) is ExitCode.USAGE
    assert "add --yes" in capsys.readouterr().err
    assert pids(running.estate) == before
    assert {Path(line.rpartition(" (")[0]).name for line in platform.doomed(running.estate)} >= {
        "etcd",
        "objects",
        "postgres",
        "registry",
    }


@pytest.mark.parametrize(
    "number",
    [
        *(pytest.param(one, marks=pytest.mark.long(seconds=20)) for one in (signal.SIGINT, signal.SIGTERM)),
        signal.SIGKILL,
    ],
)
def test_up_that_is_cut_off_goes_on_with_the_same_command(
    folder: Path, toolchain: Toolchain, number: signal.Signals
) -> None:
    estate = new_estate(folder / f"cut off by {number.name}")
    command = [str(Path(sys.executable).parent / "coopctl"), "dev", "up", "--node=simulated"]
    command += ["--estate", str(estate.root)]
    try:
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as cut:
            assert cut.stderr is not None
            said = ""
            for line in cut.stderr:
                # Once: an interrupted write may show a line again, and a second signal ends what is ending at once.
                if line.startswith("starting kube-apiserver") and line not in said:
                    cut.send_signal(number)
                said += line
            code = cut.wait()
        assert code == (-signal.SIGKILL if number is signal.SIGKILL else ExitCode.INTERRUPTED), said
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        # What already ran was left alone.
        assert "starting etcd" not in done.stderr
    finally:
        platform.down(estate, delete=True, report=SILENT)


def test_delete_leaves_nothing(folder: Path, toolchain: Toolchain) -> None:
    estate = new_estate(folder / "to be deleted")
    status = platform.up(estate, toolchain=toolchain, node="simulated", report=SILENT)
    used = [value for value in vars(status.endpoints).values() if isinstance(value, int)]
    platform.down(estate, delete=True, report=SILENT)
    assert not status.files.root.exists()
    assert not run_folder(status.files.root).exists()
    assert list(marked(status.files.root)) == []
    assert [port for port in used if not ports.is_free(port)] == []
    assert [path for path in Path(estate.root).rglob("*") if path.is_file()] == [estate.platform]


def test_down_of_what_never_ran_is_harmless(folder: Path) -> None:
    estate = new_estate(folder / "never started")
    assert platform.down(estate, delete=True, report=SILENT) == ()
    assert not platform.status(estate).runs


def test_delete_mends_what_no_command_can_read_any_longer(folder: Path) -> None:
    estate = new_estate(folder / "damaged")
    files = embedded_files(estate.root)
    files.root.mkdir(parents=True)
    (files.root / "settings.json").write_text("{")
    files.endpoints.write_text("[")
    with pytest.raises(CoopctlError, match="is damaged"):
        platform.status(estate)
    platform.down(estate, delete=True, report=SILENT)
    assert not files.root.exists()


@pytest.mark.long(seconds=20)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another account")
def test_estate_that_the_servers_account_cannot_enter_is_refused_with_the_remedy(
    folder: Path, toolchain: Toolchain
) -> None:
    closed = folder / "closed"
    estate = new_estate(closed / "estate")
    closed.chmod(0o700)
    with pytest.raises(CoopctlError, match=f"cannot enter {closed}") as refused:
        platform.up(estate, toolchain=toolchain, node="simulated", report=SILENT)
    remedy = str(refused.value.hint).partition("run: ")[2].partition("   (")[0]
    subprocess.run(["/bin/sh", "-c", remedy], check=True)
    try:
        assert platform.up(estate, toolchain=toolchain, node="simulated", report=SILENT).runs
    finally:
        platform.down(estate, delete=True, report=SILENT)
