"""The dump of a database before its tables are changed, and the copy beside it that can be put back.

Writes must have been stopped before (provisioner.operations.upgrading). Then

1. the database is copied on its server, which ends all of its sessions (postgres_copies.py);
2. the copy, to which nobody connects, is dumped, restored into a scratch database, compared and encrypted, as for the
   final dump of a cooperative. So dump and copy hold the same, and a later look at the copy says what both hold.

The dump is sealed to the Platform's recipient, whose key coopctl does not have: what is put back is the copy.
"""

from datetime import datetime

from provisioner.datastore.dump_encryption import parse_recipient
from provisioner.datastore.dump_layout import dump_name
from provisioner.datastore.dump_places import DumpPlace
from provisioner.datastore.dump_postgres import DumpWork, sweep_secrets
from provisioner.datastore.final_dump import DumpReport, dump_database, manifest
from provisioner.datastore.marks import Mark
from provisioner.datastore.postgres import PostgresAccess
from provisioner.datastore.postgres_connection import connect
from provisioner.datastore.postgres_copies import copy_name, make_copy
from provisioner.datastore.postgres_row_security import drop_event_trigger


def copy_and_dump(
    access: PostgresAccess,
    database: str,
    *,
    mark: Mark,
    place: DumpPlace,
    recipient: str,
    now: datetime,
    work: DumpWork,
) -> DumpReport:
    """Copy ``database``, which bears ``mark``, and dump the copy into ``place``, encrypted to ``recipient``.

    Raises what `final_dump` raises; then no dump is left, and perhaps a copy, which the next call makes anew.
    """
    key, name = parse_recipient(recipient), dump_name(database, now=now)
    sweep_secrets(work.folder)
    with connect(access, environment=work.environment) as connection:
        make_copy(connection, database, mark=mark)
    with connect(access, environment=work.environment, database=copy_name(mark)) as inside:
        # Only a superuser could restore it; `apply` makes it again.
        drop_event_trigger(inside)
    files = place.begin(name, database=database)
    try:
        dumped = dump_database(
            access, database, source=copy_name(mark), mark=mark, files=files, recipient=key, work=work
        )
        report = DumpReport(name=name, location=files.location, recipient=recipient, database=dumped, bucket=None)
        files.complete(manifest(report, created=now))
    except BaseException:
        files.discard()
        raise
    return report
