"""How fast a bucket is copied to another S3 server, with digests, attributes and tags: many small objects, some large.

On two S3 servers of its own in a temporary folder. The baseline gets and puts the same objects with boto3, as many at
once, whole, and nothing but their bytes: no digest, no attribute, no tag, no record of what is done. Where rclone is
installed, `rclone copy` is a second baseline. Aim: at least as fast as rclone copy.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.copy import result_of
from bench.members import seconds_of, show
from provisioner.datastore.objects import ObjectsAccess
from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles
from provisioner.descriptor.platform import SecretReference
from provisioner.embedded.objects import ObjectsPart, admin_keys
from provisioner.embedded.ports import LOOPBACK, choose
from provisioner.embedded.process import Surroundings
from provisioner.embedded.supervisor import Supervisor
from provisioner.migration.objects_bucket import Bucket, open_bucket
from provisioner.migration.objects_copying import WORKERS, open_copying

SMALL, SMALL_BYTES, LARGE, LARGE_BYTES = 2000, 4096, 20, 40 * 1024 * 1024
FEW_SMALL, FEW_LARGE = 20, 1


@contextmanager
def running_objects() -> Iterator[tuple[ObjectsAccess, Path]]:
    """An S3 server while the block runs: how its administrator reaches it, and the file with the keys."""
    folder = Path(tempfile.mkdtemp(prefix="coopctl-bench-"))
    files, part = EmbeddedFiles(root=folder), ObjectsPart()
    surroundings = Surroundings(
        estate_root=folder,
        files=files,
        endpoints=choose(EmbeddedEndpoints()),
        run=folder / "run",
        tools={"weed": Path(sys.executable).parent / "weed"},
        real_node=False,
    )
    supervisor = Supervisor(folder, report=lambda _: None)
    part.prepare(surroundings)
    try:
        supervisor.start(part.specs(surroundings))
        url = f"http://{LOOPBACK}:{surroundings.endpoints.objects}"
        reference = SecretReference(file=files.objects_credentials)
        yield (
            ObjectsAccess(url=url, iam_url=url, region="us-east-1", credentials=reference, ca_file=None),
            files.objects_credentials,
        )
    finally:
        supervisor.stop()
        part.remove(surroundings)
        shutil.rmtree(folder, ignore_errors=True)


def new_bucket(access: ObjectsAccess, name: str) -> Bucket:
    """An empty bucket."""
    bucket = open_bucket(name, access, environment={}, what="the key")
    bucket.s3.create_bucket(Bucket=name)
    return bucket


def fill(bucket: Bucket, *, small: int, large: int) -> list[str]:
    """Put the objects; gives their keys."""
    bodies = {f"small/{n:05}": os.urandom(SMALL_BYTES) for n in range(small)}
    for key, body in bodies.items():
        bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=body)
    for number in range(large):
        bucket.s3.put_object(Bucket=bucket.name, Key=f"large/{number:05}", Body=os.urandom(LARGE_BYTES))
    return [*bodies, *(f"large/{number:05}" for number in range(large))]


def by_coopctl(source: Bucket, target: Bucket) -> float:
    """Seconds of the first pass."""
    with (
        tempfile.TemporaryDirectory(prefix="coopctl-bench-") as folder,
        open_copying(Path(folder) / "ledger", source=source, target=target) as copying,
    ):
        return copying.one_pass().seconds


def by_boto(source: Bucket, target: Bucket, keys: Sequence[str]) -> float:
    """Seconds of getting and putting each object whole."""

    def one(key: str) -> None:
        body = source.s3.get_object(Bucket=source.name, Key=key)["Body"].read()
        target.s3.put_object(Bucket=target.name, Key=key, Body=body)

    def everything() -> None:
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(one, keys))

    return seconds_of(everything)


def by_rclone(source: Bucket, target: Bucket, *, credentials: tuple[Path, Path]) -> float:
    """Seconds of `rclone copy`; its settings lie in a private file while it runs, none in the environment."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with tempfile.TemporaryDirectory(prefix="coopctl-bench-") as folder:
        settings = Path(folder) / "rclone.conf"
        sides = zip(("source", "target"), (source, target), credentials, strict=True)
        settings.write_text("".join(_remote(name, bucket, file) for name, bucket, file in sides), encoding="utf-8")
        command = ["rclone", "--config", str(settings), "--transfers", str(WORKERS), "copy"]
        command += [f"source:{source.name}", f"target:{target.name}"]
        return seconds_of(lambda: subprocess.run(command, check=True, env=variables))


def measure(*, small: int, large: int) -> list[dict[str, object]]:
    """Each way once, into a bucket of its own."""
    what = f"objects: {small} small and {large} large"
    with ExitStack() as stack:
        (here, key), (there, other) = (stack.enter_context(running_objects()) for _ in range(2))
        source = new_bucket(here, "source")
        keys = fill(source, small=small, large=large)
        plain = by_boto(source, new_bucket(there, "plain"), keys)
        own = by_coopctl(source, new_bucket(there, "own"))
        found = [result_of(what, own, "boto3, bytes alone", plain, runs=1)]
        if shutil.which("rclone"):
            rclone = by_rclone(source, new_bucket(there, "rclone"), credentials=(key, other))
            found.append(result_of(what, own, "rclone copy", rclone, runs=1))
        return found


def _remote(name: str, bucket: Bucket, credentials: Path) -> str:
    key, secret = admin_keys(credentials)
    lines = {
        "type": "s3",
        "provider": "Other",
        "endpoint": bucket.access.url,
        "access_key_id": key,
        "secret_access_key": secret,
    }
    return f"[{name}]\n" + "".join(f"{field} = {value}\n" for field, value in lines.items())


def main(arguments: Sequence[str]) -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a few objects: does it still work?")
    options = parser.parse_args(arguments)
    small, large = (FEW_SMALL, FEW_LARGE) if options.small else (SMALL, LARGE)
    show(measure(small=small, large=large))


if __name__ == "__main__":
    main(sys.argv[1:])
