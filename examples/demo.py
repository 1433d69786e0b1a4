"""The demo (`make demo`): the pilot cooperative rice-processing, from its descriptor to a page in its pod.

1. The pilot estate is copied to a folder of its own, so that this checkout stays as it is.
2. The embedded platform is started, the portal's image is built and pushed, and two cooperatives are applied, after
   the platform's own stack. Every step is a coopctl command that is shown; each may be repeated.
3. The tenant is looked at from all sides: its parts, its page through the ingress and from its pod, its database as
   its own application role and as its neighbour's, its bucket with its own identity and with its neighbour's.
   Where nodes are simulated no pod really runs: what needs one is left out, and it says why.

Cut off anywhere, the same command goes on. A second run changes nothing.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from examples.pilot_estate import (
    COOPERATIVE,
    DemoFailed,
    api_client,
    copy_estate,
    core_api,
    credentials,
    home,
    run,
    why_no_pods,
)
from provisioner.descriptor.endpoints import embedded_files, read_endpoints

NEIGHBOUR = "plastics"
QUESTION = "SELECT current_user || ' in ' || current_database()"


@dataclass(frozen=True, kw_only=True)
class Look:
    """One thing that is shown about the tenant: what must be true, and how it is seen."""

    claim: str
    see: Callable[[], str]
    needs_pods: bool = False


class Verdict(StrEnum):
    """What came of a look."""

    HOLDS = "ok"
    FAILED = "FAILED"
    LEFT_OUT = "left out"


def looks(estate: Path) -> list[Look]:
    """What the demo shows, in order."""
    own, neighbour = (credentials(name, estate=estate) for name in (COOPERATIVE, NEIGHBOUR))
    return [
        Look(
            claim="the portal's page comes through the ingress",
            see=lambda: page_through_ingress(estate),
            needs_pods=True,
        ),
        Look(claim="the portal's page comes from its pod", see=lambda: page_from_pod(estate), needs_pods=True),
        Look(claim="psql as the application role works", see=lambda: query(own, database=own, estate=estate)),
        Look(
            claim="psql as the neighbour's role is refused",
            see=lambda: refused(lambda: query(neighbour, database=own, estate=estate)),
        ),
        Look(claim="an object is written and read back", see=lambda: round_trip(own, bucket=own, estate=estate)),
        Look(
            claim="the neighbour's identity is refused by the bucket",
            see=lambda: refused(lambda: round_trip(neighbour, bucket=own, estate=estate)),
        ),
    ]


def page_through_ingress(estate: Path) -> str:
    """Fetch the portal's page under its host name, as a member company's browser does."""
    ingress = _networking(estate).list_namespaced_ingress(f"{COOPERATIVE}-apps").items[0]
    host = ingress.spec.rules[0].host
    port = read_endpoints(embedded_files(estate)).ingress_http
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": host})
    with urllib.request.urlopen(request, timeout=10) as answer:
        page = answer.read().decode()
    return f"http://{host}/ -> {_title(page)}"


def page_from_pod(estate: Path) -> str:
    """Fetch the portal's page from one of its pods, through the API server."""
    from kubernetes.client import ApiException

    core = core_api(estate)
    pods = core.list_namespaced_pod(f"{COOPERATIVE}-apps", field_selector="status.phase=Running").items
    if not pods:
        raise DemoFailed("no pod of the portal runs")
    pod = pods[0]
    port = pod.spec.containers[0].ports[0].container_port
    try:
        page = core.connect_get_namespaced_pod_proxy(f"{pod.metadata.name}:{port}", pod.metadata.namespace)
    except ApiException as error:
        raise DemoFailed(f"the API server's proxy says {error.status} {error.reason}") from error
    return f"pod {pod.metadata.name} -> {_title(page)}"


def query(identity: Mapping[str, str], *, database: Mapping[str, str], estate: Path) -> str:
    """Ask PostgreSQL who is connected where, as the role of ``identity`` in the database of ``database``.

    Raises PermissionError if the server does not let that role in, DemoFailed for any other failure.
    """
    port = read_endpoints(embedded_files(estate)).postgres
    connection = f"host=127.0.0.1 port={port} user={identity['PGUSER']} dbname={database['PGDATABASE']}"
    connection += f" sslmode={identity['PGSSLMODE']}"
    psql = shutil.which("psql")
    ask = _ask_with_psql(psql) if psql else _ask_with_psycopg
    try:
        return ask(connection, identity["PGPASSWORD"])
    except DemoFailed as error:
        if "permission denied" in str(error):
            raise PermissionError(str(error)) from error
        raise


