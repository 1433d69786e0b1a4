"""The doctor's checks, over facts that the tests give."""

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.toolchain import Origin, Tool, Toolchain
from provisioner.toolchain.checks import (
    CHECKS,
    CNI_PLUGINS,
    CONTROLLERS,
    GIGABYTE,
    PROGRAM_NAMES,
    SYSTEM_PROGRAMS,
    SystemProgram,
    has_problems,
)
from provisioner.toolchain.findings import Finding, Level, examine
from provisioner.toolchain.go import Go
from provisioner.toolchain.machine import BridgeFilter, Machine, look

PACKAGES_FILE = Path(__file__).parents[3] / "tools" / "system-packages.txt"
# For a remedy of coopctl's own (setfacl), and for archives.
NOT_CHECKED = {"acl", "zstd"}


def tool(name: str, *, path: Path | None = Path("/c/tool")) -> Tool:
    origin = Origin.CACHE if path else Origin.MISSING
    return Tool(name=name, version="1.0.0", wanted="1.0.0", origin=origin, path=path)


@pytest.fixture(name="machine")
def _machine() -> Machine:
    """A machine that has everything."""
    return Machine(
        python=(3, 11, 2),
        system="Linux",
        kernel="6.1.0-25-amd64",
        root=True,
        programs={name: Path("/usr/bin") / name for name in PROGRAM_NAMES},
        versions={"containerd": "1.6.20", "runc": "1.1.5", "nft": "1.0.6"},
        cni_plugins=frozenset(CNI_PLUGINS),
        cgroup_controllers=frozenset(CONTROLLERS),
        bridge_filter=BridgeFilter.ACTIVE,
        postgres_majors=(13, 15),
        postgres_account=True,
        closed_folder=None,
        go_on_path=(Go(program=Path("/usr/bin/go"), version="1.26.1"),),
        go_of_wheel=None,
        tools=(tool("etcd"), tool("kubectl")),
        cache=Path("/c"),
        cache_is_writable=True,
        cache_free_bytes=50 * GIGABYTE,
        estate=Path("/e"),
        estate_free_bytes=50 * GIGABYTE,
        memory_bytes=16 * GIGABYTE,
        available_memory_bytes=8 * GIGABYTE,
    )


def problems(machine: Machine) -> list[Finding]:
    return [finding for finding in examine(machine, checks=CHECKS) if not finding.is_fine]


def test_a_machine_that_has_everything_has_no_problem(machine: Machine) -> None:
    assert problems(machine) == []
    assert not has_problems(examine(machine, checks=CHECKS))


