"""After the switch the way back stays open: what was written at the target comes to the source, once."""

import pytest

from provisioner.errors import CoopctlError
from provisioner.migration.objects_copying import Copying, open_copying
from provisioner.migration.objects_return import prepare_return, return_file
from provisioner.migration.objects_verification import Verifying
from tests.integration.migration_objects.worlds import Move, now

pytestmark = pytest.mark.servers


def switched(move: Move) -> None:
    """All is copied, the source is fenced, and the way back is prepared."""
    for number in range(3):
        move.source.put("history", b"%d" % number)
    move.source.put("deleted", b"once")
    move.source.delete("deleted")
    move.source.put("plain", b"12345", Metadata={"lot": "7"})
    with move.copying() as copying:
        copying.passes()
        move.fencing().put()
        assert not copying.passes()[-1].differed
        prepare(move, copying)


def prepare(move: Move, copying: Copying) -> None:
    prepare_return(return_file(move.ledger), ledger=copying.ledger, source=move.source.admin, target=move.target.admin)


def test_only_what_was_written_since_comes_back(move: Move) -> None:
    switched(move)
    move.target.put("history", b"3")
    move.target.put("new", b"new", Tagging="a=1")
    move.target.delete("plain")
    file = return_file(move.ledger)
    with open_copying(file, source=move.target.admin, target=move.source.admin) as back:
        first, *_, last = back.passes()
    assert (first.copied, first.removed, last.differed) == (3, 0, False)
    assert move.source.bodies() == move.target.bodies()
    assert move.source.bodies()["history"] == [b"0", b"1", b"2", b"3"]
    assert Verifying(source=move.target.admin, target=move.source.admin, clock=now).verify().passed


def test_the_application_goes_on_at_the_source_when_the_fence_is_lifted(move: Move) -> None:
    switched(move)
    move.target.put("new", b"new")
    with open_copying(return_file(move.ledger), source=move.target.admin, target=move.source.admin) as back:
        back.passes()
    move.fencing().lift()
    move.source.put("new", b"newer")
    assert move.source.bodies()["new"] == [b"new", b"newer"]


def test_a_bucket_without_versions_comes_back_too(plain: Move) -> None:
    plain.source.put("kept", b"1")
    plain.source.put("changed", b"1")
    plain.source.put("gone", b"1")
    with plain.copying() as copying:
        copying.passes()
        prepare(plain, copying)
    plain.target.put("changed", b"22")
    plain.target.delete("gone")
    with open_copying(return_file(plain.ledger), source=plain.target.admin, target=plain.source.admin) as back:
        report = back.passes()[0]
    assert (report.copied, report.removed) == (1, 2), "what was written over is taken away first"
    assert plain.source.bodies() == {"kept": [b"1"], "changed": [b"22"]}


def test_it_is_prepared_before_the_first_write_or_not_at_all(move: Move) -> None:
    move.source.put("k", b"1")
    with move.copying() as copying:
        copying.passes()
        move.target.put("k", b"too early")
        with pytest.raises(CoopctlError, match="'k' differs"):
            prepare(move, copying)
    assert not return_file(move.ledger).exists()


def test_a_copy_that_is_lost_is_noticed_while_preparing(move: Move) -> None:
    version = move.source.put("k", b"1")
    with move.copying() as copying:
        copying.passes()
        [copied] = copying.ledger.manifest()
        assert copied.source.version == version
        move.target.admin.remove("k", version=copied.target_version)
        with pytest.raises(CoopctlError, match="'k' differs"):
            prepare(move, copying)


def test_prepared_twice_it_stays_as_it_was(move: Move) -> None:
    switched(move)
    with move.copying() as copying:
        move.target.put("new", b"new")
        prepare(move, copying)
    with open_copying(return_file(move.ledger), source=move.target.admin, target=move.source.admin) as back:
        assert back.one_pass().copied == 1
