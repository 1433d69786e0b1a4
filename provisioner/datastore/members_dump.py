"""The dump of a database after which schemas of members that left may be deleted; everybody else works on.

1. The schemas are closed and bear the dump's name in their marks. When those who were at work in them are done, nothing
   in them changes any more. Whoever takes such a member up again opens its schema and takes the name away.
2. The whole database is dumped from one snapshot, restored into a scratch database, compared and encrypted, as for the
   final dump of a cooperative; other members' schemas stay open. The manifest, written last, makes the dump complete.
3. What still bears the dump's name is dropped, and nothing else.

Cut off before 3, the schemas stay closed and nothing is lost; the next run makes a dump of its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from provisioner.datastore.dump_encryption import parse_recipient
from provisioner.datastore.dump_layout import dump_name
from provisioner.datastore.dump_places import DumpPlace
from provisioner.datastore.dump_postgres import DumpWork, sweep_secrets
from provisioner.datastore.final_dump import DumpReport, dump_database, manifest
from provisioner.datastore.marks import Mark, require_own
from provisioner.datastore.postgres import PostgresAccess
from provisioner.datastore.postgres_connection import connect
from provisioner.datastore.postgres_members import close_schemas, drop_dumped, read_facts, wait_for_writers
from provisioner.datastore.postgres_row_security import drop_event_trigger
from provisioner.naming import member_names
from provisioner.plan.resources import PostgresMembers


def delete_members(
    access: PostgresAccess,
    wanted: PostgresMembers,
    members: Sequence[str],
    *,
    mark: Mark,
    place: DumpPlace,
    recipient: str,
    now: datetime,
    work: DumpWork,
) -> DumpReport:
    """Dump the database and delete the schemas of ``members`` (ids), whose cooperative bears ``mark``.

    Raises what `final_dump` raises; then nothing is deleted. ProblemsFound if a schema was opened again meanwhile.
    """
    key, name = parse_recipient(recipient), dump_name(wanted.database, now=now)
    sweep_secrets(work.folder)
    files = place.begin(name, database=wanted.database)
    try:
        _close(access, wanted, members, mark=mark, dump=name, work=work)
        database = dump_database(
            access, wanted.database, source=wanted.database, mark=mark, files=files, recipient=key, work=work
        )
        report = DumpReport(name=name, location=files.location, recipient=recipient, database=database, bucket=None)
        files.complete(manifest(report, created=now))
    except BaseException:
        files.discard()
        raise
    with connect(access, environment=work.environment, database=wanted.database) as inside:
        drop_dumped(inside, members, database=wanted.database, mark=mark, dump=name)
    return report


def _close(
    access: PostgresAccess, wanted: PostgresMembers, members: Sequence[str], *, mark: Mark, dump: str, work: DumpWork
) -> None:
    with connect(access, environment=work.environment, database=wanted.database) as inside:
        found = read_facts(inside, wanted).schemas
        schemas = [name for one in members if (name := member_names(one, database=wanted.database).schema) in found]
        for name in schemas:
            require_own(found[name].mark, own=mark, what=f"the schema {name} of {wanted.database}")
        # Where members have schemas none is wanted; a former layout's could be restored by a superuser alone.
        drop_event_trigger(inside)
        close_schemas(inside, wanted, dict.fromkeys(schemas, replace(mark, retained=True, dump=dump)))
        wait_for_writers(inside, schemas)
