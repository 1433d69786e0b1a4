"""The state in a bucket, as teams keep it: the same life, interruptions and remedies as with a folder."""

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import psutil
import pytest

from provisioner.datastore.credentials import AccessKey, resolve_access_key
from provisioner.descriptor.platform import SecretReference
from provisioner.engine.lease import mark_of
from provisioner.engine.leftovers import marked_processes
from tests.conftest import Servers
from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.killing import close, events_of, working_folder

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
PREFIX = "estates/one"


class TeamState:
    """A bucket for the state, and who may use it."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.bucket = f"state-{secrets.token_hex(6)}"
        self.key = key_in(servers.objects_credentials)
        self.client = boto3.client(
            "s3",
            endpoint_url=servers.objects_url,
            region_name=servers.objects_region,
            aws_access_key_id=self.key.id,
            aws_secret_access_key=self.key.secret.reveal(),
        )

    def url(self, *, bucket: str = "", endpoint: str = "") -> str:
        """The state's address as a Platform document names it."""
        where = f"endpoint={endpoint or self.servers.objects_url}&region={self.servers.objects_region}"
        return f"s3://{bucket or self.bucket}/{PREFIX}?{where}&s3ForcePathStyle=true"

    def keys(self, part: str) -> list[str]:
        """The keys of the objects with ``part`` in them."""
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return [item["Key"] for item in found if part in item["Key"]]

    def locks(self, stack: str) -> list[str]:
        """What Pulumi takes for locks of ``stack``."""
        return [key for key in self.keys(f"/locks/organization/coopctl/{stack}/") if "not-a-lock" not in key]

    def text(self) -> str:
        """All objects as one text, for looking for secrets."""
        return "\n".join(
            self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode(errors="replace")
            for key in self.keys("")
        )


def key_in(file: Path) -> AccessKey:
    """The access key of an AWS shared credentials file."""
    return resolve_access_key(SecretReference(file=file), environment={}, what="a key")


@pytest.fixture
def team(servers: Servers) -> Iterator[TeamState]:
    """A bucket for this test's state."""
    made = TeamState(servers)
    made.client.create_bucket(Bucket=made.bucket)
    yield made
    for key in made.keys(""):
        made.client.delete_object(Bucket=made.bucket, Key=key)
    made.client.delete_bucket(Bucket=made.bucket)


def write(estate: CliEstate, name: str, *, url: str) -> None:
    """The estate with its state at ``url``, credentials in a file; keys in the environment are of somebody else."""
    estate.write(name)
    file = estate.root / "state credentials"
    shutil.copyfile(estate.maker.world.servers.objects_credentials, file)
    file.chmod(0o600)
    platform = estate.root / "platform.yaml"
    state = f'state: {{backend: "{url}", credentials: {{file: {file.name}}}, passphrase: {{file: passphrase}}}}'
    platform.write_text(platform.read_text().replace("state: {passphrase: {file: passphrase}}", state))
    estate.variables |= {"AWS_ACCESS_KEY_ID": "AKIAWRONG", "AWS_SECRET_ACCESS_KEY": "wrong", "AWS_PROFILE": "other"}


@pytest.mark.long(seconds=90)
def test_the_life_of_a_cooperative_with_its_state_in_a_bucket(cli_estate: CliEstate, team: TeamState) -> None:
    write(cli_estate, "shared", url=team.url())

    planned = cli_estate.run("plan", "shared", "--detailed-exitcode")
    stacks_after_plan = team.keys("/stacks/")
    cli_estate.done("apply", "shared", "--yes")
    stacks = team.keys("/stacks/")
    salt = salt_of(cli_estate, "shared")
    shutil.rmtree(cli_estate.root / ".coopctl")
    compared = cli_estate.done("plan", "shared", "--refresh")
    status = json.loads(cli_estate.done("status", "--all", "--detailed-exitcode", "--output", "json"))
    again = json.loads(cli_estate.done("apply", "shared", "--yes", "--output", "json"))
    unchanged = cli_estate.done("plan", "shared")
    found_again = salt_of(cli_estate, "shared")
    history = team.keys("coopctl/history/shared/")
    text = team.text()
    cli_estate.done("destroy", "shared", "--yes")

    assert planned.returncode == 10
    assert stacks_after_plan == []
    assert {Path(key).name for key in stacks} >= {"shared.json", "platform.json"}
    assert "no changes" in compared
    assert [stack["healthy"] for stack in status["stacks"]] == [True]
    # The working folder was lost: it was made anew with the salt of the state.
    assert found_again == salt
    assert "not compared with the world" in unchanged
    assert again["changes"] is False
    assert history
    assert [key for key in team.keys("/stacks/") if key.endswith("shared.json")] == []
    assert team.locks("shared") == []
    assert not (cli_estate.root / ".coopctl" / "state").exists()
    known = [*cli_estate.maker.admin_secrets(), (cli_estate.root / "passphrase").read_text().strip()]
    assert [secret for secret in known if secret in text] == []


def salt_of(estate: CliEstate, stack: str) -> str:
    """The encryption salt in the stack's working folder."""
    text = (working_folder(estate, stack) / f"Pulumi.{stack}.yaml").read_text()
    return text.partition("encryptionsalt:")[2].strip().strip('"')


