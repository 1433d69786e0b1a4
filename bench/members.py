"""How long it takes to put members into databases, how much memory that needs, and how long a look at them takes.

On a PostgreSQL of its own in a temporary folder, with a schema and a role for each member, which is the layout that
makes more. Sizes are those of the pilots (1,900 members over seven cooperatives) and of all phases (10,000 over 28).
The baseline is a script of the same statements that psql runs on databases of the same kind. Each size is measured in a
process of its own, so that its peak memory is its own. Databases, roles and grants are made before the clock starts.
"""

import argparse
import json
import os
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from provisioner.datastore.marks import Mark, to_comment
from provisioner.datastore.postgres import PostgresAccess
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles
from provisioner.descriptor.platform import SecretReference
from provisioner.embedded.ports import LOOPBACK, choose
from provisioner.embedded.postgres import ADMIN, PostgresPart
from provisioner.embedded.process import Surroundings
from provisioner.embedded.supervisor import Supervisor
from provisioner.naming import ClusterId, CooperativeName, TenantNames, all_member_names, tenant_names
from provisioner.plan.resources import PostgresDatabase, PostgresGrants, PostgresMembers, PostgresRole, RoleKind

CLUSTER = ClusterId("bench")
PILOTS, PLAN, SMALL = "1900/7", "10000/28", "12/2"
MORE = 300
# As many members in one transaction as coopctl puts there.
BATCH = 200
KIBIBYTES = 1024
MEMBER = """
CREATE ROLE {role} NOLOGIN INHERIT;
COMMENT ON ROLE {role} IS '{mark}';
CREATE SCHEMA {schema} AUTHORIZATION {owner};
COMMENT ON SCHEMA {schema} IS '{mark}';
REVOKE ALL ON SCHEMA {schema} FROM {reader};
GRANT USAGE ON SCHEMA {schema} TO {application}, {role};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT SELECT, UPDATE, USAGE ON SEQUENCES TO {role};
"""


@dataclass(frozen=True, kw_only=True)
class Size:
    """So many members over so many cooperatives, as evenly as it goes."""

    members: int
    cooperatives: int

    def __str__(self) -> str:
        return f"{self.members:,} over {self.cooperatives}"

    def shares(self) -> list[int]:
        """How many members each cooperative has."""
        least, more = divmod(self.members, self.cooperatives)
        return [least + (place < more) for place in range(self.cooperatives)]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds of each kind of work, and the peak memory of the process in KiB: before the first member, and in all."""

    make: float
    look: float
    more: float
    memory_before: int
    memory: int


def size(text: str) -> Size:
    """A size that is written as MEMBERS/COOPERATIVES."""
    members, _, cooperatives = text.partition("/")
    found = Size(members=int(members), cooperatives=int(cooperatives))
    if not 0 < found.cooperatives <= found.members:
        raise argparse.ArgumentTypeError("each cooperative has at least one member")
    return found


@contextmanager
def running_postgres(**settings: str) -> Iterator[PostgresAccess]:
    """A PostgreSQL of its own, thrown away afterwards: nothing must survive a crash, so nobody waits for the disk.

    ``settings`` are more of the server's own, as in postgresql.conf.
    """
    folder = Path(tempfile.mkdtemp(prefix="coopctl-bench-"))
    folder.chmod(0o711)
    files = EmbeddedFiles(root=folder)
    part = PostgresPart(settings={"fsync": "off", "full_page_writes": "off", **settings})
    surroundings = Surroundings(
        estate_root=folder,
        files=files,
        endpoints=choose(EmbeddedEndpoints()),
        run=folder / "run",
        tools={},
        real_node=False,
    )
    supervisor = Supervisor(folder, report=lambda _: None)
    part.prepare(surroundings)
    try:
        supervisor.start(part.specs(surroundings))
        yield PostgresAccess(
            host=LOOPBACK,
            port=surroundings.endpoints.postgres,
            user=ADMIN,
            password=SecretReference(file=files.postgres_password),
            sslmode="require",
        )
    finally:
        supervisor.stop()
        part.remove(surroundings)
        shutil.rmtree(folder, ignore_errors=True)


def seconds_of(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_memory() -> int:
    """The peak memory of this process so far, in KiB (getrusage(2), ru_maxrss)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def by_coopctl(access: PostgresAccess, wanted: Size) -> Measured:
    """Put the members into new databases, look at all of them, and add more to the first; in a process of its own."""
    admin = PostgresServerAdmin(access, environment=os.environ)
    tenants = [_data_store(admin) for _ in range(wanted.cooperatives)]
    members = [_members(names, number) for names, number in zip(tenants, wanted.shares(), strict=True)]
    before = peak_memory()
    more = replace(members[0], members=_ids(len(members[0].members) + MORE))
    return Measured(
        make=seconds_of(lambda: _make_all(admin, members)),
        look=seconds_of(lambda: _require_all(admin, members)),
        more=seconds_of(lambda: admin.ensure_members(more, mark=_mark(more.database))),
        memory_before=before,
        memory=peak_memory(),
    )


def by_psql(access: PostgresAccess, wanted: Size) -> float:
    """Seconds of the baseline: psql runs a script in each of as many new databases."""
    admin = PostgresServerAdmin(access, environment=os.environ)
    tenants = [_data_store(admin) for _ in range(wanted.cooperatives)]
    scripts = {
        names.database: script(_members(names, number)) for names, number in zip(tenants, wanted.shares(), strict=True)
    }
    return seconds_of(lambda: _run_all(access, scripts))


