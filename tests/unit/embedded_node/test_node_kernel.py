"""The kernel's settings and control groups, on folders that look like theirs."""

from pathlib import Path

import pytest

from provisioner.embedded.node import kernel, kubelet, removal
from provisioner.errors import CoopctlError


@pytest.fixture
def proc_sys(tmp_path: Path) -> Path:
    root = tmp_path / "sys"
    for name, value in {
        "net/ipv4/ip_forward": "0",
        kernel.BRIDGE_FILTER: "0",
        "net/bridge/bridge-nf-call-ip6tables": "1",
        "kernel/panic": "0",
        "vm/overcommit_memory": "2",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(value + "\n")
    return root


def test_settings_are_applied_and_put_back_with_those_the_kubelet_changed(proc_sys: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved" / "sysctls.json"
    kernel.apply_settings(saved, proc_sys=proc_sys)
    assert kernel.bridge_is_filtered(proc_sys)
    (proc_sys / "kernel/panic").write_text("10\n")
    kernel.apply_settings(saved, proc_sys=proc_sys)

    kernel.restore_settings(saved, proc_sys=proc_sys)

    assert not kernel.bridge_is_filtered(proc_sys)
    for name, value in {"net/ipv4/ip_forward": "0", "kernel/panic": "0", "vm/overcommit_memory": "2"}.items():
        assert (proc_sys / name).read_text().strip() == value
    assert not saved.exists()


def test_restoring_where_nothing_was_saved_is_harmless(tmp_path: Path) -> None:
    kernel.restore_settings(tmp_path / "absent.json", proc_sys=tmp_path)


def test_a_kernel_that_cannot_filter_bridged_packets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CoopctlError, match="br_netfilter"):
        kernel.apply_settings(tmp_path / "saved.json", proc_sys=tmp_path / "empty")
    assert not kernel.bridge_is_filtered(tmp_path / "empty")


def test_control_groups_of_version_1_are_made_in_each_hierarchy_and_removed(tmp_path: Path) -> None:
    for controller in ("memory", "cpuset"):
        (tmp_path / controller).mkdir()
    for setting in ("cpuset.cpus", "cpuset.mems"):
        (tmp_path / "cpuset" / setting).write_text("0-1\n")
    made = tmp_path / "cpuset" / "coopctl-x"
    made.mkdir()
    for setting in ("cpuset.cpus", "cpuset.mems"):
        (made / setting).write_text("")  # the kernel makes these

    kubelet.make_cgroup("/coopctl-x", root=tmp_path)

    assert (tmp_path / "memory" / "coopctl-x").is_dir()
    assert (made / "cpuset.cpus").read_text() == "0-1\n"
    (tmp_path / "memory" / "coopctl-x" / "pod" / "container").mkdir(parents=True)
    removal.remove_cgroups("/coopctl-x", root=tmp_path)
    assert not (tmp_path / "memory" / "coopctl-x").exists()


def test_control_groups_of_version_2_get_their_controllers(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    group = tmp_path / "coopctl-x"
    group.mkdir()
    (group / "cgroup.controllers").write_text("cpu memory pids\n")
    (group / "cgroup.subtree_control").write_text("cpu memory\n")

    kubelet.make_cgroup("/coopctl-x", root=tmp_path)

    assert kubelet.cgroup_hierarchies(tmp_path) == (tmp_path,)
    assert (group / "cgroup.subtree_control").read_text() == "+pids"


def test_members_are_found_in_every_depth(tmp_path: Path) -> None:
    for path, pids in {"memory/coopctl-x": "1\n", "memory/coopctl-x/pod": "2\n3\n", "cpu/coopctl-x/pod": "3\n"}.items():
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
        (tmp_path / path / "cgroup.procs").write_text(pids)

    assert removal.cgroup_members("/coopctl-x", root=tmp_path) == {1, 2, 3}
    assert removal.cgroup_members("/coopctl-y", root=tmp_path) == frozenset()
