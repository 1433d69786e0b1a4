"""How long a new cooperative waits for its first login: from `coopctl new --apply` to a session in its ledger.

On an embedded platform with a real node in a temporary folder, whose images are there: building them is told apart.
Each round is a new cooperative of food makers with portal, ledger, trade and lot-tracing. The baseline is its pods' own
start, as Kubernetes tells it (in whole seconds): from the first pod that was made until the last one was ready, the
migration's Job among them. What is over it is planning, Pulumi, the database and bucket, the proof, and the login.
With ``--first`` there is one round more before, of a cooperative with the ledger alone and no image: these are built by
the same command, from packages that are fetched. Aims: within 60 s, and within 3 minutes the first time.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.tenant import coopctl, seconds_of
from examples.solutions import Login
from provisioner.cluster.objects import ClusterClient, open_cluster
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_platform
from provisioner.descriptor.scaffolding import create_estate

IMAGES = ("portal", "tryton", "probe")
TEMPLATE = "food-processing"
AIM_SECONDS, AIM_FIRST_SECONDS = 60.0, 180.0
LOGIN_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Onboarding:
    """One round, in seconds: the command with its proof, until the login worked, and the pods' own start."""

    command: float
    login: float
    pods: float
    proof: float


@dataclass(frozen=True, kw_only=True)
class FirstTime:
    """The first cooperative of a machine without images, in seconds: until its login, and the processors' work for it.

    Of the work of servers and pods nothing is in it, but all of what builds images.
    """

    login: float
    processors: float


@contextmanager
def running_estate() -> Iterator[Path]:
    """An estate whose platform runs on a real node, all of it deleted afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="coopctl-bench-"))
    folder.chmod(0o711)
    estate = folder / "estate"
    create_estate(estate, name="bench", cluster_id="onboarding", domain_suffix="example.kr")
    try:
        coopctl("dev", "up", "--node", "real", estate=estate)
        coopctl("platform", "apply", "--yes", estate=estate)
        yield estate
    finally:
        coopctl("dev", "down", "--delete", "--yes", estate=estate)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def no_images() -> Iterator[None]:
    """While the block runs this user has no image that was ever built; the toolchain is the user's own."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    with tempfile.TemporaryDirectory(prefix="coopctl-bench-cache-") as folder:
        (Path(folder) / "coopctl").mkdir()
        for part in (own / "coopctl").iterdir():
            if part.name != "images":
                (Path(folder) / "coopctl" / part.name).symlink_to(part)
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            yield
        finally:
            os.environ["XDG_CACHE_HOME"] = str(own)


def first_time(*, estate: Path) -> FirstTime:
    """Bring the first cooperative to life where no image is, and log in."""
    before = _worked()
    with no_images():
        found = onboard("first", estate=estate, options=("--solution", "ledger"))
    return FirstTime(login=found.login, processors=_worked() - before)


def _worked() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def onboard(name: str, *, estate: Path, options: Sequence[str] = ()) -> Onboarding:
    """Bring one cooperative to life and log in."""
    began = time.perf_counter()
    words = ("--template", TEMPLATE, "--display-name", "식품 조합", *options, "--apply", "--output", "json")
    answer = json.loads(coopctl("new", name, *words, estate=estate))
    command = time.perf_counter() - began
    [login] = [Login(**one) for one in answer["logins"]]
    wait_for_session(login)
    return Onboarding(
        command=command,
        login=time.perf_counter() - began,
        pods=pods_seconds(name, cluster=open_cluster(load_platform(Estate(root=estate)))),
        proof=float(answer["proofs"][0]["seconds"]),
    )


def wait_for_session(login: Login) -> None:
    """Log in, as soon as the ingress knows the way; ends the benchmark if that takes too long."""
    deadline = time.monotonic() + LOGIN_SECONDS
    while True:
        try:
            login.session()
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"nobody can log in: {error}")
            time.sleep(0.2)
        else:
            return


def pods_seconds(name: str, *, cluster: ClusterClient) -> float:
    """From the first pod of the cooperative that was made until its last one was ready, or had ended well."""
    pods = [
        pod
        for part in ("apps", "data")
        for pod in cluster.list(api_version="v1", kind="Pod", namespace=f"{name}-{part}")
    ]
    return max(map(_ended_at, pods)) - min(_at(pod["metadata"]["creationTimestamp"]) for pod in pods)


def _ended_at(pod: Mapping[str, Any]) -> float:
    """When a server's pod was ready; when a Job's was done."""
    finished = [
        state["terminated"]["finishedAt"]
        for container in pod["status"]["containerStatuses"]
        if "terminated" in (state := container["state"])
    ]
    ready = [one["lastTransitionTime"] for one in pod["status"]["conditions"] if one["type"] == "Ready"]
    return max(_at(moment) for moment in finished or ready)


def _at(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def results(rounds: Sequence[Onboarding]) -> list[dict[str, object]]:
    """The medians: until the login worked, and the command alone, each beside the pods' own start."""
    pods = statistics.median(one.pods for one in rounds)
    found = {
        "onboarding: new --apply to a login": statistics.median(one.login for one in rounds),
        "onboarding: without the proof": statistics.median(one.login - one.proof for one in rounds),
    }
    return [
        {
            "benchmark": name,
            "result": seconds,
            "unit": "s",
            "baseline": f"first pod made to last pod ready: {pods:.0f} s",
            "ratio": seconds / max(pods, 1.0),
            "runs": len(rounds),
        }
        for name, seconds in found.items()
    ]


def main() -> None:
    """Measure and print: one JSON line per result, then a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--first", action="store_true", help="begin without any image, which are built from packages")
    parser.add_argument("--small", action="store_true", help="one round: does it still work?")
    options = parser.parse_args()
    with running_estate() as estate:
        first = first_time(estate=estate) if options.first else None
        images = seconds_of(lambda: coopctl("images", "build", *IMAGES, "--push", estate=estate))
        rounds = [onboard(f"makers-{turn}", estate=estate) for turn in range(1 if options.small else options.runs)]
    for result in results(rounds):
        print(json.dumps(result, ensure_ascii=False))
    if first:
        print(f"first time, images built by the way: login after {first.login:.1f} s; {first.processors:.0f} s of CPU")
    print(f"images built (or found) and pushed: {images:.1f} s")
    for turn, one in enumerate(rounds):
        print(
            f"makers-{turn}: command {one.command:6.2f} s, login after {one.login:6.2f} s;"
            f" pods' own start {one.pods:3.0f} s, proof {one.proof:6.2f} s"
        )
    print(f"aim: {AIM_SECONDS:.0f} s; with images that are built first {AIM_FIRST_SECONDS:.0f} s")


if __name__ == "__main__":
    main()