def script(wanted: PostgresMembers) -> str:
    """The statements that make the members, in transactions of the same size as coopctl's."""
    words = {
        "owner": wanted.owner,
        "application": wanted.application,
        "reader": wanted.reader,
        "mark": to_comment(_mark(wanted.database)),
    }
    names = list(all_member_names(wanted.members, database=wanted.database).values())
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    made = ["".join(MEMBER.format(role=one.role, schema=one.schema, **words) for one in part) for part in batches]
    return "".join(f"BEGIN;{part}COMMIT;\n" for part in made)


def results(wanted: Size, *, coopctl: Measured, psql: float, psql_more: float) -> list[dict[str, object]]:
    """One result for each kind of work, and one for memory."""
    rows: list[tuple[str, float, str, str, float]] = [
        ("make", coopctl.make, "s", f"psql, the same statements: {psql:.2f} s", coopctl.make / psql),
        ("look", coopctl.look, "s", f"psql makes them: {psql:.2f} s", coopctl.look / psql),
        (f"{MORE} more", coopctl.more, "s", f"psql, the same statements: {psql_more:.2f} s", coopctl.more / psql_more),
    ]
    before, peak = coopctl.memory_before / KIBIBYTES, coopctl.memory / KIBIBYTES
    rows.append(("peak memory", peak, "MiB", f"before the first member: {before:.0f} MiB", peak / before))
    return [
        {
            "benchmark": f"members: {wanted}, {what}",
            "result": result,
            "unit": unit,
            "baseline": baseline,
            "ratio": ratio,
            "runs": 1,
        }
        for what, result, unit, baseline, ratio in rows
    ]


def _data_store(admin: PostgresServerAdmin) -> TenantNames:
    """A new cooperative's roles, database and grants."""
    names = tenant_names(CooperativeName(f"bench-{secrets.token_hex(4)}"), cluster=CLUSTER)
    mark = _mark(names.database)
    for kind, name in zip(RoleKind, names.roles, strict=True):
        role = PostgresRole(
            key=name,
            name=name,
            kind=kind,
            login=False,
            connection_limit=5,
            member_of=(names.owner_role,) if kind is RoleKind.MIGRATION else (),
        )
        admin.ensure_role(role, mark=mark, password=None)
    database = PostgresDatabase(key="database", name=names.database, owner=ADMIN, connection_limit=-1)
    admin.ensure_database(database, mark=mark)
    owner, application, reader, migration = names.roles
    admin.ensure_grants(
        PostgresGrants(
            key="grants",
            database=names.database,
            owner=owner,
            application=application,
            reader=reader,
            migration=migration,
        )
    )
    return names


def _members(names: TenantNames, number: int) -> PostgresMembers:
    return PostgresMembers(
        key="members",
        database=names.database,
        owner=names.owner_role,
        application=names.application_role,
        reader=names.reader_role,
        members=_ids(number),
    )


def _ids(number: int) -> tuple[str, ...]:
    return tuple(f"m-{place:05}" for place in range(number))


def _mark(database: str) -> Mark:
    name = CooperativeName(database.replace("_", "-"))
    return Mark(cluster=CLUSTER, cooperative=tenant_names(name, cluster=CLUSTER).uid)


def _make_all(admin: PostgresServerAdmin, members: Sequence[PostgresMembers]) -> None:
    for wanted in members:
        admin.ensure_members(wanted, mark=_mark(wanted.database))


def _require_all(admin: PostgresServerAdmin, members: Sequence[PostgresMembers]) -> None:
    for wanted in members:
        found = admin.read_members(wanted, mark=_mark(wanted.database))
        if found is None or found.provisioned != wanted.members or found.deviations:
            sys.exit(f"{wanted.database} does not have its members: {found}")


def _run_all(access: PostgresAccess, scripts: Mapping[str, str]) -> None:
    """Run each database's script with psql."""
    password = access.password.file.read_text().strip() if access.password.file else ""
    for database, text in scripts.items():
        server = f"host={access.host} port={access.port} user={access.user} dbname={database} sslmode={access.sslmode}"
        command = ["psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", server]
        environment = {"PATH": os.environ["PATH"], "PGPASSWORD": password}
        subprocess.run(command, input=text, text=True, check=True, env=environment)


def measure(wanted: Size) -> list[dict[str, object]]:
    """Measure one size on a server of its own, coopctl's part in a process of its own."""
    with running_postgres() as access:
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
            coopctl = pool.submit(by_coopctl, access, wanted).result()
        psql = by_psql(access, wanted)
        psql_more = by_psql(access, Size(members=MORE, cooperatives=1))
    return results(wanted, coopctl=coopctl, psql=psql, psql_more=psql_more)


def show(found: Sequence[Mapping[str, object]]) -> None:
    """A JSON line for each result, then a table for people."""
    for result in found:
        print(json.dumps(result, ensure_ascii=False))
    print(f"{'benchmark':44}{'result':>10} {'unit':4}{'ratio':>7}   baseline")
    for result in found:
        print(
            f"{result['benchmark']:44}{result['result']:10.2f} {result['unit']:4}{result['ratio']:7.2f}"
            f"   {result['baseline']}"
        )


def main(arguments: Sequence[str]) -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--size",
        dest="sizes",
        type=size,
        action="append",
        metavar="MEMBERS/COOPERATIVES",
        help=f"may be repeated (default: {PILOTS} and {PLAN})",
    )
    parser.add_argument("--small", action="store_true", help=f"{SMALL} alone: does it still work?")
    options = parser.parse_args(arguments)
    if shutil.which("psql") is None:
        sys.exit("the baseline needs psql (Debian package postgresql-client)")
    chosen = [size(SMALL)] if options.small else options.sizes or [size(PILOTS), size(PLAN)]
    show([result for wanted in chosen for result in measure(wanted)])


if __name__ == "__main__":
    main(sys.argv[1:])
