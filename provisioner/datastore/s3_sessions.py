"""Sessions that work with one access key, whatever the AWS environment of the caller says."""

from functools import cache
from typing import TYPE_CHECKING

from provisioner.datastore.credentials import AccessKey

if TYPE_CHECKING:
    import boto3
    from botocore.loaders import Loader

# The library would look the profile up that AWS_PROFILE names, and fail without it, although it is given a key.
_NO_PROFILE = {"profile": (None, None, None, None)}


def session_of(key: AccessKey, *, region: str | None) -> "boto3.Session":
    """A session of ``key`` alone, signing for ``region`` (None: as the AWS environment says)."""
    import boto3
    import botocore.session

    core = botocore.session.Session(session_vars=_NO_PROFILE)
    loader = _loader()
    core.register_component("data_loader", loader)
    session = boto3.Session(
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret.reveal(),
        region_name=region,
        botocore_session=core,
    )
    # Each session adds the library's own folder.
    loader.search_paths[:] = dict.fromkeys(loader.search_paths)
    return session


@cache
def _loader() -> "Loader":
    """What reads the descriptions of services, and keeps them: megabytes of JSON, 0.2 s for each client otherwise."""
    import botocore.session

    loader: Loader = botocore.session.Session(session_vars=_NO_PROFILE).get_component("data_loader")
    return loader
