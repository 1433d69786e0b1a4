"""How long one full cooperative takes: apply, and plan of one that has not changed.

On an embedded platform with a simulated node in a temporary folder, so that pods cost nothing; the cooperative chooses
no solution. The baseline of apply is the same Kubernetes objects by `kubectl apply --server-side`, plus `createdb` and
the creation of a bucket, in the same run and on the same servers. Aims: apply within 4 s of the baseline, a plan that
changes nothing within 1.5 s.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from provisioner.descriptor.endpoints import embedded_files, read_endpoints
from provisioner.toolchain import Toolchain

PILOT = Path(__file__).parents[1] / "examples" / "pilot"
COOPCTL = Path(sys.executable).with_name("coopctl")
COOPERATIVE = "marine-equipment"
AIM_OVER_BASELINE_SECONDS = 4.0
AIM_PLAN_SECONDS = 1.5


def coopctl(*arguments: str, estate: Path) -> str:
    """Run coopctl on the estate and give what it answers."""
    command = [str(COOPCTL), *arguments, "--estate", str(estate)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"coopctl {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


@contextmanager
def running_estate() -> Iterator[Path]:
    """The pilot estate without solutions, on a platform of its own that is deleted afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="coopctl-bench-"))
    folder.chmod(0o711)
    estate = folder / "pilot"
    shutil.copytree(PILOT, estate, ignore=shutil.ignore_patterns(".coopctl", "images.lock"))
    descriptor = estate / "cooperatives" / f"{COOPERATIVE}.yaml"
    document = yaml.safe_load(descriptor.read_text(encoding="utf-8"))
    document["spec"].pop("solutions", None)
    descriptor.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    (estate / "images.lock").write_text("apiVersion: coopctl.dev/v1\nkind: ImagesLock\nimages: {}\n", encoding="utf-8")
    try:
        coopctl("dev", "up", "--node", "simulated", estate=estate)
        coopctl("platform", "apply", "--yes", estate=estate)
        yield estate
    finally:
        coopctl("dev", "down", "--delete", "--yes", estate=estate)
        shutil.rmtree(folder, ignore_errors=True)


def seconds_of(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@dataclass(frozen=True, kw_only=True)
class ByHand:
    """The baseline: the same objects, a database and a bucket, made with the servers' own tools."""

    kubectl: Path
    kubeconfig: Path
    manifests: str
    namespaces: tuple[str, ...]
    environment: Mapping[str, str]
    buckets: Any

    def make(self) -> None:
        """What is timed."""
        self._kubectl("apply", "--server-side", "-f", "-", stdin=self.manifests)
        self._postgres("createdb", "by_hand")
        self.buckets.create_bucket(Bucket="by-hand")

    def take_away(self) -> None:
        """What makes room for the next round."""
        self._kubectl("delete", "namespace", *self.namespaces)
        self._postgres("dropdb", "by_hand")
        self.buckets.delete_bucket(Bucket="by-hand")

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> None:
        command = [str(self.kubectl), "--kubeconfig", str(self.kubeconfig), *arguments]
        subprocess.run(command, input=stdin, text=True, check=True, stdout=subprocess.DEVNULL)

    def _postgres(self, *command: str) -> None:
        subprocess.run(command, env=dict(self.environment), check=True)


def by_hand(estate: Path) -> ByHand:
    """The baseline for the estate's platform."""
    import boto3

    files = embedded_files(estate)
    ports = read_endpoints(files)
    rendered = yaml.safe_load_all(coopctl("render", COOPERATIVE, estate=estate))
    objects = [found for found in rendered if found and not found["apiVersion"].startswith("coopctl.dev/")]
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(files.objects_credentials)
    return ByHand(
        kubectl=Toolchain().ensure(["kubectl"], report=lambda _: None)["kubectl"],
        kubeconfig=files.kubeconfig,
        manifests=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        namespaces=tuple(found["metadata"]["name"] for found in objects if found["kind"] == "Namespace"),
        environment={
            **os.environ,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(ports.postgres),
            "PGUSER": "postgres",
            "PGPASSWORD": files.postgres_password.read_text().strip(),
        },
        buckets=boto3.client("s3", endpoint_url=f"http://127.0.0.1:{ports.objects}", region_name="us-east-1"),
    )


def measure(estate: Path, *, runs: int) -> dict[str, list[float]]:
    """Seconds of each kind of work in each of ``runs`` rounds; baseline and apply take turns."""
    hand = by_hand(estate)
    seconds: dict[str, list[float]] = {"by hand": [], "apply": [], "plan": [], "plan --refresh": []}
    for _ in range(runs):
        seconds["by hand"].append(seconds_of(hand.make))
        hand.take_away()
        for name in ("apply", "plan", "plan --refresh"):
            words = [*name.split(), COOPERATIVE, *(["--yes"] if name == "apply" else [])]
            seconds[name].append(seconds_of(partial(coopctl, *words, estate=estate)))
        coopctl("destroy", COOPERATIVE, "--yes", estate=estate)
    return seconds


def results(seconds: Mapping[str, Sequence[float]]) -> list[dict[str, object]]:
    """One result for each kind of work but the baseline: medians, and their ratio to the baseline's."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    baseline = medians["by hand"]
    return [
        {
            "benchmark": f"tenant: {name}",
            "result": medians[name],
            "unit": "s",
            "baseline": f"kubectl apply, createdb, create bucket: {baseline:.2f} s",
            "ratio": medians[name] / baseline,
            "runs": len(values),
        }
        for name, values in seconds.items()
        if name != "by hand"
    ]


def main() -> None:
    """Measure and print: one JSON line per result, then a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--small", action="store_true", help="one round: does it still work?")
    options = parser.parse_args()
    with running_estate() as estate:
        seconds = measure(estate, runs=1 if options.small else options.runs)
    for result in results(seconds):
        print(json.dumps(result, ensure_ascii=False))
    over = statistics.median(seconds["apply"]) - statistics.median(seconds["by hand"])
    for name, values in seconds.items():
        print(f"{name:<16} median {statistics.median(values):6.2f} s   lowest {min(values):6.2f} s")
    print(f"apply is {over:.2f} s over the baseline (aim {AIM_OVER_BASELINE_SECONDS} s)")
    print(f"a plan without changes: aim {AIM_PLAN_SECONDS} s")


if __name__ == "__main__":
    main()
