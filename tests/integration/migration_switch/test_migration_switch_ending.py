"""After the switch: the platform's copy follows and is compared, the move ends, and what is left there is erased."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.datastore.marks import to_comment
from tests.data_stores import client
from tests.integration.migration_commands.conftest import World
from tests.integration.migration_objects.worlds import Store
from tests.integration.migration_switch.client import writing
from tests.integration.migration_switch.conftest import NAME, Switching

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=120)]

ERASURE = "provisioner.operations.migration_erasing"


@contextmanager
def watching(world: World) -> Iterator[list[dict[str, object]]]:
    """`relay --watch` while the block runs; it has ended by itself behind it, and the list has all that it said."""
    process = world.start("migrate", "relay", NAME, "--watch", "--every", "1", "--output", "json")
    said: list[dict[str, object]] = []
    try:
        yield said
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err
    decoder, rest = json.JSONDecoder(), out.strip()
    while rest:
        found, end = decoder.raw_decode(rest)
        said.append(found)
        rest = rest[end:].strip()


def _until_home(world: Switching, code: str) -> None:
    """Wait until a row and an object that were written at the target are in the platform's copy."""
    query = f"SELECT 1 FROM lots WHERE code = '{code}'"  # noqa: S608 - the test's own text
    world.wait_for(lambda: bool(world.on_source(query)) and code in world.bucket.bodies())


def _write(world: Switching, code: str) -> None:
    world.on_target(f"INSERT INTO lots (code) VALUES ('{code}')")  # noqa: S608 - the test's own text
    world.target_app.s3.put_object(Bucket=world.bucket.name, Key=code, Body=code.encode())


def test_the_copy_follows_and_is_compared_until_the_move_has_ended(switching: Switching) -> None:
    switching.prepare()
    assert switching.run("migrate", "relay", NAME, "--watch")[0] == 11, "nothing to bring back before the switch"
    assert switching.run("migrate", "cutover", NAME, "--yes")[0] == 0
    _write(switching, "there-1")
    code, found = switching.json("migrate", "verify", NAME)
    assert code == 0
    assert [one["target_rows"] for one in found["postgres"]["tables"]] == [2001, 3]
    assert found["objects"]["keys"] == 4

    switching.on_source("UPDATE lots SET code = 'forged' WHERE id = 7")
    switching.bucket.admin.s3.put_object(Bucket=switching.bucket.name, Key="scans/1", Body=b"nacs")
    code, shown, said = switching.run("migrate", "verify", NAME)
    assert code == 11, said
    assert "is changed on the target" in shown
    assert "(7)" in shown
    assert "scans/1" in shown
    [forged, *_] = switching.bucket.admin.s3.list_object_versions(Bucket=switching.bucket.name, Prefix="scans/1")[
        "Versions"
    ]
    switching.bucket.admin.s3.delete_object(Bucket=switching.bucket.name, Key="scans/1", VersionId=forged["VersionId"])
    code, shown, said = switching.run("migrate", "rollback", NAME, "--yes")
    assert code == 11, shown
    assert "(7)" in said
    with writing(switching.target) as application:
        application.until(1)
    remembering = "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE '%_watch'"
    assert switching.on_target(remembering) == [], "nothing is left that would fill the target's disk"
    switching.on_source("UPDATE lots SET code = 'L-7' WHERE id = 7")
    assert switching.run("migrate", "verify", NAME)[0] == 0

    with watching(switching) as rounds:
        _write(switching, "there-2")
        _until_home(switching, "there-2")
        _write(switching, "there-3")
        _until_home(switching, "there-3")
        code, shown, said = switching.run("migrate", "finalise", NAME, "--yes")
        while code == 13:
            code, shown, said = switching.run("migrate", "finalise", NAME, "--yes")
        assert code == 0, shown + said
    assert len(rounds) >= 2
    assert all(isinstance(one["behindBytes"], int) for one in rounds)


def test_a_watch_that_is_ended_by_a_signal_is_started_again(switching: Switching) -> None:
    switching.prepare()
    assert switching.run("migrate", "cutover", NAME, "--yes")[0] == 0
    process = switching.start("migrate", "relay", NAME, "--watch", "--every", "600")
    _write(switching, "there-1")
    assert process.stdout is not None
    assert "brought back" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 12
    assert "Traceback" not in err
    process = switching.start("migrate", "relay", NAME, "--watch", "--every", "600")
    try:
        _until_home(switching, "there-1")
    finally:
        process.kill()
        process.communicate()
    assert switching.run("migrate", "rollback", NAME, "--yes")[0] == 0


