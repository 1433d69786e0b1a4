"""Sessions of one access key: the environment has no say, and what they read of the library is read once."""

import pytest

from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.datastore.s3_sessions import session_of

KEY = AccessKey(id="AK1", secret=Secret("secret"))


def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_PROFILE": "nobody", "AWS_ACCESS_KEY_ID": "AK2", "AWS_SECRET_ACCESS_KEY": "other"}.items():
        monkeypatch.setenv(name, value)

    found = session_of(KEY, region="us-east-1").get_credentials()

    assert found is not None
    assert (found.access_key, found.secret_key) == ("AK1", "secret")


def test_descriptions_of_services_are_read_once_and_keys_stay_apart() -> None:
    other = AccessKey(id="AK3", secret=Secret("third"))
    one, two = session_of(KEY, region="us-east-1"), session_of(other, region="eu-west-1")
    loader = one._session.get_component("data_loader")
    paths = list(loader.search_paths)

    clients = [session.client("s3") for session in (one, two, session_of(KEY, region=None))]

    assert two._session.get_component("data_loader") is loader
    assert loader.search_paths == paths, "it does not grow with each session"
    assert [client.meta.region_name for client in clients[:2]] == ["us-east-1", "eu-west-1"]
    keys = [session.get_credentials() for session in (one, two)]
    assert [key.access_key for key in keys if key] == ["AK1", "AK3"]
