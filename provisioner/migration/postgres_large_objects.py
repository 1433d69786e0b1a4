"""Large objects: copied by their pages, and again those that changed, since no stream of changes carries them.

A page is of 2 KiB and may be missing, which reads as zeros (pg_largeobject, PostgreSQL manual). Pages go to a table of
the target's session and from there into the objects; an object's owner, rights and comment follow by statements.
"""

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.migration.postgres_sides import Clients
from provisioner.migration.postgres_streams import Running, run_stream

_STAGE = "CREATE TEMPORARY TABLE coopctl_pages (loid oid, pageno int, data bytea) ON COMMIT DROP"
_DIGESTS = """
    SELECT m.oid::bigint, md5(coalesce(string_agg(p.pageno || ':' || md5(p.data), ',' ORDER BY p.pageno), ''))
    FROM pg_largeobject_metadata m LEFT JOIN pg_largeobject p ON p.loid = m.oid GROUP BY 1
"""
_PROPERTIES = """
    SELECT m.oid::bigint, pg_get_userbyid(m.lomowner)::text, obj_description(m.oid, 'pg_largeobject'),
           ARRAY(SELECT CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END
                        || ' ' || a.privilege_type
                 FROM aclexplode(m.lomacl) a WHERE a.grantee <> m.lomowner ORDER BY 1)
    FROM pg_largeobject_metadata m ORDER BY 1
"""
MANY = 1000


@dataclass(frozen=True, kw_only=True)
class LargeObjectDigests:
    """A digest of each large object's pages, by its OID."""

    by_oid: tuple[tuple[int, str], ...]

    def differing(self, other: "LargeObjectDigests") -> tuple[int, ...]:
        """The OIDs of objects that are not the same on both sides, sorted."""
        return tuple(sorted({oid for oid, _ in set(self.by_oid) ^ set(other.by_oid)}))


def read_digests(connection: Connection) -> LargeObjectDigests:
    """Digests of all large objects; only a superuser, and who may read all data, can."""
    if not scalar(connection, "SELECT EXISTS (SELECT FROM pg_largeobject_metadata)"):
        return LargeObjectDigests(by_oid=())
    return LargeObjectDigests(by_oid=tuple(sorted((oid, digest) for oid, digest in rows(connection, _DIGESTS))))


def copy_large_objects(
    source: Connection,
    target: Connection,
    *,
    clients: Clients,
    snapshot: str,
    running: Running,
    kept: Collection[str] = (),
) -> tuple[int, ...]:
    """Make the target's large objects those of the source's snapshot; gives the OIDs that had to be copied.

    ``source`` is in a transaction with that snapshot. Objects that the source has no longer are removed. What belongs
    to one of ``kept`` at the source stays the login's at the target.
    """
    wanted, found = read_digests(source), read_digests(target)
    differing = wanted.differing(found)
    for start in range(0, len(differing), MANY):
        part = differing[start : start + MANY]
        there = tuple(oid for oid, _ in wanted.by_oid if oid in set(part))
        _remove(target, part)
        if there:
            _copy(there, clients=clients, snapshot=snapshot, running=running)
    if wanted.by_oid:
        _set_properties(source, target, kept=kept)
    return differing


def _remove(target: Connection, oids: tuple[int, ...]) -> None:
    target.execute(
        "SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = ANY (%(oids)s::oid[])", {"oids": list(oids)}
    )


def _copy(oids: tuple[int, ...], *, clients: Clients, snapshot: str, running: Running) -> None:
    listed = ", ".join(map(str, oids))
    read = f"COPY (SELECT loid, pageno, data FROM pg_largeobject WHERE loid IN ({listed})) TO STDOUT (FORMAT binary)"  # noqa: S608 - numbers
    size = "current_setting('block_size')::bigint / 4"
    run_stream(
        clients,
        read=read,
        write=(
            _STAGE,
            "COPY coopctl_pages FROM STDIN (FORMAT binary)",
            f"SELECT count(lo_create(oid)) FROM unnest(ARRAY[{listed}]::oid[]) AS oid",  # noqa: S608 - numbers
            f"SELECT count(lo_put(loid, pageno * {size}, data)) FROM coopctl_pages",  # noqa: S608 - constants
        ),
        snapshot=snapshot,
        label="coopctl large objects",
        running=running,
        replica=False,
    )


def _set_properties(source: Connection, target: Connection, *, kept: Collection[str]) -> None:
    has = {row[0]: row for row in rows(target, _PROPERTIES)}
    with target.transaction():
        for oid, owner, comment, rights in rows(source, _PROPERTIES):
            if has.get(oid) != (oid, owner, comment, rights):
                _set_one(target, oid, owner=None if owner in kept else owner, comment=comment, rights=rights)


def _set_one(target: Connection, oid: int, *, owner: str | None, comment: str | None, rights: list[str]) -> None:
    named = sql.SQL("LARGE OBJECT {}").format(sql.Literal(oid))
    if owner is not None:
        target.execute(sql.SQL("ALTER {} OWNER TO {}").format(named, sql.Identifier(owner)))
    target.execute(sql.SQL("COMMENT ON {} IS {}").format(named, sql.Literal(comment)))
    for entry in rights:
        grantee, _, right = entry.rpartition(" ")
        whom = sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC")
        allowed = sql.SQL("UPDATE" if right == "UPDATE" else "SELECT")
        target.execute(sql.SQL("GRANT {} ON {} TO {}").format(allowed, named, whom))
