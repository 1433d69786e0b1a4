"""Which client programs are taken where several versions are installed."""

import os
from pathlib import Path

import pytest

from provisioner.datastore.dump_programs import find_tools
from provisioner.errors import NotFound


def installed(folder: Path, *versions: int) -> str:
    """A search path with client programs of these versions, in this order."""
    for version in versions:
        made = folder / str(version)
        made.mkdir()
        for name in ("pg_dump", "pg_restore"):
            (made / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}.1'\n")
            (made / name).chmod(0o755)
    return os.pathsep.join(str(folder / str(version)) for version in versions)


@pytest.mark.parametrize(("server", "taken"), [(97, 98), (98, 98), (99, 99)])
def test_the_nearest_version_that_is_not_older_is_taken(tmp_path: Path, server: int, taken: int) -> None:
    path = installed(tmp_path, 99, 98)

    assert find_tools(server_version=server, search_path=path).pg_dump == tmp_path / str(taken) / "pg_dump"


def test_the_servers_own_version_is_taken_though_a_newer_one_comes_first(tmp_path: Path) -> None:
    path = installed(tmp_path, 18, 15)

    assert find_tools(server_version=15, search_path=path).pg_restore == tmp_path / "15" / "pg_restore"


def test_versions_that_restore_into_no_older_server_are_no_match_for_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="PostgreSQL 16") as caught:
        find_tools(server_version=16, search_path=installed(tmp_path, 17))

    assert "17, which does not fit" in (caught.value.why or "")
    assert "postgresql-client-16" in (caught.value.hint or "")
