"""The demo (`make demo`): the pilot cooperative rice-processing, from its descriptor to a login in its ledger.

1. The pilot estate is copied to a folder of its own, so that this checkout stays as it is.
2. The embedded platform is started, the solutions' images are built and pushed, and two cooperatives are applied, after
   the platform's own stack. Every step is a coopctl command that is shown; each may be repeated.
3. The tenant is looked at from all sides: its parts, its page through the ingress and from its pod, its database as
   its own application role and as its neighbour's, its bucket with its own identity and with its neighbour's.
4. Its first user logs in with the first password and saves a party, which PostgreSQL then holds; the neighbour's
   ledger runs beside it and knows nothing of that. Where a cooperative has chosen no ledger, this is left away.
5. It ends with the addresses of all solutions and the first login.

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
from urllib.parse import urlsplit

from examples import solutions
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
from examples.solutions import Login
from examples.tryton_client import TrytonRefused
from provisioner.descriptor.endpoints import embedded_files, read_endpoints

NEIGHBOUR = "plastics"
QUESTION = "SELECT current_user || ' in ' || current_database()"
PARTIES = "SELECT count(*) || ' x ' || name FROM party_party WHERE name = '{}' GROUP BY name"


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


def ledger_looks(estate: Path) -> list[Look]:
    """What the demo shows of the ledger and of what runs in its server; nothing if it is not chosen."""
    chosen = running(COOPERATIVE, estate=estate)
    if "ledger" not in chosen:
        return []
    [ledger], [other] = (solutions.first_logins(name, estate=estate) for name in (COOPERATIVE, NEIGHBOUR))
    store = credentials(COOPERATIVE, estate=estate)
    kinds = {name: kind for name, kind in solutions.KINDS.items() if name in chosen}
    seen: list[tuple[str, Callable[[], str]]] = [
        ("the ledger's web client is served", lambda: f"{ledger.url} -> {_title(ledger.client.page())}"),
        ("the neighbour's first password opens nothing", lambda: refused(lambda: _let_in(ledger, with_that_of=other))),
        ("the first user logs in with the first password", lambda: _let_in(ledger, with_that_of=ledger)),
        (f"the ledger's server runs {', '.join(kinds)}", lambda: f"records: {solutions.count_records(ledger, kinds)}"),
        ("a party that is saved is in PostgreSQL", lambda: _party_in_database(ledger, store=store, estate=estate)),
        ("the neighbour's ledger runs beside it, without that party", lambda: _party_at_neighbour(other)),
    ]
    return [Look(claim=claim, see=see, needs_pods=True) for claim, see in seen]


def running(cooperative: str, *, estate: Path) -> dict[str, str]:
    """The addresses of the cooperative's solutions, by their names."""
    return solutions.addresses(cooperative, estate=estate)


def _let_in(login: Login, *, with_that_of: Login) -> str:
    Login(solution=login.solution, url=login.url, user=login.user, password=with_that_of.password).session()
    return f"{login.user} is in at {login.url}"


def _party_in_database(ledger: Login, *, store: Mapping[str, str], estate: Path) -> str:
    name = solutions.save_party(ledger)
    return query(store, database=store, estate=estate, question=PARTIES.format(name))


def _party_at_neighbour(other: Login) -> str:
    found = solutions.count_parties(other, solutions.PARTY)
    if found:
        raise DemoFailed(f"{other.url} has the party {solutions.PARTY} too")
    return f"{other.url} -> {found} x {solutions.PARTY}"


def page_through_ingress(estate: Path) -> str:
    """Fetch the portal's page under its host name, as a member company's browser does."""
    ingress = _networking(estate).read_namespaced_ingress("portal", f"{COOPERATIVE}-apps")
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
    portals = {"label_selector": "app.kubernetes.io/name=portal", "field_selector": "status.phase=Running"}
    pods = core.list_namespaced_pod(f"{COOPERATIVE}-apps", **portals).items
    if not pods:
        raise DemoFailed("no pod of the portal runs")
    pod = pods[0]
    port = pod.spec.containers[0].ports[0].container_port
    try:
        page = core.connect_get_namespaced_pod_proxy(f"{pod.metadata.name}:{port}", pod.metadata.namespace)
    except ApiException as error:
        raise DemoFailed(f"the API server's proxy says {error.status} {error.reason}") from error
    return f"pod {pod.metadata.name} -> {_title(page)}"


def query(identity: Mapping[str, str], *, database: Mapping[str, str], estate: Path, question: str = QUESTION) -> str:
    """Ask PostgreSQL (by default who is connected where) as the role of ``identity`` in the database of ``database``.

    Raises PermissionError if the server does not let that role in, DemoFailed for any other failure.
    """
    port = read_endpoints(embedded_files(estate)).postgres
    connection = f"host=127.0.0.1 port={port} user={identity['PGUSER']} dbname={database['PGDATABASE']}"
    connection += f" sslmode={identity['PGSSLMODE']}"
    psql = shutil.which("psql")
    ask = _ask_with_psql(psql) if psql else _ask_with_psycopg
    try:
        return ask(connection, identity["PGPASSWORD"], question)
    except DemoFailed as error:
        if "permission denied" in str(error):
            raise PermissionError(str(error)) from error
        raise


def _ask_with_psql(psql: str) -> Callable[[str, str, str], str]:
    def ask(connection: str, password: str, question: str) -> str:
        command = [
            psql,
            "--no-psqlrc",
            "--no-password",
            "--tuples-only",
            "--no-align",
            "--command",
            question,
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


def _ask_with_psycopg(connection: str, password: str, question: str) -> str:
    """The same question where psql is not installed: psycopg is a library of coopctl's own."""
    import psycopg

    try:
        with psycopg.connect(connection, password=password) as session:
            row = session.execute(question.encode()).fetchone()
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
    except (DemoFailed, TrytonRefused, OSError) as error:
        return Verdict.FAILED, str(error)


def summary(verdicts: list[Verdict], *, seconds: float, estate: Path) -> str:
    """The demo's last line."""
    looked_at = [verdict for verdict in verdicts if verdict is not Verdict.LEFT_OUT]
    left_out = len(verdicts) - len(looked_at)
    claims = f"{looked_at.count(Verdict.HOLDS)} of {len(looked_at)} claims hold"
    apart = f", {left_out} are left out" if left_out else ""
    return f"{claims}{apart}; {seconds:.0f} s. The estate: {estate}"


def show_addresses(estate: Path) -> None:
    """Where a browser finds the two cooperatives' solutions."""
    found = {name: running(name, estate=estate) for name in (COOPERATIVE, NEIGHBOUR)}
    hosts = sorted({str(urlsplit(url).hostname) for urls in found.values() for url in urls.values()})
    print("\nFor a browser on this machine (the line below in /etc/hosts):")
    for cooperative, urls in found.items():
        for solution, url in urls.items():
            print(f"  {cooperative:16} {solution:12} {url}")
    print(f"  127.0.0.1 {' '.join(hosts)}")


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
    verdicts = [show(look, no_pods=no_pods) for look in (*looks(estate), *ledger_looks(estate))]
    if no_pods is None:
        run("first-login", COOPERATIVE, estate=estate)
        show_addresses(estate)
    print("\n" + summary(verdicts, seconds=time.monotonic() - began, estate=estate))
    return 1 if Verdict.FAILED in verdicts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
