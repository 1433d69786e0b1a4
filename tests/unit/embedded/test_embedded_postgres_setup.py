"""What PostgreSQL needs before it can be made."""

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from provisioner.embedded import postgres
from provisioner.errors import NotFound, NotPermitted


def test_caller_who_is_not_root_runs_the_server_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert postgres.server_account() is None


def test_root_without_the_account_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    with pytest.raises(NotFound, match="cannot run as root") as refused:
        postgres.server_account()
    assert "postgresql-15" in str(refused.value.hint)


def test_version_that_is_not_installed_is_named_with_its_package() -> None:
    with pytest.raises(NotFound, match="PostgreSQL 9 is not installed") as refused:
        postgres.find_programs(9)
    assert "postgresql-9" in str(refused.value.hint)


def test_newest_installed_version_is_taken_for_a_new_cluster() -> None:
    folder = postgres.find_programs()
    said = subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    assert said.startswith("postgres (PostgreSQL)")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask what another account may enter")
def test_first_closed_folder_on_the_way_is_named_with_the_remedy(tmp_path: Path) -> None:
    # pytest's own folder is closed to every other account.
    closed = next(folder for folder in reversed(tmp_path.parents) if folder.stat().st_mode & 0o001 == 0)
    with pytest.raises(NotPermitted) as refused:
        postgres.require_entry(tmp_path, account="nobody")
    assert refused.value.message.endswith(f"cannot enter {closed}")
    assert f"setfacl -m u:nobody:x '{closed}'" in str(refused.value.hint)
