"""Secrets: a value that never shows itself, made here or resolved from a reference of the Platform.

References are resolved at the moment a server is called, so that nothing else ever holds an admin credential.
"""

import configparser
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from provisioner.descriptor.platform import SecretReference
from provisioner.errors import CoopctlError, NotFound, refused_by_system

PASSWORD_BYTES = 24
AWS_PROFILE = "default"


@final
class Secret:
    """A secret text. ``repr`` and ``str`` hide it; ``reveal`` hands it to the one who must have it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and secrets.compare_digest(self._value.encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """An S3 access key: its public id and its secret."""

    id: str
    secret: Secret


def generate_password() -> Secret:
    """A new random password of 192 bits, URL-safe so that it fits a connection string unquoted."""
    return Secret(secrets.token_urlsafe(PASSWORD_BYTES))


def resolve_secret(reference: SecretReference, *, environment: Mapping[str, str], what: str) -> Secret:
    """Read the secret that ``reference`` points to; a file's trailing line end does not belong to it.

    Raises NotFound if variable or file is missing or empty; the message names the place, never the value.
    """
    value = _from_environment(reference, environment) if reference.env else _from_file(reference, what)
    if not value:
        raise NotFound(f"{what} is not to be found in {place(reference)}", hint=f"put it into {place(reference)}")
    return Secret(value)


def resolve_access_key(reference: SecretReference, *, environment: Mapping[str, str], what: str) -> AccessKey:
    """Read an S3 access key: a file is an AWS shared credentials file (profile ``default``), a variable
    holds ``ACCESS_KEY_ID:SECRET_ACCESS_KEY``.

    Raises NotFound if it is missing, CoopctlError if it is malformed.
    """
    text = resolve_secret(reference, environment=environment, what=what).reveal()
    if reference.env:
        key_id, _, secret = text.partition(":")
    else:
        key_id, secret = _shared_credentials(text, where=place(reference), what=what)
    if not key_id or not secret:
        raise CoopctlError(
            f"{what} in {place(reference)} is malformed",
            hint="a variable holds ACCESS_KEY_ID:SECRET_ACCESS_KEY; a file is an AWS shared credentials file "
            f"with the profile {AWS_PROFILE!r}",
        )
    return AccessKey(id=key_id, secret=Secret(secret))


def place(reference: SecretReference) -> str:
    """Where a reference points to, for messages."""
    return f"the environment variable {reference.env}" if reference.env else f"the file {reference.file}"


def _from_environment(reference: SecretReference, environment: Mapping[str, str]) -> str:
    return environment.get(reference.env or "", "")


def _from_file(reference: SecretReference, what: str) -> str:
    if reference.file is None:
        raise NotFound(f"{what} has no reference", hint="name an environment variable or a file in the Platform")
    try:
        return reference.file.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        # The error quotes the bytes, which are secret: the chain ends here.
        hint = "write it again, with nothing but the secret in it"
        raise CoopctlError(f"{what} in {place(reference)} is not UTF-8 text", hint=hint) from None
    except FileNotFoundError as error:
        raise NotFound(
            f"{what} cannot be read from {place(reference)}", why=error.strerror, hint=f"create {reference.file}"
        ) from error
    except OSError as error:
        hint = f"let your user read {reference.file}"
        raise refused_by_system(error, f"{what} cannot be read from {place(reference)}", hint=hint) from error


def _shared_credentials(text: str, *, where: str, what: str) -> tuple[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
        section = parser[AWS_PROFILE] if parser.has_section(AWS_PROFILE) else {}
    except configparser.Error:
        # The parser's message quotes the file's lines, which are secret: the chain ends here.
        raise CoopctlError(f"{what} in {where} is not an AWS shared credentials file") from None
    return section.get("aws_access_key_id", ""), section.get("aws_secret_access_key", "")
