"""`migrate start --in-platform` on a real node: the pod is killed in mid-copy, and the next one ends it.

A member's slice is copied by a pod, too, and handed over.
"""

import json
import os
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

import psycopg
import pytest
import yaml

from examples.moved_store import DATABASE, OBJECTS, put_objects
from examples.pilot_estate import COOPERATIVE, secret
from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.embedded.private_files import write_private
from provisioner.embedded.target import target_servers
from provisioner.embedded.target_store import TargetStore, dsn, let_in, make_store, objects_url
from provisioner.naming import SECRET_DATA_STORE_MIGRATION, SYSTEM_NAMESPACE
from provisioner.toolchain import Toolchain
from tests.e2e.conftest import estate_inside
from tests.network_namespace import NetworkNamespace
from tests.portal_pilots import CHOSEN, copy_pilots
from tests.running_estate import RunningEstate

pytestmark = [
    pytest.mark.node,
    pytest.mark.usefixtures("inside"),
    pytest.mark.long(seconds=300),
    pytest.mark.timeout(3600),
]
Found = TypeVar("Found")
MIGRATION = f"{COOPERATIVE}-target"
ROWS = 5000
# Passwords and keys are longer than words of a connection string.
SECRET_LEAST = 20
PATIENCE_SECONDS = 600.0
MEMBER, SLICE = "m-001", "m-001-out"
SLICE_DOCUMENT = """\
apiVersion: coopctl.dev/v1
kind: DataStoreMigration
metadata: {{name: {name}}}
spec:
  cooperative: {cooperative}
  scope: {{member: {member}}}
  target:
    postgres:
      dsn: {{file: {dsn}}}
      pods: {{address: {address}, port: {postgres}}}
    objects:
      endpoint: {url}
      bucket: {member}
      credentials: {{file: {credentials}}}
      pods: {{address: {address}, port: {objects}}}
"""
BUCKET = "team-state"
STATE_KEY = ".coopctl/state-credentials"


@pytest.fixture(scope="module")
def estate(network: NetworkNamespace, toolchain: Toolchain) -> Iterator[RunningEstate]:
    """A cooperative without solutions, with rows and objects; its state in a bucket; the target's servers beside it."""
    with estate_inside(network, toolchain=toolchain, copied=_without_solutions, images=_image) as made:
        _prepare(made, toolchain=toolchain)
        yield made


