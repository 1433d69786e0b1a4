"""What doctor finds in an estate: one broken example for each thing that it looks at."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from provisioner.descriptor.endpoints import EmbeddedEndpoints, embedded_files, write_endpoints
from provisioner.embedded.ports import taken_by_others
from provisioner.errors import Unreachable
from provisioner.migration.postgres_rollback import Leftover
from provisioner.naming import CooperativeUid
from provisioner.operations.diagnosing import ESTATE_CHECKS, look_at_estate, migrations
from provisioner.operations.migration_orphans import Orphans
from provisioner.toolchain.findings import Finding, Level, examine
from tests.unit.descriptor.worlds import World, world

PLATFORM = """\
apiVersion: coopctl.dev/v1
kind: Platform
metadata: {{name: test}}
spec:
  cluster: {{id: prod, kubeconfig: kubeconfig, context: prod}}
  domainSuffixes: [example.kr]
  postgres:
    host: 127.0.0.1
    port: {postgres}
    pods: {{address: 192.0.2.10, port: 5432}}
    admin: {{password: {{env: PG_PASSWORD}}}}
    caFile: ca.crt
  objects:
    url: http://127.0.0.1:{objects}
    pods: {{address: 192.0.2.11, port: 443}}
    admin: {{credentials: {{file: s3-credentials}}}}
  registry: {{address: "127.0.0.1:{registry}/team"}}
  ingress: {{className: nginx, controllerNamespace: ingress-nginx}}
  dns: {{addresses: [192.0.2.12]}}
  storageClasses: [standard]
"""
KUBECONFIG = """\
current-context: other
contexts: [{{name: prod, context: {{cluster: c}}}}]
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:{api}"}}}}]
"""
ENVIRONMENT = {"PG_PASSWORD": "x"}


@dataclass(kw_only=True)
class Servers:
    """What stands for the servers: sockets that listen, by name."""

    sockets: dict[str, socket.socket]

    def port(self, name: str) -> int:
        """The port of a server."""
        found: int = self.sockets[name].getsockname()[1]
        return found


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Four servers that answer."""
    with ExitStack() as stack:
        names = ("api", "postgres", "objects", "registry")
        yield Servers(sockets={name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in names})


@pytest.fixture
def made(tmp_path: Path, servers: Servers) -> World:
    """An estate with servers of its own in which everything is in order."""
    ports = {name: servers.port(name) for name in servers.sockets}
    estate = world(tmp_path / "우리 estate", {}, platform=PLATFORM.format(**ports))
    estate.write("kubeconfig", KUBECONFIG.format(**ports))
    estate.write("ca.crt", "certificate")
    estate.write("s3-credentials", "[default]")
    estate.write(".coopctl/passphrase", "secret").chmod(0o600)
    return estate


def findings(made: World, *, environment: dict[str, str] | None = None) -> tuple[Finding, ...]:
    """What is found in the estate."""
    facts = look_at_estate(made.estate, environment=ENVIRONMENT if environment is None else environment)
    return examine(facts, checks=ESTATE_CHECKS)


def problems(made: World, *, environment: dict[str, str] | None = None) -> list[Finding]:
    """What is to be done."""
    return [finding for finding in findings(made, environment=environment) if not finding.is_fine]


def test_an_estate_in_order_has_no_problem_and_names_every_server(made: World) -> None:
    assert problems(made) == []
    found = {finding.subject: finding.found for finding in findings(made)}
    assert {"the Kubernetes API server", "PostgreSQL", "the S3 server", "the registry"} <= set(found)
    assert found["the registry"].startswith("answers at 127.0.0.1:")


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("api", "the Kubernetes API server"),
        ("postgres", "PostgreSQL"),
        ("objects", "the S3 server"),
        ("registry", "the registry"),
    ],
)
def test_a_server_that_does_not_answer_is_named(made: World, servers: Servers, name: str, subject: str) -> None:
    port = servers.port(name)
    servers.sockets[name].close()

    (finding,) = problems(made)

    assert finding.subject == subject
    assert f"does not answer at 127.0.0.1:{port}" in finding.found
    assert "mend its address in" in (finding.remedy or "")


def test_a_host_name_that_nobody_knows_is_named(made: World) -> None:
    platform = made.estate.platform
    platform.write_text(platform.read_text().replace("host: 127.0.0.1", "host: no-such-host.invalid"))

    (finding,) = problems(made)

    assert (finding.subject, finding.found.split(": ")[0]) == (
        "PostgreSQL",
        f"does not answer at no-such-host.invalid:{platform.read_text().split('port: ')[1].split()[0]}",
    )


def _without_context(made: World) -> None:
    text = (made.estate.root / "kubeconfig").read_text()
    made.write("kubeconfig", text.replace("name: prod,", "name: test,"))


def _unlink(name: str) -> Callable[[World], None]:
    return lambda made: (made.estate.root / name).unlink()


def _applied(made: World) -> None:
    made.write(".coopctl/state/.pulumi/stacks/coopctl/rice.json", "{}")
    (made.estate.root / ".coopctl" / "passphrase").unlink()


