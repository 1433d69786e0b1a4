"""An estate with its state in a bucket, which several machines have."""

import secrets
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Generic

from tests.conftest import Servers
from tests.data_stores import client
from tests.integration.migration_commands.conftest import AWorld

PREFIX = "estates/one"


class Team(Generic[AWorld]):
    """A bucket for the state of one estate, which several machines have."""

    def __init__(self, servers: Servers, first: AWorld) -> None:
        self.bucket = f"team-{secrets.token_hex(6)}"
        self.client = client(servers, "s3")
        self.client.create_bucket(Bucket=self.bucket)
        shutil.copyfile(servers.objects_credentials, first.root / "state-credentials")
        (first.root / "state-credentials").chmod(0o600)
        where = f"endpoint={servers.objects_url}&region={servers.objects_region}&s3ForcePathStyle=true"
        state = f'"s3://{self.bucket}/{PREFIX}?{where}", credentials: {{file: state-credentials}}'
        platform = first.root / "platform.yaml"
        platform.write_text(f"{platform.read_text()}  state: {{backend: {state}}}\n")
        self.first = first

    def machine(self, folder: Path) -> AWorld:
        """Another one: the same estate and passphrase, and nothing of what the first has done."""
        shutil.copytree(self.first.root, folder, ignore=shutil.ignore_patterns(".coopctl"))
        passphrase = self.first.root / ".coopctl" / "passphrase"
        if passphrase.exists():
            (folder / ".coopctl").mkdir()
            shutil.copy2(passphrase, folder / ".coopctl" / "passphrase")
        return replace(self.first, root=folder)

    def contents(self) -> dict[str, bytes]:
        """All that the state holds."""
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        keys = [item["Key"] for item in found]
        return {key: self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def empty(self) -> None:
        """Lose all of it."""
        for key in self.contents():
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def remove(self) -> None:
        """Delete the bucket."""
        self.empty()
        self.client.delete_bucket(Bucket=self.bucket)