@pytest.mark.parametrize(
    ("change", "subject", "remedy", "level"),
    [
        ({"python": (3, 10, 9)}, "Python", "install Python 3.11", Level.PROBLEM),
        ({"tools": (tool("etcd", path=None), tool("kubectl"))}, "etcd", "toolchain install", Level.PROBLEM),
        ({"cache_free_bytes": GIGABYTE, "tools": (tool("etcd", path=None),)}, "tools' cache", "10.0 GB", Level.PROBLEM),
        (
            {"cache_is_writable": False, "tools": (tool("etcd", path=None),)},
            "tools' cache",
            "XDG_CACHE_HOME",
            Level.PROBLEM,
        ),
        ({"estate_free_bytes": GIGABYTE}, "disk of /e", "5.0 GB", Level.PROBLEM),
        ({"available_memory_bytes": GIGABYTE}, "memory", "2.0 GB", Level.PROBLEM),
        ({"postgres_majors": ()}, "PostgreSQL", "apt-get install postgresql-15", Level.PROBLEM),
        ({"postgres_majors": (9, 14)}, "PostgreSQL", "apt-get install postgresql-15", Level.PROBLEM),
        ({"postgres_account": False}, "account postgres", "adduser --system", Level.PROBLEM),
        ({"closed_folder": Path("/root")}, "estate's path", "setfacl -m u:postgres:x '/root'", Level.PROBLEM),
        ({"system": "Darwin"}, "system", "Linux", Level.SIMULATED),
        ({"kernel": "5.10.0"}, "system", "5.13", Level.SIMULATED),
        ({"root": False}, "root", "as root", Level.SIMULATED),
        ({"cgroup_controllers": frozenset({"cpu"})}, "control groups", "memory", Level.SIMULATED),
        ({"bridge_filter": BridgeFilter.MISSING}, "br_netfilter", "modprobe br_netfilter", Level.SIMULATED),
        ({"versions": {"containerd": "1.4.13"}}, "containerd", "apt-get install containerd", Level.SIMULATED),
        ({"versions": {"nft": "0.9.8"}}, "nft", "apt-get install nftables", Level.SIMULATED),
        ({"cni_plugins": frozenset({"bridge"})}, "CNI plugins", "containernetworking-plugins", Level.SIMULATED),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_each_lack_is_found_with_its_remedy(
    machine: Machine, change: dict[str, object], subject: str, remedy: str, level: Level
) -> None:
    found = {finding.subject: finding for finding in problems(replace(machine, **change))}  # type: ignore[arg-type]  # the table's values fit their fields
    assert remedy in (found[subject].remedy or "")
    assert found[subject].level is level


@pytest.mark.parametrize("program", SYSTEM_PROGRAMS, ids=lambda program: program.name)
def test_each_missing_program_is_named_with_its_package(machine: Machine, program: SystemProgram) -> None:
    programs = {name: path for name, path in machine.programs.items() if name != program.name}
    (finding,) = problems(replace(machine, programs=programs))
    assert (finding.subject, finding.level) == (program.name, program.level)
    assert (finding.remedy, finding.packages) == (f"apt-get install {program.package}", (program.package,))


def test_images_are_a_matter_of_any_machine_and_nodes_of_a_real_one() -> None:
    assert {program.name for program in SYSTEM_PROGRAMS if program.level is Level.PROBLEM} == {"skopeo", "mmdebstrap"}


def test_elsewhere_than_on_linux_the_programs_of_a_node_are_not_asked_for(machine: Machine) -> None:
    (finding,) = problems(replace(machine, system="Darwin", programs={}, cni_plugins=frozenset()))
    assert finding.level is Level.SIMULATED


def test_no_go_is_no_problem_as_it_comes_by_itself(machine: Machine) -> None:
    old = Go(program=Path("/usr/bin/go"), version="1.19.8")
    assert problems(replace(machine, go_on_path=(old,))) == []
    (said,) = [one for one in examine(replace(machine, go_on_path=(old,)), checks=CHECKS) if one.subject == "Go"]
    assert "1.19.8 (/usr/bin/go) does not fit" in said.found


def test_little_room_matters_only_while_tools_are_to_be_built(machine: Machine) -> None:
    assert problems(replace(machine, cache_free_bytes=0, cache_is_writable=False)) == []


def test_the_account_does_not_matter_where_root_is_not(machine: Machine) -> None:
    found = problems(replace(machine, root=False, postgres_account=False))
    assert [finding.subject for finding in found] == ["root"]


def test_what_is_checked_is_what_make_system_installs() -> None:
    lines = PACKAGES_FILE.read_text(encoding="utf-8").splitlines()
    installed = {line for line in lines if line and not line.startswith("#")}
    checked = {program.package for program in SYSTEM_PROGRAMS} | {"containernetworking-plugins", "postgresql-15"}
    assert installed == checked | NOT_CHECKED


def test_another_parts_checks_go_over_facts_of_their_own() -> None:
    def bridge(taken: bool) -> list[Finding]:
        return [Finding(subject="cbr0", found="taken", level=Level.SIMULATED)] if taken else []

    assert has_problems(examine(True, checks=[bridge]))
    assert examine(False, checks=[bridge]) == ()


def test_looking_at_this_machine_changes_nothing(tmp_path: Path) -> None:
    toolchain = Toolchain(cache=tmp_path / "cache" / "deep")
    facts = look(toolchain, estate=tmp_path / "not yet" / "there", wanted_programs=("sh", "no-such-program"))
    assert set(facts.programs) == {"sh"}
    assert facts.cache_free_bytes > 0
    assert {one.name for one in facts.tools} == set(toolchain.names)
    assert list(tmp_path.iterdir()) == []
