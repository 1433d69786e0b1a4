"""A migration's Job: allowed under Pod Security ``restricted``, credentials in files, the few flows that it needs."""

import base64
import json

from provisioner.descriptor.platform import DnsAccess, Endpoint
from provisioner.naming import LABEL_CLUSTER, LABEL_MANAGED_BY, SYSTEM_NAMESPACE
from provisioner.plan.migration_job import MigrationJob, job, job_flows, job_secret

PASSWORD = "hunter2-of-the-source"
WANTED = MigrationJob(
    migration="rice-out",
    image="registry.example.kr/coopctl/coopctl@sha256:" + "a" * 64,
    files={
        "platform.yaml": "kind: Platform",
        "migrations/rice-out.yaml": "kind: DataStoreMigration",
        "credentials/source": PASSWORD,
    },
    endpoints=(
        Endpoint(host="10.0.5.10", port=5432),
        Endpoint(host="203.0.113.7", port=5433),
        Endpoint(host="10.0.5.10", port=5432),
    ),
    dns=DnsAccess(addresses=("10.96.0.10",)),
)


def test_the_job_begins_suspended_and_a_pod_that_dies_is_followed_by_another_one() -> None:
    spec = job(WANTED)["spec"]
    assert spec["suspend"] is True
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed"
    final, passing, drained = spec["podFailurePolicy"]["rules"]
    assert (final["action"], final["onExitCodes"]["values"]) == ("FailJob", [2, 3, 5, 6, 11])
    assert (passing["action"], passing["onExitCodes"]["values"]) == ("Ignore", [12, 13])
    assert drained["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_the_pod_keeps_to_pod_security_restricted_and_has_no_token() -> None:
    pod = job(WANTED)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert set(container["resources"]["requests"]) == {"cpu", "memory", "ephemeral-storage"}
    assert {next(iter(set(volume) - {"name"})) for volume in pod["volumes"]} == {"emptyDir", "secret"}


def test_credentials_are_in_the_secret_alone_and_reach_the_pod_as_files() -> None:
    secret = job_secret(WANTED, owner="uid-1")
    assert base64.b64decode(secret["data"]["credentials..source"]).decode() == PASSWORD
    shown = json.dumps([job(WANTED), job_flows(WANTED, owner="uid-1")])
    assert PASSWORD not in shown
    assert base64.b64encode(PASSWORD.encode()).decode() not in shown
    pod = job(WANTED)["spec"]["template"]["spec"]
    [given] = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    assert {item["key"]: item["path"] for item in given["items"]} == {
        "platform.yaml": "platform.yaml",
        "migrations..rice-out.yaml": "migrations/rice-out.yaml",
        "credentials..source": "credentials/source",
    }
    assert {item["key"] for item in given["items"]} == set(secret["data"])
    mounted = {one["mountPath"] for one in pod["containers"][0]["volumeMounts"] if one["name"] == "given"}
    assert mounted == {"/estate/platform.yaml", "/estate/migrations", "/estate/credentials"}


def test_the_flows_are_the_servers_and_the_names_and_nothing_comes_in() -> None:
    spec = job_flows(WANTED, owner="uid-1")["spec"]
    assert spec["policyTypes"] == ["Egress"]
    assert spec["podSelector"] == {"matchLabels": {"coopctl.dev/migration": "rice-out"}}
    flows = [(rule["to"][0]["ipBlock"]["cidr"], [port["port"] for port in rule["ports"]]) for rule in spec["egress"]]
    assert flows == [("10.0.5.10/32", [5432]), ("203.0.113.7/32", [5433]), ("10.96.0.10/32", [53, 53])]


def test_secret_and_flows_go_with_the_job_and_nothing_bears_the_platforms_labels() -> None:
    for made in (job_secret(WANTED, owner="uid-1"), job_flows(WANTED, owner="uid-1")):
        [owner] = made["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "migrate-rice-out", "uid-1")
    for made in (job(WANTED), job_secret(WANTED, owner="u"), job_flows(WANTED, owner="u")):
        assert made["metadata"]["namespace"] == SYSTEM_NAMESPACE
        # The Job's controller copies labels to pods, and no pod may bear those.
        assert not {LABEL_CLUSTER, LABEL_MANAGED_BY} & set(made["metadata"]["labels"])
