"""Certificates of the embedded platform: own authorities, issued once, renewed before they end.

Every authority is separate (etcd, Kubernetes, PostgreSQL): a client of one is nobody to another. Certificates begin
a day in the past, so that clocks that differ a little (containers, virtual machines that wake up) do not refuse them.
What is damaged, near its end, not yet valid, for other names, or of another authority is issued again.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.embedded.private_files import write_private

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

SKEW = timedelta(days=1)
RENEW_BEFORE = timedelta(days=60)
AUTHORITY_LIFE = timedelta(days=3650)
CERTIFICATE_LIFE = timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whom a certificate names: for Kubernetes the user and its groups; for servers also names and addresses."""

    name: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """The PEM files of a certificate and its key; the key is 0600."""

    certificate: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate authority in ``folder``; ``pair`` is its own certificate and key."""

    folder: Path

    @property
    def pair(self) -> KeyPair:
        """The authority's own files."""
        return KeyPair(certificate=self.folder / "ca.crt", key=self.folder / "ca.key")

    def pair_of(self, name: str) -> KeyPair:
        """Where ``issue`` puts the certificate that it issues as ``name``."""
        return KeyPair(certificate=self.folder / f"{name}.crt", key=self.folder / f"{name}.key")

    def ensure(self, *, now: datetime | None = None) -> KeyPair:
        """Make the authority, or make it anew when its own certificate cannot be used any longer."""
        moment = now or datetime.now(UTC)
        if not _usable(_read(self.pair), moment=moment):
            key = _new_key()
            _write(self.pair, certificate=_authority_certificate(self.folder.name, key=key, moment=moment), key=key)
        return self.pair

    def issue(self, name: str, subject: Subject, *, owner: str | None = None, now: datetime | None = None) -> KeyPair:
        """Issue a certificate (client and, with hosts or addresses, server), or keep the one that still fits.

        ``owner`` is the account that must read the key when coopctl is root.
        """
        moment = now or datetime.now(UTC)
        self.ensure(now=moment)
        pair = self.pair_of(name)
        authority = _read(self.pair)
        held = _read(pair)
        if not (_usable(held, moment=moment) and _fits(held, subject=subject, authority=authority)):
            key = _new_key()
            certificate = _leaf(subject, key=key, authority=_certificate(self.pair), signer=_key(self.pair), at=moment)
            _write(pair, certificate=certificate, key=key, owner=owner)
        return pair


def serial(pair: KeyPair) -> str:
    """What tells this certificate from a later one of the same name; empty if there is none."""
    certificate = _read(pair)
    return f"{certificate.serial_number:x}" if certificate else ""


def _new_key() -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _authority_certificate(name: str, *, key: "EllipticCurvePrivateKey", moment: datetime) -> "x509.Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"coopctl {name} authority")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _dated(subject=named, issuer=named, key=key, moment=moment, life=AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return builder.sign(key, hashes.SHA256())


def _leaf(
    subject: Subject,
    *,
    key: "EllipticCurvePrivateKey",
    authority: "x509.Certificate",
    signer: "EllipticCurvePrivateKey",
    at: datetime,
) -> "x509.Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if subject.hosts or subject.addresses:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = _dated(subject=_name(subject), issuer=authority.subject, key=key, moment=at, life=CERTIFICATE_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    builder = builder.add_extension(issuer, critical=False)
    if subject.hosts or subject.addresses:
        builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(subject)), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _dated(
    *,
    subject: "x509.Name",
    issuer: "x509.Name",
    key: "EllipticCurvePrivateKey",
    moment: datetime,
    life: timedelta,
) -> "x509.CertificateBuilder":
    from cryptography import x509

    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=moment - SKEW,
        not_valid_after=moment + life,
    )


def _name(subject: Subject) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in subject.groups]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, subject.name)])


def _alternatives(subject: Subject) -> "Sequence[x509.GeneralName]":
    from cryptography import x509

    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in subject.addresses]
    return [*(x509.DNSName(host) for host in subject.hosts), *addresses]


def _usable(certificate: "x509.Certificate | None", *, moment: datetime) -> bool:
    if certificate is None:
        return False
    return certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc - RENEW_BEFORE


def _fits(certificate: "x509.Certificate | None", *, subject: Subject, authority: "x509.Certificate | None") -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    if certificate is None or authority is None or certificate.subject != _name(subject):
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return not (subject.hosts or subject.addresses)
    return list(extension.value) == list(_alternatives(subject))


def _read(pair: KeyPair) -> "x509.Certificate | None":
    """The certificate of ``pair`` if both files are whole and belong together."""
    try:
        certificate = _certificate(pair)
        return certificate if certificate.public_key() == _key(pair).public_key() else None
    except (OSError, ValueError, TypeError):
        return None


def _certificate(pair: KeyPair) -> "x509.Certificate":
    from cryptography import x509

    return x509.load_pem_x509_certificate(pair.certificate.read_bytes())


def _key(pair: KeyPair) -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pair.key.read_bytes(), password=None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise TypeError(f"{pair.key} holds another kind of key")
    return key


def _write(
    pair: KeyPair, *, certificate: "x509.Certificate", key: "EllipticCurvePrivateKey", owner: str | None = None
) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    # The key first: cut off in between, the old certificate does not match it and both are made again.
    write_private(pair.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), owner=owner)
    write_private(pair.certificate, certificate.public_bytes(Encoding.PEM), mode=0o644, owner=owner)
