"""SeaweedFS's sockets: leftovers are removed, those in use are nobody's to touch."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.descriptor.endpoints import EmbeddedEndpoints
from provisioner.embedded.objects import ObjectsPart, foreign_sockets, own_sockets
from provisioner.errors import CoopctlError
from tests.conftest import surroundings_at
from tests.free_ports import claimed_endpoints


@pytest.fixture
def endpoints() -> Iterator[EmbeddedEndpoints]:
    """Free ports, whose sockets are removed after the test."""
    chosen = claimed_endpoints()
    yield chosen
    for path in own_sockets(chosen):
        path.unlink(missing_ok=True)


def test_socket_in_use_is_foreign_and_a_leftover_is_not(endpoints: EmbeddedEndpoints) -> None:
    path = own_sockets(endpoints)[0]
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert foreign_sockets(endpoints) == (path,)
    assert path.exists()
    assert foreign_sockets(endpoints) == ()


def test_start_beside_a_socket_in_use_is_refused_and_leaves_it(tmp_path: Path) -> None:
    surroundings = surroundings_at(tmp_path, run=tmp_path / "run")
    (spec,) = ObjectsPart().specs(surroundings)
    assert spec.before_start is not None
    path = own_sockets(surroundings.endpoints)[0]
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(CoopctlError, match="belongs to another SeaweedFS"):
            spec.before_start()
        ObjectsPart().remove(surroundings)
        assert path.exists()
    spec.before_start()
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket to another user")
def test_another_users_leftover_is_foreign_to_all_but_root(
    endpoints: EmbeddedEndpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own_sockets(endpoints)[0]
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
    os.chown(path, 1, 1)
    assert foreign_sockets(endpoints) == ()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert foreign_sockets(endpoints) == (path,)
