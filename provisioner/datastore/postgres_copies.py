"""A copy of a cooperative's database on the same server, to go back to when a migration of its tables fails.

1. All sessions of the database are ended; the server copies its files under a name that holds the cooperative's uid.
   Nobody can connect to the copy until it is closed to PUBLIC and bears the mark, which is one transaction.
2. Putting it back: nobody may connect to the changed database any more, its sessions are ended, and in one transaction
   it gives its name to the copy. Then it is dropped.

Unlike a dump that is restored, the copy keeps every owner, right, policy, comment and large object as it was. What
belongs to the database as a whole (its limit, who may connect) `apply` gives it again. Cut off anywhere, the same call
goes on.
"""

from dataclasses import replace

from psycopg import sql

from provisioner.datastore.marks import Mark, require_own, to_comment
from provisioner.datastore.postgres_connection import Connection, lock_server_wide, retrying, rows, scalar
from provisioner.datastore.postgres_databases import drop_database, end_sessions, read_database
from provisioner.errors import DataStoreMoving

_SLOTS = "SELECT slot_name::text FROM pg_replication_slots WHERE database = %(name)s ORDER BY 1"
_CONNECTABLE = "SELECT datallowconn FROM pg_database WHERE datname = %(name)s"


def copy_name(mark: Mark) -> str:
    """What the copy of a cooperative's database is called."""
    return f"coopctl_before_{mark.cooperative}"


def changed_name(mark: Mark) -> str:
    """What the changed database is called for the moment between giving its name away and being dropped."""
    return f"coopctl_changed_{mark.cooperative}"


def has_copy(connection: Connection, *, mark: Mark) -> bool:
    """Whether there is a copy that is complete. Raises NotOurs for another's database of that name."""
    name = copy_name(mark)
    found = read_database(connection, name)
    if found is None or not scalar(connection, _CONNECTABLE, {"name": name}):
        return False
    require_own(found.mark, own=mark, what=f"the PostgreSQL database {name}")
    return True


def require_no_slot(connection: Connection, name: str) -> None:
    """Raise DataStoreMoving if a replication slot reads the database ``name``: it could not be replaced by its copy."""
    slots = [slot for (slot,) in rows(connection, _SLOTS, {"name": name})]
    if slots:
        raise DataStoreMoving(
            f"the database {name} is being copied to another server",
            why=f"the replication slot {slots[0]} reads it, and a change of its tables would end that",
            hint="finish or abort the migration of the data store first (`coopctl migrate status`), then apply again",
        )


def make_copy(connection: Connection, name: str, *, mark: Mark) -> None:
    """Copy the database ``name``, in place of an older copy; ends its sessions, which wait or fail meanwhile.

    Raises NotOurs for a database of somebody else's, CoopctlError if somebody keeps connecting to it.
    """
    found = read_database(connection, name)
    require_own(found.mark if found else None, own=mark, what=f"the PostgreSQL database {name}")
    drop_copy(connection, mark=mark)
    copy = sql.Identifier(copy_name(mark))
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} ALLOW_CONNECTIONS false")

    def copied() -> None:
        end_sessions(connection, name)
        connection.execute(statement.format(copy, sql.Identifier(name)))

    retrying(copied)
    with connection.transaction():
        lock_server_wide(connection)
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(copy))
        _set_mark(connection, copy, replace(mark, retained=False, dump=""))
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(copy))


def put_back(connection: Connection, name: str, *, mark: Mark) -> None:
    """Give the copy the name of the changed database ``name``, and drop that.

    Without a copy it was done already: whoever calls this has seen one before.
    """
    if has_copy(connection, mark=mark):
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        retrying(lambda: _swap(connection, name, mark=mark))
    drop_changed(connection, mark=mark)


def drop_changed(connection: Connection, *, mark: Mark) -> None:
    """Drop the database in whose place the copy was put, if it is still there."""
    _drop(connection, changed_name(mark), mark=mark)


def drop_copy(connection: Connection, *, mark: Mark) -> None:
    """Drop the copy, and what the making of one that was cut off left."""
    _drop(connection, copy_name(mark), mark=mark)


def _swap(connection: Connection, name: str, *, mark: Mark) -> None:
    for one in (name, copy_name(mark)):
        end_sessions(connection, one)
    renaming = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    with connection.transaction():
        lock_server_wide(connection)
        connection.execute(renaming.format(sql.Identifier(name), sql.Identifier(changed_name(mark))))
        connection.execute(renaming.format(sql.Identifier(copy_name(mark)), sql.Identifier(name)))


def _drop(connection: Connection, name: str, *, mark: Mark) -> None:
    found = read_database(connection, name)
    if found is None:
        return
    # What has no mark yet was being made when it was cut off: nobody else's database bears this name.
    if found.mark is not None:
        require_own(found.mark, own=mark, what=f"the PostgreSQL database {name}")
    drop_database(connection, name)


def _set_mark(connection: Connection, database: sql.Identifier, mark: Mark) -> None:
    connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(to_comment(mark))))
