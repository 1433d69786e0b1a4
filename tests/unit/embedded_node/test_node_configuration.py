"""What the node's processes are told: files that hold for any path, rights without wildcards, images of fixed bytes."""

import io
import json
import tarfile
import tomllib
from pathlib import Path

import pytest

from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles
from provisioner.embedded.node import cluster, container_runtime, fail_closed, images, kubelet, services
from provisioner.embedded.node.commands import attempt, missing_programs, run
from provisioner.embedded.node.layout import NodeFiles, node_files
from provisioner.embedded.process import Surroundings
from provisioner.errors import CoopctlError

AWKWARD = Path('/srv/협동 조합 "a" \\b')


def surroundings(root: Path = AWKWARD) -> Surroundings:
    return Surroundings(
        estate_root=root,
        files=EmbeddedFiles(root=root),
        endpoints=EmbeddedEndpoints(),
        run=Path("/run/coopctl/0123456789"),
        tools={},
        real_node=True,
    )


@pytest.fixture
def files() -> NodeFiles:
    return node_files(surroundings())


@pytest.mark.node
def test_containerds_configuration_is_valid_for_any_path(files: NodeFiles) -> None:
    config = tomllib.loads(container_runtime.containerd_config(files))

    assert config["root"] == str(files.containerd_root)
    assert config["plugins"]["io.containerd.grpc.v1.cri"]["restrict_oom_score_adj"] is True
    assert config["plugins"]["io.containerd.grpc.v1.cri"]["netns_mounts_under_state_dir"] is True


def test_sockets_fit_into_their_107_bytes(files: NodeFiles) -> None:
    assert len(str(files.containerd_socket).encode()) <= 107


def test_pods_get_no_ipv6(files: NodeFiles) -> None:
    plugins = json.loads(container_runtime.cni_config(files))["plugins"]

    assert plugins[-1]["sysctl"] == {"net.ipv6.conf.all.disable_ipv6": "1"}
    assert plugins[0]["ipam"]["ranges"] == [[{"subnet": "10.244.0.0/24", "gateway": "10.244.0.1"}]]


def test_the_kubelet_lets_nobody_in_without_a_certificate(files: NodeFiles) -> None:
    certificate = Path("/pki/x.crt")
    text = kubelet.kubelet_config(surroundings(), files, ca=certificate, certificate=certificate, key=certificate)
    config = json.loads(text)

    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authorization"] == {"mode": "Webhook"}
    assert config["readOnlyPort"] == 0
    assert 0 < config["podPidsLimit"] <= 4096
    assert config["podLogsDir"].isascii()
    assert config["cgroupRoot"] == "/coopctl-0123456789"


def test_cluster_dns_answers_no_name_of_the_outside(files: NodeFiles) -> None:
    text = services.corefile(files)

    assert text.count("bind 10.244.0.1") == 2
    assert "rcode NXDOMAIN" in text
    assert "forward" not in text


def test_the_nodes_processes_have_no_wildcard_rights_and_read_no_secret() -> None:
    rules = [rule for one in cluster.cluster_objects() if one["kind"] == "ClusterRole" for rule in one["rules"]]

    assert rules
    for rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert "secrets" not in rule["resources"]


def test_every_binding_names_the_role_and_the_user_of_one_process() -> None:
    bindings = [one for one in cluster.cluster_objects() if one["kind"] == "ClusterRoleBinding"]

    for binding in bindings:
        (subject,) = binding["subjects"]
        process = binding["metadata"]["name"].rpartition(":")[2]
        assert subject["name"] == f"coopctl:{process}"
        assert binding["roleRef"]["name"] == binding["metadata"]["name"]


def test_an_image_has_the_same_bytes_each_time_and_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "pause"
    binary.write_bytes(b"program")

    archive = images.program_image(binary, reference="coopctl.invalid/pause:1")

    assert archive == images.program_image(binary, reference="coopctl.invalid/pause:1")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.extractfile("index.json")
        assert member is not None
        (manifest,) = json.load(member)["manifests"]
        assert f"blobs/{manifest['digest'].replace(':', '/')}" in tar.getnames()
    assert manifest["annotations"] == {"io.containerd.image.name": "coopctl.invalid/pause:1"}


RULES_OF_TWO_PODS = """-N KUBE-ROUTER-FORWARD
-A KUBE-ROUTER-FORWARD -d 10.244.0.7/32 -m comment --comment "rule to jump traffic to POD name:a" -j KUBE-POD-FW-A
-A KUBE-ROUTER-FORWARD -s 10.244.0.7/32 -m comment --comment "rule to jump traffic from POD name:a" -j KUBE-POD-FW-A
-A KUBE-ROUTER-FORWARD -s 10.244.0.8/32 -m comment --comment "rule to jump -d 10.9.9.9/32" -j KUBE-POD-FW-B
-A KUBE-ROUTER-FORWARD -d 10.244.0.9/32 -m comment --comment "rule to jump" -j KUBE-POD-FW-C
-A KUBE-ROUTER-FORWARD -d 10.244.0.10/32 -j ACCEPT
"""


def test_the_pods_with_rules_are_read_from_the_enforcers_chain() -> None:
    assert fail_closed.addresses_with_rules(RULES_OF_TWO_PODS) == {"10.244.0.7", "10.244.0.9"}
    assert fail_closed.addresses_with_rules("") == frozenset()


def test_a_failing_program_is_explained_in_its_own_words() -> None:
    with pytest.raises(CoopctlError, match="failed with code 3") as failure:
        run(["/bin/sh", "-c", "echo no such thing >&2; exit 3"])
    assert failure.value.why == "no such thing"


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(CoopctlError, match="did not end"):
        attempt(["/bin/sleep", "60"], timeout_seconds=0.1)


def test_missing_programs_come_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioner.embedded.node.commands.search_path", lambda: "/nonexistent")

    packages = {one.name: one.package for one in missing_programs()}

    assert packages["ctr"] == "containerd"
    assert packages["ip"] == "iproute2"
