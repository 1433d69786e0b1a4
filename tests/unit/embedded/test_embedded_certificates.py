"""Certificates: issued once, renewed in time, strangers to each other's authority."""

import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from provisioner.embedded.certificates import (
    AUTHORITY_LIFE,
    CERTIFICATE_LIFE,
    RENEW_BEFORE,
    SKEW,
    Authority,
    KeyPair,
    Subject,
    serial,
)

SERVER = Subject(name="etcd", hosts=("localhost",), addresses=("127.0.0.1",))
ADMIN = Subject(name="admin", groups=("system:masters",))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A new authority."""
    return Authority(folder=tmp_path / "kubernetes")


def read(pair: KeyPair) -> x509.Certificate:
    """The certificate of a pair."""
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes())


def test_certificate_is_kept_while_it_fits(authority: Authority) -> None:
    before = serial(authority.issue("server", SERVER))
    assert serial(authority.issue("server", SERVER)) == before


def test_certificate_is_renewed_before_it_ends(authority: Authority) -> None:
    now = datetime.now(UTC)
    before = serial(authority.issue("server", SERVER, now=now))
    nearly = now + CERTIFICATE_LIFE - RENEW_BEFORE
    assert serial(authority.issue("server", SERVER, now=nearly - timedelta(minutes=1))) == before
    assert serial(authority.issue("server", SERVER, now=nearly + timedelta(minutes=1))) != before


def test_certificate_of_a_clock_that_was_ahead_is_issued_again(authority: Authority) -> None:
    ahead = datetime.now(UTC) + timedelta(days=30)
    before = serial(authority.issue("server", SERVER, now=ahead))
    assert serial(authority.issue("server", SERVER)) != before
    assert read(authority.pair).not_valid_before_utc <= datetime.now(UTC)


def test_certificate_begins_early_enough_for_clocks_that_differ(authority: Authority) -> None:
    now = datetime.now(UTC)
    pair = authority.issue("server", SERVER, now=now)
    for certificate in (read(pair), read(authority.pair)):
        assert certificate.not_valid_before_utc <= now - SKEW + timedelta(seconds=1)


def test_new_authority_issues_every_certificate_again(authority: Authority) -> None:
    now = datetime.now(UTC)
    before = serial(authority.issue("server", SERVER, now=now))
    later = now + AUTHORITY_LIFE
    pair = authority.issue("server", SERVER, now=later)
    assert serial(pair) != before
    read(pair).verify_directly_issued_by(read(authority.pair))


@pytest.mark.parametrize(
    "changed",
    [
        Subject(name="other", hosts=("localhost",), addresses=("127.0.0.1",)),
        Subject(name="etcd", hosts=("localhost",), addresses=("127.0.0.1", "10.244.0.1")),
        Subject(name="etcd", hosts=("localhost",), addresses=("127.0.0.1",), groups=("servers",)),
        Subject(name="etcd"),
    ],
)
def test_certificate_for_other_names_is_issued_again(authority: Authority, changed: Subject) -> None:
    before = serial(authority.issue("server", SERVER))
    assert serial(authority.issue("server", changed)) != before


def test_certificate_of_a_foreign_authority_is_issued_again(authority: Authority, tmp_path: Path) -> None:
    foreign = Authority(folder=tmp_path / "foreign").issue("server", SERVER)
    own = authority.issue("server", SERVER)
    shutil.copy(foreign.certificate, own.certificate)
    shutil.copy(foreign.key, own.key)
    read(authority.issue("server", SERVER)).verify_directly_issued_by(read(authority.pair))


@pytest.mark.parametrize("which", ["certificate", "key"])
@pytest.mark.parametrize("content", [b"", b"-----BEGIN nothing", None])
def test_damaged_file_is_mended(authority: Authority, which: str, content: bytes | None) -> None:
    pair = authority.issue("server", SERVER)
    path: Path = getattr(pair, which)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert serial(authority.issue("server", SERVER))


def test_key_that_belongs_to_another_certificate_is_mended(authority: Authority) -> None:
    # As when coopctl is cut off between the two files of a renewal.
    server, admin = authority.issue("server", SERVER), authority.issue("admin", ADMIN)
    shutil.copy(admin.key, server.key)
    before = server.certificate.read_bytes()
    assert authority.issue("server", SERVER).certificate.read_bytes() != before


def test_keys_are_private(authority: Authority) -> None:
    pair = authority.issue("server", SERVER)
    for key in (pair.key, authority.pair.key):
        assert key.stat().st_mode & 0o077 == 0


def test_kubernetes_reads_user_and_groups_from_the_certificate(authority: Authority) -> None:
    subject = read(authority.issue("admin", ADMIN)).subject
    assert subject.rfc4514_string() == "CN=admin,O=system:masters"


def test_pair_is_loaded_by_tls(authority: Authority) -> None:
    pair = authority.issue("server", SERVER)
    context = ssl.create_default_context(cafile=str(authority.pair.certificate))
    context.load_cert_chain(pair.certificate, pair.key)
