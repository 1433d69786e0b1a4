"""A state in a bucket: who works on it, and what the CLI's words about it mean."""

import shlex
from pathlib import Path

import pytest

from provisioner.engine import inventory
from provisioner.engine.cli import PulumiCli
from provisioner.engine.interruption import Interruption
from provisioner.engine.settings import EngineSettings
from provisioner.errors import CoopctlError, NotFound, NotPermitted, Unreachable

URL = "s3://state/estate?endpoint=http://127.0.0.1:9"
LISTING = (
    "error: error listing stacks: could not list bucket: blob (code=NotFound): operation error S3: ListObjectsV2, "
)
READING = (
    'error: read ".pulumi/meta.yaml": blob (key ".pulumi/meta.yaml") (code=Unknown): operation error S3: GetObject, '
)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            f"{LISTING}https response error StatusCode: 404, NoSuchBucket: The specified bucket does not exist",
            NotFound,
            "has no bucket",
        ),
        (
            f"{READING}https response error StatusCode: 403, api error SignatureDoesNotMatch: The request signature",
            NotPermitted,
            "may not be used with these credentials",
        ),
        (
            f'error: unable to open bucket "{URL}": open bucket s3://state: failed to get shared config profile, team',
            NotFound,
            "there are no credentials for",
        ),
        (
            f"{READING}get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found",
            NotFound,
            "there are no credentials for",
        ),
        (
            f"{READING}exceeded maximum number of attempts, 3, dial tcp 127.0.0.1:9: connect: connection refused",
            Unreachable,
            "does not answer",
        ),
        ("error: something that nobody knows", CoopctlError, "cannot be read"),
    ],
    ids=["no bucket", "wrong key", "no profile", "nobody", "no server", "unknown"],
)
def test_what_the_cli_says_of_a_bucket_becomes_an_error_with_the_remedy(
    tmp_path: Path, said: str, kind: type[CoopctlError], message: str
) -> None:
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(f"#!/bin/sh\necho {shlex.quote(said)} >&2\nexit 255\n")
    pulumi.chmod(0o755)
    settings = settings_in(tmp_path, pulumi=pulumi)
    cli = PulumiCli(executable=pulumi, interruption=Interruption())

    for ask in (
        lambda: inventory.stacks(settings, cli=cli),
        lambda: inventory.checkpoint(settings, stack="rice", cli=cli),
    ):
        with pytest.raises(CoopctlError) as refused:
            ask()
        assert type(refused.value) is kind
        assert message in refused.value.message
        assert (refused.value.hint is None) == (kind is CoopctlError)


def test_a_credentials_file_wins_over_keys_in_the_environment(tmp_path: Path) -> None:
    environment = settings_in(tmp_path, credentials_file=tmp_path / "keys").environment

    assert environment["AWS_SHARED_CREDENTIALS_FILE"] == str(tmp_path / "keys")
    assert environment["AWS_PROFILE"] == "default"
    assert (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]) == ("", "")


def test_without_a_credentials_file_the_aws_environment_is_left_as_it_is(tmp_path: Path) -> None:
    assert not [name for name in settings_in(tmp_path).environment if name.startswith("AWS_")]


def settings_in(folder: Path, *, pulumi: Path = Path("pulumi"), credentials_file: Path | None = None) -> EngineSettings:
    """Settings with the state in a bucket."""
    return EngineSettings(
        pulumi=pulumi,
        home=folder / "home",
        work=folder / "work",
        backend_url=URL,
        passphrase_file=folder / "passphrase",
        credentials_file=credentials_file,
    )