def _ask_with_psql(psql: str) -> Callable[[str, str], str]:
    def ask(connection: str, password: str) -> str:
        command = [
            psql,
            "--no-psqlrc",
            "--no-password",
            "--tuples-only",
            "--no-align",
            "--command",
            QUESTION,
            connection,
        ]
        # A file that only its owner reads: other users of the machine see arguments.
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(f"*:*:*:*:{password}\n")
            file.flush()
            environment = {**os.environ, "PGPASSFILE": file.name}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoFailed(done.stderr.strip().splitlines()[0])
        return done.stdout.strip()

    return ask


def _ask_with_psycopg(connection: str, password: str) -> str:
    """The same question where psql is not installed: psycopg is a library of coopctl's own."""
    import psycopg

    try:
        with psycopg.connect(connection, password=password) as session:
            row = session.execute(QUESTION).fetchone()
    except psycopg.Error as error:
        raise DemoFailed(str(error).splitlines()[0]) from error
    return f"{row[0] if row else ''} (psql is not on PATH: asked with psycopg)"


def round_trip(identity: Mapping[str, str], *, bucket: Mapping[str, str], estate: Path) -> str:
    """Write an object into the bucket of ``bucket`` with the keys of ``identity``, read it back, delete it.

    Raises PermissionError if the server denies access, DemoFailed for any other failure.
    """
    import boto3
    from botocore.exceptions import ClientError

    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{read_endpoints(embedded_files(estate)).objects}",
        region_name=identity["AWS_REGION"],
        aws_access_key_id=identity["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=identity["AWS_SECRET_ACCESS_KEY"],
    )
    name, key, text = bucket["S3_BUCKET"], "demo/인사.txt", "안녕하세요"
    try:
        client.put_object(Bucket=name, Key=key, Body=text.encode())
        read = client.get_object(Bucket=name, Key=key)["Body"].read().decode()
        client.delete_object(Bucket=name, Key=key)
    except ClientError as error:
        denied = error.response["Error"]["Code"] == "AccessDenied"
        raise (PermissionError if denied else DemoFailed)(str(error)) from error
    if read != text:
        raise DemoFailed(f"the object came back as {read!r}")
    return f"{name}/{key} -> {read}"


def refused(attempt: Callable[[], str]) -> str:
    """The words in which ``attempt`` was refused; raises DemoFailed if it got through."""
    try:
        got = attempt()
    except PermissionError as error:
        return str(error)
    raise DemoFailed(f"this should have been refused, but gave: {got}")


def show(look: Look, *, no_pods: str | None) -> Verdict:
    """Show one look and give what came of it; ``no_pods`` says why no pod runs, if none does."""
    verdict, seen = _verdict(look, no_pods=no_pods)
    print(f"  {verdict:8}  {look.claim}\n            {seen}")
    return verdict


def _verdict(look: Look, *, no_pods: str | None) -> tuple[Verdict, str]:
    if look.needs_pods and no_pods:
        return Verdict.LEFT_OUT, no_pods
    try:
        return Verdict.HOLDS, look.see()
    except (DemoFailed, OSError) as error:
        return Verdict.FAILED, str(error)


def summary(verdicts: list[Verdict], *, seconds: float, estate: Path) -> str:
    """The demo's last line."""
    looked_at = [verdict for verdict in verdicts if verdict is not Verdict.LEFT_OUT]
    left_out = len(verdicts) - len(looked_at)
    claims = f"{looked_at.count(Verdict.HOLDS)} of {len(looked_at)} claims hold"
    apart = f", {left_out} are left out" if left_out else ""
    return f"{claims}{apart}; {seconds:.0f} s. The estate: {estate}"


def _title(page: str) -> str:
    return page.partition("<title>")[2].partition("</title>")[0] or page[:80]


def _networking(estate: Path) -> Any:
    from kubernetes.client import NetworkingV1Api

    return NetworkingV1Api(api_client(estate))


def main(arguments: list[str]) -> int:
    """Run the demo; 0 if every claim holds, else 1, or the exit code of the command that failed."""
    parser = argparse.ArgumentParser(prog="make demo", description="Run rice-processing on the embedded platform.")
    parser.add_argument("--where", action="store_true", help="print the demo's estate and do nothing")
    parser.add_argument("--node", choices=("auto", "real", "simulated"), default="auto", help="as of `coopctl dev up`")
    chosen = parser.parse_args(arguments)
    estate = home("demo", variable="COOPCTL_DEMO")
    if chosen.where:
        print(estate)
        return 0
    began = time.monotonic()
    copy_estate(estate)
    run("dev", "up", "--node", chosen.node, estate=estate)
    run("images", "build", "--used", "--push", estate=estate)
    run("apply", COOPERATIVE, NEIGHBOUR, "--yes", "--without-dump", estate=estate)
    run("status", COOPERATIVE, estate=estate)
    print("\nA look from all sides:")
    no_pods = why_no_pods(estate)
    verdicts = [show(look, no_pods=no_pods) for look in looks(estate)]
    print("\n" + summary(verdicts, seconds=time.monotonic() - began, estate=estate))
    return 1 if Verdict.FAILED in verdicts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