def _without_solutions(folder: Path) -> Path:
    descriptor = copy_pilots(folder) / "cooperatives" / f"{COOPERATIVE}.yaml"
    descriptor.write_text(CHOSEN.sub("", descriptor.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def _image(estate: Path) -> None:
    """Build it with the machine's network: inside a namespace of its own there is none."""
    command = [sys.executable, "-c", "from cli.main import main; main()", "images", "build", "coopctl"]
    subprocess.run([*command, "--estate", estate], check=True, capture_output=True)


def _prepare(estate: RunningEstate, *, toolchain: Toolchain) -> None:
    estate.coopctl("dev", "up", "--node", "real", "--target")
    _share_the_state(estate, toolchain=toolchain)
    estate.coopctl("images", "build", "coopctl", "--push")
    estate.coopctl("apply", COOPERATIVE, "--yes", "--no-prove")
    estate.coopctl("dev", "target", COOPERATIVE)
    details = secret(f"{COOPERATIVE}-data", SECRET_DATA_STORE_MIGRATION, estate=estate.root)
    with psycopg.connect(
        host="127.0.0.1",
        port=estate.endpoints.postgres,
        user=details["PGUSER"],
        password=details["PGPASSWORD"],
        dbname=details["PGDATABASE"],
        sslmode=details["PGSSLMODE"],
    ) as session:
        session.execute(f"SET ROLE {DATABASE}_owner")
        session.execute(
            "CREATE TABLE lots (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text NOT NULL, member_id text)"
        )
        session.execute(
            "INSERT INTO lots (code, member_id) SELECT 'L-' || n, 'm-00' || n %% 4 + 1 FROM generate_series(1, %s) n",
            (ROWS,),
        )


def _share_the_state(estate: RunningEstate, *, toolchain: Toolchain) -> None:
    """A bucket for the state, with a key that opens nothing else."""
    estate.objects_client().create_bucket(Bucket=BUCKET)
    key = AccessKey(id=token_hex(8), secret=Secret(token_hex(20)))
    weed = toolchain.ensure(["weed"], report=print)["weed"]
    let_in("team", key=key, bucket=BUCKET, master_port=estate.endpoints.objects_master, weed=weed)
    text = f"[default]\naws_access_key_id = {key.id}\naws_secret_access_key = {key.secret.reveal()}\n"
    write_private(estate.root / STATE_KEY, text)
    endpoint = f"http://127.0.0.1:{estate.endpoints.objects}"
    file = estate.root / "platform.yaml"
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["spec"]["state"] = {
        "backend": f"s3://{BUCKET}/pilot?endpoint={endpoint}&region=us-east-1&s3ForcePathStyle=true",
        "credentials": {"file": STATE_KEY},
    }
    file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")


def test_a_members_slice_is_copied_by_a_pod_and_handed_over(estate: RunningEstate, toolchain: Toolchain) -> None:
    store = _ready_for_slice(estate, toolchain=toolchain)
    begun = estate.document("migrate", "start", SLICE, "--in-platform")
    given = _given(estate, SLICE)
    _until(lambda: _complete(estate, SLICE), what="the pod completes the Job")

    assert begun["job"] == f"migrate-{SLICE}"
    assert not [text for text in given.values() if estate.files.postgres_password.read_text().strip() in text]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        _log_in(estate, given)
    assert estate.document("migrate", "verify", SLICE)["clean"]
    estate.coopctl("migrate", "finalise", SLICE, "--yes")

    assert estate.document("migrate", "status", SLICE)["jobLogin"] is None
    assert _nothing_is_left(estate)
    with psycopg.connect(store) as target:
        assert target.execute("SELECT count(*), min(member_id), max(member_id) FROM lots").fetchall() == [
            (ROWS // 4, MEMBER, MEMBER)
        ]


def test_a_pod_that_is_killed_in_mid_copy_is_followed_by_one_that_ends_it(estate: RunningEstate) -> None:
    put_objects(estate.root)
    with estate.database(DATABASE) as other, other.transaction():
        # The slot's creation waits for it: the copy has begun, and cannot end; for a minute, then it would fail.
        other.execute("SELECT pg_current_xact_id()")
        begun = estate.document("migrate", "start", MIGRATION, "--in-platform")
        first = _until(lambda: _copying(estate), what="the copy begins")
        refused = estate.attempt("migrate", "start", MIGRATION)
        told = _what_the_pod_shows(estate, first)
        estate.kubectl("delete", "pod", first, "-n", SYSTEM_NAMESPACE, "--grace-period=0", "--force")

    again, given = estate.document("migrate", "start", MIGRATION, "--in-platform"), _given(estate, MIGRATION)
    _until(lambda: _complete(estate, MIGRATION), what="the next pod completes the Job")
    status = estate.document("migrate", "status", MIGRATION)

    assert (begun["namespace"], begun["already"], again["already"]) == (SYSTEM_NAMESPACE, False, True)
    assert refused.returncode == 13
    assert f"on {first}" in refused.stderr
    words = {word for text in given.values() for word in text.split() if len(word) >= SECRET_LEAST}
    assert words
    assert not [word for word in words if word in told]
    administrator = estate.files.postgres_password.read_text().strip()
    assert not [text for text in given.values() if administrator in text or _objects_administrator(estate) in text]
    assert {"phase": "copy", "step": "objects", "state": "done"} in status["run"]["steps"]
    assert status["lag"]["active"]
    assert status["jobLogin"]["name"].endswith("_job")
    verified = estate.document("migrate", "verify", MIGRATION)
    assert verified["clean"]
    assert verified["objects"]["keys"] == OBJECTS
    [lots] = [table for table in verified["postgres"]["tables"] if table["table"].strip('"').endswith("lots")]
    assert (lots["source_rows"], lots["target_rows"]) == (ROWS, ROWS)

    estate.coopctl("migrate", "abort", MIGRATION, "--yes")
    status = estate.document("migrate", "status", MIGRATION)
    assert (status["jobLogin"], status["onSource"], status["holder"]) == (None, [], None)
    assert _nothing_is_left(estate)


def _ready_for_slice(estate: RunningEstate, *, toolchain: Toolchain) -> str:
    """The member's own database and bucket, and the document that leads there; gives the database's DSN."""
    servers = target_servers(estate.files)
    key = AccessKey(id=token_hex(8), secret=Secret(token_hex(20)))
    store = TargetStore(database="member", bucket=MEMBER, identity=MEMBER, key=key)
    weed = toolchain.ensure(["weed"], report=print)["weed"]
    make_store(store, servers=servers, weed=weed, environment=os.environ)
    file = servers.files.root / "secrets" / "member.dsn"
    write_private(file, dsn(store, servers=servers).reveal())
    document = estate.root / "migrations" / f"{SLICE}.yaml"
    document.write_text(
        SLICE_DOCUMENT.format(
            name=SLICE,
            cooperative=COOPERATIVE,
            member=MEMBER,
            dsn=file.relative_to(estate.root),
            address=servers.endpoints.bridge,
            postgres=servers.endpoints.postgres,
            url=objects_url(servers),
            credentials=servers.files.objects_credentials.relative_to(estate.root),
            objects=servers.endpoints.objects,
        ),
        encoding="utf-8",
    )
    return file.read_text(encoding="utf-8")


def _log_in(estate: RunningEstate, given: Mapping[str, str]) -> None:
    """Log in at the source with what the pod was given."""
    [login] = estate.rows("SELECT rolname FROM pg_roles WHERE rolname ~ '^coopctl_move_.*_job$'")
    psycopg.connect(
        host="127.0.0.1",
        port=estate.endpoints.postgres,
        user=str(login[0]),
        password=given["credentials..source"],
        dbname=DATABASE,
        sslmode="require",
    ).close()


def _nothing_is_left(estate: RunningEstate) -> bool:
    """Whether the platform's own namespace is as before any Job."""
    flows = [one["metadata"]["name"] for one in estate.get("networkpolicy", "-n", SYSTEM_NAMESPACE)["items"]]
    return not estate.get("job,pod,secret", "-n", SYSTEM_NAMESPACE)["items"] and flows == ["default-deny"]


def _copying(estate: RunningEstate) -> str | None:
    """The pod that copies, as the migration's status names it."""
    status = estate.document("migrate", "status", MIGRATION)
    steps = status["run"]["steps"] if status["run"] else []
    copies = {"phase": "copy", "step": "tables", "state": "begun"} in steps
    return str(status["holder"]["host"]) if copies and status["holder"] else None


def _complete(estate: RunningEstate, migration: str) -> bool:
    job = estate.get("job", f"migrate-{migration}", "-n", SYSTEM_NAMESPACE)
    conditions = {one["type"]: one for one in job["status"].get("conditions", ()) if one["status"] == "True"}
    assert "Failed" not in conditions, _told(estate, migration, conditions["Failed"])
    return "Complete" in conditions


def _told(estate: RunningEstate, migration: str, failed: object) -> str:
    logs = estate.attempt_kubectl("logs", "-n", SYSTEM_NAMESPACE, f"job/migrate-{migration}", "--tail=50")
    return f"{failed}\n{logs.stdout}{logs.stderr}"


def _what_the_pod_shows(estate: RunningEstate, pod: str) -> str:
    """Everything that the API server shows of the pod and the Job, and what it has printed; not the Secret."""
    shown = json.dumps(estate.get("pod,job,event", "-n", SYSTEM_NAMESPACE))
    return shown + estate.attempt_kubectl("logs", "-n", SYSTEM_NAMESPACE, pod).stdout


def _given(estate: RunningEstate, migration: str) -> dict[str, str]:
    """What the pod is let in with, by file."""
    data = estate.get("secret", f"migrate-{migration}", "-n", SYSTEM_NAMESPACE)["data"]
    return {key: b64decode(text).decode() for key, text in data.items() if key.startswith("credentials..")}


def _objects_administrator(estate: RunningEstate) -> str:
    return estate.files.objects_credentials.read_text().split()[-1]


def _until(look: Callable[[], Found | None], *, what: str) -> Found:
    """Wait until ``look`` finds something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(2)
    return found
