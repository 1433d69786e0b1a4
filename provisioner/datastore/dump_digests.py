"""What a database holds, as counts and sums of hashes: the proof that a restored copy is the same.

Nothing here runs code of the tenant. A table is read as it lies there (``ONLY``, no view), and a row becomes text by
PostgreSQL's own ``record_out``: a plain ``t::text`` would call a CAST that the tenant may have made on its row type,
while no CAST can be made on a pseudo-type (PostgreSQL manual, CREATE CAST). The session should have no rights that
matter all the same.
"""

from dataclasses import dataclass

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows

LARGE_OBJECT_CHUNK_BYTES = 1 << 20

# What a value looks like as text depends on these, and a database may have defaults of its own for them.
PINNED = """
    SELECT set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO, YMD', false),
           set_config('intervalstyle', 'postgres', false), set_config('extra_float_digits', '3', false),
           set_config('bytea_output', 'hex', false), set_config('lc_monetary', 'C', false)
"""
CONTENT_TABLES = """
    SELECT n.nspname, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
                      AND x.deptype = 'e')
    ORDER BY 1, 2
"""
# The order of rows does not matter: the hashes of all rows (as text) are added up.
_TABLE_DIGEST = (
    "SELECT count(*), coalesce(sum(hashtextextended(record_out(t)::text, 0)::numeric), 0)::text FROM ONLY {} t"
)
_SEQUENCE_DIGEST = "SELECT 1, last_value::text || ':' || is_called::text FROM {}"
# Through lo_get, which checks the right to read: pg_largeobject itself is open to superusers alone.
_LARGE_OBJECT_CHUNKS = """
    SELECT oid::bigint, octet_length(part),
           hashtextextended(oid::text || ':' || %(chunk)s || ':' || encode(part, 'hex'), 0)
    FROM (SELECT oid, lo_get(oid, %(chunk)s::bigint * %(size)s, %(size)s) AS part FROM pg_largeobject_metadata
          WHERE %(chunk)s = 0 OR oid = ANY (%(oids)s::oid[]) OFFSET 0) AS chunks
"""


@dataclass(frozen=True, kw_only=True, order=True)
class TableDigest:
    """What a table (or sequence, or all large objects) holds: its rows and the sum of their hashes."""

    name: str
    rows: int
    digest: str


def digests(connection: Connection) -> tuple[TableDigest, ...]:
    """What every table, sequence and large object of the connection's database holds.

    With ``row_security`` off, as all our sessions have it, a row that a policy hides is an error and never left out.
    """
    connection.execute(PINNED)
    found = [_digest(connection, *row) for row in rows(connection, CONTENT_TABLES)]
    return tuple(sorted([*found, _large_objects(connection)]))


def _digest(connection: Connection, schema: str, name: str, kind: str) -> TableDigest:
    query = sql.SQL(_SEQUENCE_DIGEST if kind == "S" else _TABLE_DIGEST)
    count, digest = rows(connection, query.format(sql.Identifier(schema, name)))[0]
    return TableDigest(name=f"{schema}.{name}", rows=count, digest=digest)


def _large_objects(connection: Connection) -> TableDigest:
    """All large objects, a chunk of each at a time: as many queries as the largest one has chunks."""
    count, total, chunk, unfinished = 0, 0, 0, [0]
    while unfinished:
        parameters = {"chunk": chunk, "size": LARGE_OBJECT_CHUNK_BYTES, "oids": unfinished}
        found = rows(connection, _LARGE_OBJECT_CHUNKS, parameters)
        count = count if chunk else len(found)
        total += sum(digest for _, _, digest in found)
        unfinished = [oid for oid, length, _ in found if length == LARGE_OBJECT_CHUNK_BYTES]
        chunk += 1
    return TableDigest(name="large objects", rows=count, digest=str(total))
