"""A network that breaks, a target that is down, a right that is taken away: it is told, and the next pass goes on."""

import json
import os
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from provisioner.errors import NotPermitted, Unreachable
from provisioner.migration.objects_bucket import Bucket, open_bucket_as
from provisioner.migration.objects_copying import Copying, open_copying
from provisioner.migration.objects_transfer import PART_BYTES_LEAST
from tests.data_stores import administrator_key, client
from tests.integration.migration_objects.cutting import Proxy, proxy
from tests.integration.migration_objects.worlds import Move, Store

pytestmark = pytest.mark.servers


def through(store: Store, by: Proxy) -> Bucket:
    """The administrator's bucket by way of ``by``; it calls itself what it is called without."""
    access = replace(store.admin.access, url=by.url)
    made = open_bucket_as(store.name, access, key=administrator_key(store.servers.objects_credentials))
    return replace(store.admin, s3=made.s3, once=made.once)


def test_connections_that_break_are_opened_again(move: Move) -> None:
    body = os.urandom(4 * PART_BYTES_LEAST + 3)
    move.source.put("large", body)
    for number in range(30):
        move.source.put(f"k{number:02}", os.urandom(1000))
    with proxy(move.source.servers.objects_port, bytes_each=PART_BYTES_LEAST + 900_000) as cutting:
        source = through(move.source, cutting)
        with open_copying(
            move.ledger, source=source, target=move.target.admin, workers=2, part_bytes=PART_BYTES_LEAST
        ) as copying:
            _passes(copying)
        assert cutting.cut > 0, "connections were cut while it copied"
    assert move.target.bodies() == move.source.bodies()
    assert move.verify().passed


def test_a_target_that_is_down_ends_the_pass_and_a_later_one_goes_on(move: Move) -> None:
    for number in range(20):
        move.source.put(f"k{number:02}", b"x")
    with proxy(move.target.servers.objects_port, bytes_each=1 << 40) as cutting:
        target = through(move.target, cutting)
        with open_copying(move.ledger, source=move.source.admin, target=target, workers=2) as copying:
            cutting.down = True
            with pytest.raises(Unreachable, match="cannot be reached") as caught:
                copying.one_pass()
            assert move.target.key.secret.reveal() not in f"{caught.value} {caught.value.why}"
            cutting.down = False
            assert copying.one_pass().copied == 20
    assert move.verify().passed


def test_an_answer_that_is_lost_leaves_no_version_twice(move: Move) -> None:
    """The target has put the object, and the answer does not arrive."""
    move.source.put("k", b"1")
    move.source.put("k", b"2")
    with move.copying() as copying:
        once = copying.target.once
        losing = _Losing(once.put_object)
        object.__setattr__(copying.target, "once", _Client(put_object=losing))
        try:
            report = copying.one_pass()
        finally:
            object.__setattr__(copying.target, "once", once)
    assert (losing.lost, report.copied, report.removed) == (2, 2, 2)
    assert move.target.bodies() == {"k": [b"1", b"2"]}


class _Losing:
    """Makes every other call and loses its answer."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._calls = 0
        self.lost = 0

    def __call__(self, **arguments: Any) -> Any:
        answer = self._call(**arguments)
        self._calls += 1
        if self._calls % 2:
            self.lost += 1
            raise ReadTimeoutError(endpoint_url="http://target")
        return answer


class _Client:
    """A client that knows the calls that it is given."""

    def __init__(self, **calls: Any) -> None:
        self.__dict__.update(calls)


def test_a_right_that_is_taken_away_ends_the_pass(move: Move) -> None:
    move.source.put("k", b"x")
    s3 = client(move.target.servers, "s3")
    before = s3.get_bucket_policy(Bucket=move.target.name)["Policy"]
    found = json.loads(before)["Statement"]
    statements = found if isinstance(found, list) else [found]
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{move.target.name}/*",
        "Condition": {"StringEquals": {"aws:username": move.target.identity}},
    }
    closed = {"Version": "2012-10-17", "Statement": [*statements, deny]}
    with open_copying(move.ledger, source=move.source.admin, target=move.target.admin) as copying:
        as_identity = replace(
            copying, target=replace(move.target.admin, s3=move.target.app.s3, once=move.target.app.once)
        )
        s3.put_bucket_policy(Bucket=move.target.name, Policy=json.dumps(closed))
        with pytest.raises(NotPermitted, match="PutObject"):
            as_identity.one_pass()
        s3.put_bucket_policy(Bucket=move.target.name, Policy=before)
        assert as_identity.one_pass().copied == 1


def test_no_key_is_in_the_ledger_or_in_any_repr(move: Move) -> None:
    move.source.put("k", b"x")
    with move.copying() as copying:
        copying.passes()
        shown = repr(copying) + repr(move.fencing()) + str(copying.source)
        files = [file.read_bytes() for file in move.ledger.parent.iterdir()]
    secrets = [
        key.secret.reveal()
        for store in (move.source, move.target)
        for key in (store.key, administrator_key(store.servers.objects_credentials))
    ]
    for secret in secrets:
        assert secret not in shown
        assert all(secret.encode() not in content for content in files)


def _passes(copying: Copying) -> None:
    """Passes as a runner makes them: one that a network ends is followed by another."""
    for _ in range(10):
        try:
            if not copying.passes()[-1].differed:
                return
        except Unreachable:
            continue
    raise AssertionError("ten passes were not enough")