@pytest.mark.long(seconds=30)
def test_apply_after_a_kill_releases_its_lock_in_the_bucket_and_finishes(
    cli_estate: CliEstate, team: TeamState
) -> None:
    write(cli_estate, "cut-off", url=team.url())
    process = cli_estate.start("apply", "cut-off", "--yes", "--events")
    told = 0
    for event in events_of(process):
        told += event.get("stack") == "cut-off" and event["event"].startswith("Resource")
        if told >= 20:
            break
    marked = marked_processes(mark_of(working_folder(cli_estate, "cut-off")))
    process.kill()
    for leftover in marked:
        # One may end by itself in between.
        with contextlib.suppress(psutil.NoSuchProcess):
            leftover.kill()
    close(process)
    left = team.locks("cut-off")

    run = cli_estate.run("apply", "cut-off", "--yes")

    assert len(left) == 1
    assert run.returncode == 0, run.stderr
    assert "released the lock of cut-off" in run.stderr
    assert team.locks("cut-off") == []
    assert "no changes" in cli_estate.done("plan", "cut-off", "--refresh")


@pytest.mark.long(seconds=25)
def test_a_lock_of_another_machine_is_kept_until_it_is_unlocked(cli_estate: CliEstate, team: TeamState) -> None:
    write(cli_estate, "held", url=team.url())
    cli_estate.done("apply", "held", "--yes")
    lock = {"pid": 1, "username": "somebody", "hostname": "elsewhere", "timestamp": "2026-01-01T00:00:00Z"}
    key = f"{PREFIX}/.pulumi/locks/organization/coopctl/held/11111111-1111-1111-1111-111111111111.json"
    team.client.put_object(Bucket=team.bucket, Key=key, Body=json.dumps(lock).encode())

    refused = cli_estate.run("apply", "held", "--yes")
    cli_estate.done("unlock", "held", "--yes")

    assert refused.returncode == 13
    assert "somebody on elsewhere" in refused.stderr
    assert "no changes" in cli_estate.done("apply", "held", "--yes")


@pytest.mark.parametrize(
    ("mistake", "code", "words"),
    [
        ("bucket", 6, "bucket"),
        pytest.param("key", 3, "credentials", marks=pytest.mark.long(seconds=8)),
        pytest.param("server", 1, "does not answer", marks=pytest.mark.long(seconds=12)),
        pytest.param("file", 6, "credentials", marks=pytest.mark.long(seconds=8)),
    ],
)
def test_a_state_that_cannot_be_reached_is_named_with_the_remedy(
    cli_estate: CliEstate, team: TeamState, mistake: str, code: int, words: str
) -> None:
    urls = {"bucket": team.url(bucket="no-such-bucket"), "server": team.url(endpoint="http://127.0.0.1:9")}
    write(cli_estate, "astray", url=urls.get(mistake, team.url()))
    file = cli_estate.root / "state credentials"
    if mistake == "key":
        file.write_text(file.read_text().replace(team.key.secret.reveal(), "x" * 40))
    if mistake == "file":
        file.unlink()

    for command in (("plan", "astray"), ("apply", "astray", "--yes"), ("status", "--all")):
        run = cli_estate.run(*command, "--output", "json")
        failure = json.loads(run.stdout)
        assert (run.returncode, failure["exitCode"]) == (code, code), failure
        assert words in f"{failure['message']} {failure['hint']}", failure
        assert failure["hint"]
        assert team.key.secret.reveal() not in run.stdout + run.stderr


@pytest.mark.long(seconds=25)
def test_the_keys_of_the_state_are_in_no_command_line_and_no_environment(
    cli_estate: CliEstate, team: TeamState
) -> None:
    write(cli_estate, "discreet", url=team.url())
    process = cli_estate.start("apply", "discreet", "--yes", "--events")
    seen: set[str] = set()
    while process.poll() is None:
        for item in marked_processes(mark_of(working_folder(cli_estate, "discreet"))):
            seen |= told_by(item)
        time.sleep(0.05)
    close(process)

    assert any("--non-interactive" in text for text in seen), "the CLI was never seen"
    assert [text for text in seen if team.key.secret.reveal() in text] == []


def told_by(process: psutil.Process) -> set[str]:
    """What everybody on the machine, or its user, can read of a process."""
    try:
        return {" ".join(process.cmdline()), "\n".join(f"{key}={value}" for key, value in process.environ().items())}
    except psutil.Error:
        return set()


@pytest.mark.long(seconds=20)
def test_the_aws_environment_says_who_works_on_the_state_where_the_platform_does_not(
    cli_estate: CliEstate, team: TeamState
) -> None:
    write(cli_estate, "ambient", url=team.url())
    platform = cli_estate.root / "platform.yaml"
    platform.write_text(
        platform.read_text().replace("credentials: {file: state credentials}, passphrase", "passphrase")
    )
    file = cli_estate.root / "profiles"
    file.write_text(cli_estate.maker.world.servers.objects_credentials.read_text().replace("[default]", "[team]"))
    cli_estate.variables = {"AWS_SHARED_CREDENTIALS_FILE": os.fspath(file), "AWS_PROFILE": "team"}

    cli_estate.done("platform", "apply", "--yes")

    assert "no changes" in cli_estate.done("platform", "plan")