def test_what_the_platform_held_is_erased_with_proof_and_nobody_elses_is(switching: Switching) -> None:
    world, names = switching, switching.bucket.tenant.names
    neighbour = Store(world.bucket.servers, versioning=False)
    neighbour.put("theirs", b"1")
    for role in (names.application_role, names.owner_role):
        world.source_server.execute(f"COMMENT ON ROLE {role} IS '{to_comment(world.bucket.tenant.mark)}'")
    passphrase = world.root / ".coopctl" / "passphrase"
    passphrase.parent.mkdir(exist_ok=True)
    passphrase.write_text("secret")
    passphrase.chmod(0o600)

    code, _, said = world.run("migrate", "erase", NAME, "--yes")
    assert code == 6, said
    world.prepare()
    assert world.run("migrate", "cutover", NAME, "--yes")[0] == 0
    code, _, said = world.run("migrate", "erase", NAME, "--yes", "--early")
    assert code == 11
    assert f"{NAME} can still go back" in said
    assert world.run("migrate", "finalise", NAME, "--yes")[0] == 0
    world.bucket.admin.s3.create_multipart_upload(Bucket=names.bucket, Key="unfinished")
    code, _, said = world.run("migrate", "erase", NAME, "--yes")
    assert code == 11
    assert "the platform's copy is kept until" in said
    assert world.run("migrate", "erase", NAME, "--early")[0] == 2, "it asks"
    assert world.on_source("SELECT count(*) FROM lots") == [(2000,)]

    for boundary in (
        f"after:{ERASURE}:take_final_dump",
        f"after:{ERASURE}:read_holdings",
        "after:provisioner.datastore.postgres_server:PostgresServerAdmin.retire_database",
        f"after:{ERASURE}:erase",
        f"after:{ERASURE}:_note_erased",
    ):
        assert world.killed("erase", at=boundary, options=("--early",))[0] == -signal.SIGKILL, boundary
    code, found = world.json("migrate", "erase", NAME, "--yes", "--early")
    assert code == 0
    proof = found["proof"]
    assert proof["database"]["name"] == names.database
    assert {one["name"]: one["rows"] for one in proof["tables"]}["public.lots"] == 2000
    assert (proof["bucket"]["versions"], proof["bucket"]["uploads"]) == (3, 1)
    assert set(proof["roles"]) == {names.application_role, names.owner_role}

    assert _databases(world) == []
    assert _roles(world) == []
    buckets = [one["Name"] for one in client(world.bucket.servers, "s3").list_buckets()["Buckets"]]
    assert names.bucket not in buckets
    assert neighbour.bodies() == {"theirs": [b"1"]}
    users = [one["UserName"] for one in client(world.bucket.servers, "iam").list_users()["Users"]]
    assert names.objects_identity not in users
    assert neighbour.identity in users
    assert world.on_target("SELECT count(*) FROM lots") == [(2000,)]
    assert world.record()["place"]["erased"]

    [dump] = {Path(proof["dump"]).name}
    files = {file.name for file in (world.root / "dumps" / dump).iterdir()}
    assert {one["name"] for one in proof["files"]} <= files
    report = world.run("migrate", "report", NAME)[1]
    assert found["digest"] in report
    assert "nothing of it is left" in report
    trail = "".join(file.read_text() for file in (world.root / ".coopctl").rglob("history/*/*.json"))
    assert found["digest"] in trail
    assert world.run("migrate", "erase", NAME, "--yes", "--early")[0] == 6, "there is nothing left"
    neighbour.retire()


def _databases(world: Switching) -> list[object]:
    name = world.bucket.tenant.names.database
    return world.source_server.execute(f"SELECT 1 FROM pg_database WHERE datname = '{name}'")  # noqa: S608 - a name


def _roles(world: Switching) -> list[object]:
    name = world.bucket.tenant.names.database
    return world.source_server.execute(f"SELECT rolname FROM pg_roles WHERE rolname LIKE '{name}%'")  # noqa: S608
