"""What coopctl reads from a stack's state, and what it does about a torn one."""

import json
from pathlib import Path
from typing import Any

import pytest

from provisioner.engine.settings import EngineSettings
from provisioner.engine.state import (
    drop_torn_locks,
    keep_spare,
    list_stack_files,
    put_back,
    read_checkpoint_file,
    stacks_folder,
)
from provisioner.errors import CoopctlError

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
ROOT = "urn:pulumi:rice::coopctl::pulumi:pulumi:Stack::coopctl-rice"
NAMESPACE = "urn:pulumi:rice::coopctl::kubernetes:core/v1:Namespace::apps-namespace"


def test_a_checkpoint_tells_salt_resources_pending_operations_and_open_outputs(tmp_path: Path) -> None:
    outputs = {"domain": "rice.example.kr", "password": SECRET}
    write_state(
        tmp_path,
        {
            "secrets_providers": {"type": "passphrase", "state": {"salt": "v1:abc"}},
            "resources": [
                {"urn": ROOT, "type": "pulumi:pulumi:Stack", "outputs": outputs},
                {"urn": NAMESPACE, "type": "kubernetes:core/v1:Namespace"},
            ],
            "pending_operations": [{"resource": {"urn": NAMESPACE}, "type": "updating"}],
        },
    )

    found = read_checkpoint_file(tmp_path, stack="rice")

    assert found is not None
    assert (found.salt, found.resources, found.pending) == ("v1:abc", (NAMESPACE,), (NAMESPACE,))
    assert found.outputs == {"domain": "rice.example.kr"}


def test_every_change_of_the_state_changes_its_digest(tmp_path: Path) -> None:
    write_state(tmp_path, {"manifest": {"time": "1"}})
    first = read_checkpoint_file(tmp_path, stack="rice")
    write_state(tmp_path, {"manifest": {"time": "2"}})
    second = read_checkpoint_file(tmp_path, stack="rice")

    assert first is not None
    assert second is not None
    assert first.digest != second.digest


def test_a_stack_that_was_never_made_has_no_checkpoint(tmp_path: Path) -> None:
    assert read_checkpoint_file(tmp_path, stack="rice") is None
    assert list_stack_files(tmp_path) == ()


def test_a_damaged_state_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write_state(tmp_path, {})
    file = tmp_path / ".pulumi" / "stacks" / "coopctl" / "rice.json"
    file.write_bytes(file.read_bytes()[:10])

    with pytest.raises(CoopctlError, match="damaged") as refused:
        read_checkpoint_file(tmp_path, stack="rice")

    assert "rice.json.bak" in str(refused.value.hint)


def test_half_written_locks_are_taken_away_and_whole_ones_kept(tmp_path: Path) -> None:
    folder = tmp_path / ".pulumi" / "locks" / "organization" / "coopctl" / "rice"
    folder.mkdir(parents=True)
    (folder / "whole.json").write_text('{"pid": 1}')
    (folder / "fileblob123").write_text('{"pi')

    drop_torn_locks(tmp_path, stack="rice")

    assert [file.name for file in folder.iterdir()] == ["whole.json"]


def test_paths_behind_the_scheme_are_taken_literally_and_escaped_for_pulumi(tmp_path: Path) -> None:
    settings = EngineSettings(
        pulumi=tmp_path, home=tmp_path, work=tmp_path, backend_url="file:///a b/100%/한", passphrase_file=tmp_path
    )

    assert settings.state_folder == Path("/a b/100%/한")
    assert settings.environment["PULUMI_BACKEND_URL"] == "file:///a%20b/100%25/%ED%95%9C?metadata=skip"


def write_state(folder: Path, latest: dict[str, Any]) -> None:
    file = folder / ".pulumi" / "stacks" / "coopctl" / "rice.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))


def _tear(file: Path) -> bytes:
    torn = file.read_bytes()[:20]
    file.write_bytes(torn)
    return torn


def test_a_torn_state_gives_way_to_the_one_before_it(tmp_path: Path) -> None:
    write_state(tmp_path, {"manifest": {"time": "1"}})
    file, spare = stacks_folder(tmp_path) / "rice.json", tmp_path / "work" / "state-before.json"
    assert keep_spare(tmp_path, stack="rice", spare=spare) is None
    file.with_name("rice.json.bak").write_bytes(file.read_bytes().replace(b'"1"', b'"2"'))
    newer = file.with_name("rice.json.bak").read_bytes()
    torn = _tear(file)

    assert put_back(tmp_path, stack="rice", spare=spare)

    assert file.read_bytes() == newer, "what Pulumi kept is newer than what we kept"
    assert spare.with_suffix(".torn").read_bytes() == torn
    assert "torn by a full disk" in (keep_spare(tmp_path, stack="rice", spare=spare) or "")
    assert keep_spare(tmp_path, stack="rice", spare=spare) is None


def test_where_both_of_pulumis_states_are_torn_ours_is_put_back(tmp_path: Path) -> None:
    write_state(tmp_path, {"manifest": {"time": "1"}})
    file, spare = stacks_folder(tmp_path) / "rice.json", tmp_path / "work" / "state-before.json"
    keep_spare(tmp_path, stack="rice", spare=spare)
    whole = file.read_bytes()
    file.with_name("rice.json.bak").write_bytes(_tear(file))

    assert put_back(tmp_path, stack="rice", spare=spare)
    assert file.read_bytes() == whole


def test_a_torn_state_is_never_kept_as_a_spare(tmp_path: Path) -> None:
    write_state(tmp_path, {"manifest": {"time": "1"}})
    spare = tmp_path / "work" / "state-before.json"
    keep_spare(tmp_path, stack="rice", spare=spare)
    whole = spare.read_bytes()
    _tear(stacks_folder(tmp_path) / "rice.json")

    keep_spare(tmp_path, stack="rice", spare=spare)

    assert spare.read_bytes() == whole


def test_without_any_whole_state_nothing_is_put_back(tmp_path: Path) -> None:
    write_state(tmp_path, {"manifest": {"time": "1"}})
    _tear(stacks_folder(tmp_path) / "rice.json")

    assert not put_back(tmp_path, stack="rice", spare=tmp_path / "work" / "state-before.json")
