"""Secrets hide themselves, and references are resolved with clear errors."""

import errno
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.datastore.credentials import (
    AccessKey,
    Secret,
    generate_password,
    resolve_access_key,
    resolve_secret,
)
from provisioner.descriptor.platform import SecretReference
from provisioner.errors import CoopctlError, NotFound, NotPermitted

CREDENTIALS = "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = sesame\n"


def test_a_secret_never_shows_itself() -> None:
    key = AccessKey(id="AKIA1", secret=Secret("sesame"))
    assert "sesame" not in f"{key!r} {key.secret!r} {key.secret!s} {[key.secret]}"
    assert key.secret.reveal() == "sesame"


def test_passwords_are_long_and_never_the_same() -> None:
    made = {generate_password().reveal() for _ in range(100)}
    assert len(made) == 100
    assert min(map(len, made)) >= 32


def test_a_secret_comes_from_a_variable_or_a_file_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("sesame \n")
    assert resolve_secret(SecretReference(env="PW"), environment={"PW": "x"}, what="it").reveal() == "x"
    assert resolve_secret(SecretReference(file=file), environment={}, what="it").reveal() == "sesame "


def test_a_secret_that_is_no_text_is_refused_without_being_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes("비밀".encode("cp949"))
    with pytest.raises(CoopctlError, match=r"the password in the file .* is not UTF-8") as caught:
        resolve_secret(SecretReference(file=file), environment={}, what="the password")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_secret_that_may_not_be_read_is_no_missing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, encoding: str) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    file = tmp_path / "password"
    with pytest.raises(NotPermitted, match="the password cannot be read from the file") as caught:
        resolve_secret(SecretReference(file=file), environment={}, what="the password")
    assert caught.value.hint == f"let your user read {file}"


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_missing_or_empty_secret_is_named_with_its_place(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NotFound, match="the password") as caught:
        resolve_secret(SecretReference(file=file), environment={}, what="the password")
    assert str(file) in f"{caught.value} {caught.value.hint}"
    with pytest.raises(NotFound, match="the environment variable PW"):
        resolve_secret(SecretReference(env="PW"), environment={}, what="the password")


def test_an_access_key_comes_from_a_shared_credentials_file_or_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(CREDENTIALS)
    expected = AccessKey(id="AKIA1", secret=Secret("sesame"))
    assert resolve_access_key(SecretReference(file=file), environment={}, what="it") == expected
    assert resolve_access_key(SecretReference(env="K"), environment={"K": "AKIA1:sesame"}, what="it") == expected


@settings(deadline=None)  # the disk
@given(text=st.text(min_size=1, max_size=200))
def test_malformed_credentials_give_an_error_that_does_not_quote_them(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.mktemp("credentials") / "file"
    file.write_text(f"sesame{text}", encoding="utf-8", errors="replace")
    with pytest.raises(CoopctlError) as caught:
        resolve_access_key(SecretReference(file=file), environment={}, what="the key")
    error = caught.value
    assert "sesame" not in f"{error} {error.why} {error.hint} {error.__cause__}"