@pytest.mark.parametrize(
    ("break_it", "subject", "found", "remedy"),
    [
        (_unlink("kubeconfig"), "kubeconfig", "does not exist", "check the endpoints"),
        (lambda made: made.write("kubeconfig", "- 1"), "kubeconfig", "is not a kubeconfig", "spec.cluster"),
        (
            lambda made: made.write("kubeconfig", KUBECONFIG.format(api=99999)),
            "kubeconfig",
            "names no server",
            "spec.cluster",
        ),
        (_without_context, "kubeconfig", "has no context 'prod'", "spec.cluster"),
        (_unlink("s3-credentials"), "the S3 credentials", "cannot be read", "name another place"),
        (lambda made: made.write("s3-credentials", ""), "the S3 credentials", "is empty", "name another place"),
        (_unlink("ca.crt"), "PostgreSQL's certificate authority", "cannot be read", "name another place"),
        (_applied, "passphrase", "is missing or empty", "bring it back"),
        (
            lambda made: made.write(".coopctl/passphrase", "secret").chmod(0o644),
            "platform.yaml",
            "can be read by others",
            "chmod 600",
        ),
        (
            lambda made: made.write("platform.yaml", "kind: Platfrom\n"),
            "platform.yaml",
            "line 1: kind: must be Platform",
            "did you mean 'Platform'?",
        ),
    ],
)
def test_each_broken_thing_is_found_with_its_remedy(
    made: World, break_it: Callable[[World], object], subject: str, found: str, remedy: str
) -> None:
    break_it(made)

    told = [finding for finding in problems(made) if finding.subject == subject and found in finding.found]

    assert len(told) == 1, problems(made)
    assert remedy in (told[0].remedy or "")


def test_a_variable_that_is_not_set_is_named(made: World) -> None:
    (finding,) = problems(made, environment={})

    assert (finding.subject, finding.found) == ("PostgreSQL's password", "the variable PG_PASSWORD is not set")


def test_without_anything_applied_a_missing_passphrase_is_no_problem(made: World) -> None:
    (made.estate.root / ".coopctl" / "passphrase").unlink()

    assert problems(made) == []


def test_a_passphrase_that_a_shared_state_may_need_is_missed(made: World) -> None:
    platform = made.estate.platform
    platform.write_text(platform.read_text() + "  state: {backend: 's3://state/coopctl'}\n")
    (made.estate.root / ".coopctl" / "passphrase").unlink()

    (finding,) = problems(made)

    assert "if nothing was ever applied" in (finding.remedy or "")


def test_an_embedded_platform_that_was_never_started_is_no_problem(tmp_path: Path) -> None:
    found = {finding.subject: finding.found for finding in findings(world(tmp_path, {}))}

    assert problems(world(tmp_path, {})) == []
    assert found["embedded platform"] == "was not started yet; `coopctl dev up` starts it"


def test_a_port_of_the_embedded_platform_that_somebody_else_holds_is_named(tmp_path: Path) -> None:
    estate = world(tmp_path, {})
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        write_endpoints(EmbeddedEndpoints(postgres=port), files=embedded_files(estate.estate.root))
        found = [finding for finding in problems(estate) if str(port) in finding.found]

    (finding,) = found
    assert finding.found.startswith(f"port {port} of postgres is taken by ")
    assert f"(pid {os.getpid()})" in finding.found
    assert "coopctl dev up" in (finding.remedy or "")


def test_a_port_that_the_platforms_own_process_or_its_child_holds_is_in_nobodys_way() -> None:
    serve = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{serve}; time.sleep(60)"], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        endpoints = EmbeddedEndpoints(postgres=int(child.stdout.readline()))
        by_own = {pid: _is_in_the_way(endpoints, own=pid) for pid in (child.pid, os.getpid(), 1 << 22)}
        child.kill()

    assert by_own == {child.pid: False, os.getpid(): False, 1 << 22: True}


def _is_in_the_way(endpoints: EmbeddedEndpoints, *, own: int) -> bool:
    failures = taken_by_others(endpoints, estate_root=Path("/estate"), own=frozenset({own}))
    return any(f"port {endpoints.postgres} " in str(failure) for failure in failures)


def test_a_damaged_embedded_platform_is_a_finding_and_not_the_end(tmp_path: Path) -> None:
    estate = world(tmp_path, {})
    estate.write(".coopctl/embedded/settings.json", "{")

    (finding,) = problems(estate)

    assert "settings.json is damaged" in finding.found
    estate.write(".coopctl/embedded/endpoints.json", "{")
    assert any("endpoints.json is damaged" in finding.found for finding in problems(estate))


def test_what_migrations_left_is_named_with_the_command_that_takes_it_away(made: World) -> None:
    facts = look_at_estate(made.estate, environment=ENVIRONMENT)
    left = (Leftover(kind="slot", name="coopctl_move_ab", database="rice"),)
    orphans = (Orphans(uid=CooperativeUid("ab"), cooperative="rice", left=left),)
    [finding] = migrations(replace(facts, orphans=orphans))
    assert (finding.level, finding.found) == (Level.PROBLEM, "left of rice: slot coopctl_move_ab")
    assert "coopctl migrate orphans --remove" in str(finding.remedy)
    [unknown] = migrations(replace(facts, unknown_orphans=Unreachable("PostgreSQL is away")))
    assert unknown.found == "not looked at: PostgreSQL is away"
