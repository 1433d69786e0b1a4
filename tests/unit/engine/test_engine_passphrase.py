"""A passphrase is made only where nothing was encrypted yet."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner.engine.inventory import ensure_passphrase
from provisioner.engine.settings import EngineSettings
from provisioner.errors import CoopctlError


def _settings(folder: Path) -> EngineSettings:
    return EngineSettings(
        pulumi=folder, home=folder, work=folder, backend_url=f"file://{folder}", passphrase_file=folder / "new" / "pass"
    )


def test_a_fresh_clone_without_stacks_gets_one_that_only_its_owner_reads(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    ensure_passphrase(settings, stacks=tuple)
    assert len(settings.passphrase_file.read_text().strip()) >= 32
    assert settings.passphrase_file.stat().st_mode & 0o777 == 0o600
    assert list(settings.passphrase_file.parent.iterdir()) == [settings.passphrase_file]


def test_it_is_never_made_anew_where_there_are_stacks(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    with pytest.raises(CoopctlError, match="is missing"):
        ensure_passphrase(settings, stacks=lambda: ["plastics"])
    assert not settings.passphrase_file.exists()


def test_stacks_that_begin_at_the_same_time_get_one_passphrase(tmp_path: Path) -> None:
    settings = _settings(tmp_path)

    def begin(_: int) -> str:
        ensure_passphrase(settings, stacks=tuple)
        return settings.passphrase_file.read_text()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(begin, range(8)))) == 1
