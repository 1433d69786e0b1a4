"""PostgreSQL servers of several versions for the tests of moving: bare, on loopback, thrown away after the session."""

import os
import pwd
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from provisioner.datastore.credentials import Secret
from provisioner.embedded.postgres import find_programs, server_account
from provisioner.migration.postgres_sides import Side, conninfo
from tests.free_ports import claimed_port

ADMINISTRATOR = "postgres"
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "logical",
    "max_replication_slots": "60",
    "max_wal_senders": "20",
    "max_logical_replication_workers": "16",
    "max_worker_processes": "24",
    "max_prepared_transactions": "8",
    "max_slot_wal_keep_size": "2GB",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "wal_receiver_status_interval": "1s",
    "listen_addresses": "127.0.0.1",
}


@dataclass
class PostgresServer:
    """A server that runs; ``stop`` and ``start`` are for tests of its failing."""

    folder: Path
    programs: Path
    port: int
    password: Secret
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    def side(self, database: str = "postgres", *, user: str = ADMINISTRATOR) -> Side:
        """The administrator's way to a database."""
        return Side(
            host="127.0.0.1",
            port=self.port,
            user=user,
            database=database,
            password=self.password,
            extra=(("sslmode", "disable"),),
        )

    def execute(self, statement: str, *, database: str = "postgres") -> list[Any]:
        """Run statements as the administrator; gives the rows of the last one."""
        with psycopg.connect(conninfo(self.side(database)), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            while cursor.nextset():
                """The answer to the last statement counts."""
            return cursor.fetchall() if cursor.description else []

    def new_database(self, prefix: str) -> Side:
        """An empty database that no other test knows, closed to PUBLIC."""
        name = f"{prefix}_{secrets.token_hex(4)}"
        with psycopg.connect(conninfo(self.side()), autocommit=True) as connection:
            named = sql.Identifier(name)
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(named))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(named))
        return self.side(name)

    def start(self) -> None:
        """Start it and wait until it answers."""
        argv = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, cwd="/", start_new_session=True, **identity())
        deadline = time.monotonic() + 60
        while True:
            try:
                with psycopg.connect(conninfo(self.side())):
                    return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def stop(self, *, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT is a fast shutdown, SIGQUIT an immediate one."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=60)
            self.process = None


def identity() -> dict[str, Any]:
    """What to give Popen so that the program runs as the account of PostgreSQL where we are root."""
    account = server_account()
    if account is None:
        return {}
    entry = pwd.getpwnam(account)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(account, entry.pw_gid)}


@contextmanager
def running_postgres(folder: Path, *, programs: Path | None = None, **settings: str) -> Iterator[PostgresServer]:
    """A server in ``folder`` (which the account of PostgreSQL may enter) while the block runs."""
    server = _made(folder, programs=programs or find_programs(15), settings=SETTINGS | settings)
    server.start()
    try:
        yield server
    finally:
        server.stop(how=signal.SIGQUIT)


def _made(folder: Path, *, programs: Path, settings: dict[str, str]) -> PostgresServer:
    folder.mkdir(parents=True)
    password = Secret(secrets.token_hex(8))
    file = folder / "password"
    file.write_text(password.reveal())
    account = identity()
    if account:
        os.chown(folder, account["user"], account["group"])
        os.chown(file, account["user"], account["group"])
    data = folder / "data"
    made = [str(programs / "initdb"), "-D", str(data), "-U", ADMINISTRATOR, "--encoding=UTF8", "--locale=C.UTF-8"]
    made += ["--auth=scram-sha-256", f"--pwfile={file}", "--no-sync", "--no-instructions"]
    subprocess.run(made, check=True, cwd="/", stdout=subprocess.DEVNULL, **account)
    lines = [f"{name} = '{value}'" for name, value in (settings | {"unix_socket_directories": ""}).items()]
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write("\n".join(lines) + "\n")
    return PostgresServer(folder=folder, programs=programs, port=claimed_port(), password=password)


def as_user(side: Side, user: str, password: str) -> Side:
    """The same database for another login."""
    return replace(side, user=user, password=Secret(password))
