# ruff: noqa: S608 - every query is made of constants of this module
"""One query for each kind of thing in a database: its name and all that defines it, as text that two servers share.

No OID and no number of a column is in it, since these differ; what a newer server knows besides (the privilege
MAINTAIN, NOT NULL as a constraint) is left out. Names are those of pg_identify_object.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from provisioner.naming import MIGRATION_SCHEMA

FIRST_OWN_OID: Final = 16384

_OWN_SCHEMA = f"n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '{MIGRATION_SCHEMA}')"


# Whoever administers a side owns there what the other's administrator owns.
ADMINISTRATOR: Final = "(the administrator)"


def _role(oid: str) -> str:
    """The name of a role; one of the ``administrators`` by what it is."""
    name = f"pg_get_userbyid({oid})::text"
    return f"(CASE WHEN {name} = ANY (%(administrators)s::text[]) THEN '{ADMINISTRATOR}' ELSE {name} END)"


def _not_of_extension(catalogue: str, oid: str) -> str:
    return f"""NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = '{catalogue}'::regclass
        AND x.objid = {oid} AND x.deptype = 'e')"""


def _rights(acl: str, *, kind: str, owner: str) -> str:
    return f"""array_to_string(ARRAY(
        SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE {_role("a.grantee")} END || '=' || a.privilege_type
               || CASE WHEN a.is_grantable THEN '*' ELSE '' END
        FROM aclexplode(coalesce({acl}, acldefault({kind}, {owner}))) a
        WHERE a.privilege_type <> 'MAINTAIN'
          AND (a.grantee = 0 OR pg_get_userbyid(a.grantee) <> ALL (%(roles)s)) ORDER BY 1), ',')"""


def _identity(catalogue: str, oid: str) -> str:
    return f"(pg_identify_object('{catalogue}'::regclass, {oid}, 0)).identity"


_OWN_RELATION = f"{_OWN_SCHEMA} AND {_not_of_extension('pg_class', 'c.oid')}"
_RELATION = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
_NAME = _identity("pg_class", "c.oid")

_KIND = """(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char\""""

_SCHEMA = f"""
    SELECT n.nspname, concat_ws('; ', {_role("n.nspowner")},
        {_rights("n.nspacl", kind="'n'", owner="n.nspowner")})
    FROM pg_namespace n WHERE {_OWN_SCHEMA} AND {_not_of_extension("pg_namespace", "n.oid")}"""
_TABLE = f"""
    SELECT {_NAME}, concat_ws('; ', c.relkind, c.relpersistence, {_role("c.relowner")},
        {_rights("c.relacl", kind=_KIND, owner="c.relowner")},
        array_to_string(c.reloptions, ','), c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
        pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid),
        (SELECT amname FROM pg_am WHERE oid = c.relam),
        ARRAY(SELECT {_identity("pg_class", "i.inhparent")} FROM pg_inherits i WHERE i.inhrelid = c.oid
              ORDER BY i.inhseqno)::text)
    {_RELATION} WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND {_OWN_RELATION}"""
_COLUMN = f"""
    SELECT {_NAME} || '.' || quote_ident(a.attname), concat_ws('; ',
        row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'not null' END, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated,
        (SELECT {_identity("pg_collation", "a.attcollation")} WHERE a.attcollation <> 0),
        a.attstorage, coalesce(a.attstattarget, -1), array_to_string(a.attoptions, ','), a.attislocal,
        {_rights("a.attacl", kind="'c'", owner="c.relowner")})
    {_RELATION} JOIN pg_attribute a ON a.attrelid = c.oid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND a.attnum > 0 AND NOT a.attisdropped AND {_OWN_RELATION}"""
_CONSTRAINT = f"""
    SELECT coalesce({_NAME}, {_identity("pg_type", "k.contypid")}) || ': ' || quote_ident(k.conname),
           concat_ws('; ', pg_get_constraintdef(k.oid), k.convalidated, k.connoinherit)
    FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace LEFT JOIN pg_class c ON c.oid = k.conrelid
    WHERE k.contype NOT IN ('n', 't') AND k.conparentid = 0 AND {_OWN_SCHEMA}
      AND (k.conrelid = 0 OR {_not_of_extension("pg_class", "k.conrelid")})
      AND (k.contypid = 0 OR {_not_of_extension("pg_type", "k.contypid")})"""
_INDEX = f"""
    SELECT {_NAME}, concat_ws('; ', pg_get_indexdef(c.oid), i.indisvalid, i.indisclustered, i.indisreplident)
    {_RELATION} JOIN pg_index i ON i.indexrelid = c.oid WHERE {_OWN_RELATION}
      AND {_not_of_extension("pg_class", "i.indrelid")}"""
_VIEW = f"SELECT {_NAME}, pg_get_viewdef(c.oid) {_RELATION} WHERE c.relkind IN ('v', 'm') AND {_OWN_RELATION}"
_RULE = f"""
    SELECT {_identity("pg_rewrite", "r.oid")}, concat_ws('; ', pg_get_ruledef(r.oid), r.ev_enabled)
    {_RELATION} JOIN pg_rewrite r ON r.ev_class = c.oid WHERE r.rulename <> '_RETURN' AND {_OWN_RELATION}"""
_TRIGGER = f"""
    SELECT {_identity("pg_trigger", "t.oid")}, concat_ws('; ', pg_get_triggerdef(t.oid), t.tgenabled)
    {_RELATION} JOIN pg_trigger t ON t.tgrelid = c.oid
    WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND {_OWN_RELATION}"""
_POLICY = f"""
    SELECT {_identity("pg_policy", "p.oid")}, concat_ws('; ', p.polcmd, p.polpermissive,
        ARRAY(SELECT CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r)::text END FROM unnest(p.polroles) r
              ORDER BY 1)::text,
        pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    {_RELATION} JOIN pg_policy p ON p.polrelid = c.oid WHERE {_OWN_RELATION}"""
_FUNCTION = f"""
    SELECT {_identity("pg_proc", "p.oid")}, concat_ws('; ', {_role("p.proowner")},
        {_rights("p.proacl", kind="'f'", owner="p.proowner")},
        CASE WHEN p.prokind = 'a' THEN (SELECT concat_ws(' ', g.aggtransfn, g.aggfinalfn, g.agginitval)
                                        FROM pg_aggregate g WHERE g.aggfnoid = p.oid)
             ELSE pg_get_functiondef(p.oid) END)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE {_OWN_SCHEMA} AND {_not_of_extension("pg_proc", "p.oid")}
      AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid
                      AND x.deptype = 'i')"""
# A multirange belongs to its range; its owner stays whoever restored it.
_TYPE = f"""
    SELECT {_identity("pg_type", "t.oid")}, concat_ws('; ', t.typtype,
        CASE WHEN t.typtype <> 'm' THEN {_role("t.typowner")} END,
        CASE WHEN t.typtype <> 'm' THEN {_rights("t.typacl", kind="'T'", owner="t.typowner")} END,
        ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)::text,
        CASE WHEN t.typtype = 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod), t.typnotnull,
                                                 t.typdefault) END,
        (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = t.oid))
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE t.typcategory <> 'A' AND (t.typrelid = 0 OR c.relkind = 'c')
      AND {_OWN_SCHEMA} AND {_not_of_extension("pg_type", "t.oid")}"""
_SEQUENCE = f"""
    SELECT {_NAME}, concat_ws('; ', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmax, s.seqmin,
        s.seqcache, s.seqcycle)
    {_RELATION} JOIN pg_sequence s ON s.seqrelid = c.oid WHERE {_OWN_RELATION}"""
_OWNED_SEQUENCE = f"""
    SELECT {_NAME}, {_identity("pg_class", "d.refobjid")} || '.' || quote_ident(a.attname)
    {_RELATION} JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
        AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE c.relkind = 'S' AND {_OWN_RELATION}"""
_EXTENSION = """
    SELECT e.extname, concat_ws('; ', e.extversion, n.nspname) FROM pg_extension e
    JOIN pg_namespace n ON n.oid = e.extnamespace"""
_DEFAULT_RIGHTS = f"""
    SELECT concat_ws(' ', {_role("d.defaclrole")}, coalesce(n.nspname, '*'), d.defaclobjtype),
           {_rights("d.defaclacl", kind="'r'", owner="d.defaclrole")}
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace"""
_EVENT_TRIGGER = f"""
    SELECT e.evtname, concat_ws('; ', e.evtevent, e.evtenabled, array_to_string(e.evttags, ','),
        {_identity("pg_proc", "e.evtfoid")}, {_role("e.evtowner")})
    FROM pg_event_trigger e WHERE {_not_of_extension("pg_event_trigger", "e.oid")}"""
_PUBLICATION = f"""
    SELECT p.pubname, concat_ws('; ', {_role("p.pubowner")}, p.puballtables, p.pubinsert, p.pubupdate,
        p.pubdelete, p.pubtruncate, p.pubviaroot,
        ARRAY(SELECT {_identity("pg_class", "r.prrelid")} FROM pg_publication_rel r WHERE r.prpubid = p.oid
              ORDER BY 1)::text)
    FROM pg_publication p WHERE p.pubname <> ALL (%(publications)s)"""
_STATISTICS = f"""
    SELECT {_identity("pg_statistic_ext", "s.oid")}, pg_get_statisticsobjdef(s.oid)
    FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {_OWN_SCHEMA}"""
# Chosen without their names: the server's own comments are thousands, and to name an object takes its time.
_COMMENT = f"""
    SELECT o.type || ' ' || o.identity, d.description FROM pg_description d
    CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) o
    WHERE (d.objoid >= {FIRST_OWN_OID}
           OR (d.classoid = 'pg_namespace'::regclass AND d.objoid = to_regnamespace('public')))
      AND o.schema IS DISTINCT FROM '{MIGRATION_SCHEMA}'
      AND o.identity <> '{MIGRATION_SCHEMA}'
      AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = d.classoid AND x.objid = d.objoid AND x.deptype = 'e')
      AND d.classoid <> 'pg_extension'::regclass"""
_LABEL = """
    SELECT o.type || ' ' || o.identity, l.provider || ': ' || l.label FROM pg_seclabel l
    CROSS JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) o"""
_DATABASE = f"""
    SELECT 'the database', concat_ws('; ', d.datconnlimit, shobj_description(d.oid, 'pg_database'),
        ARRAY(SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE {_role("a.grantee")} END
                     || '=' || a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END
              FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
              WHERE a.grantee <> d.datdba
                AND (a.grantee = 0 OR pg_get_userbyid(a.grantee) <> ALL (%(roles)s)) ORDER BY 1)::text)
    FROM pg_database d WHERE d.datname = current_database()"""
_SETTING = """
    SELECT concat_ws(' ', coalesce(r.rolname, 'all roles'), split_part(one, '=', 1)), split_part(one, '=', 2)
    FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
    JOIN pg_database d ON d.oid = s.setdatabase CROSS JOIN LATERAL unnest(s.setconfig) AS one
    WHERE d.datname = current_database()"""
_LARGE_OBJECTS = f"""
    SELECT m.oid::text, concat_ws('; ', {_role("m.lomowner")},
        {_rights("m.lomacl", kind="'L'", owner="m.lomowner")})
    FROM pg_largeobject_metadata m"""
# What is compared by its name alone.
_OTHERS = (
    "pg_cast",
    "pg_operator",
    "pg_opclass",
    "pg_opfamily",
    "pg_collation",
    "pg_conversion",
    "pg_language",
    "pg_ts_config",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_foreign_server",
    "pg_transform",
)


def _names_of(catalogue: str) -> str:
    return f"""
        SELECT o.type || ' ' || o.identity, '' FROM {catalogue} k
        CROSS JOIN LATERAL pg_identify_object('{catalogue}'::regclass, k.oid, 0) o
        WHERE k.oid >= {FIRST_OWN_OID} AND {_not_of_extension(catalogue, "k.oid")}"""


QUERIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "schema": _SCHEMA,
        "relation": _TABLE,
        "column": _COLUMN,
        "constraint": _CONSTRAINT,
        "index": _INDEX,
        "view": _VIEW,
        "rule": _RULE,
        "trigger": _TRIGGER,
        "policy": _POLICY,
        "function": _FUNCTION,
        "type": _TYPE,
        "sequence": _SEQUENCE,
        "owned sequence": _OWNED_SEQUENCE,
        "extension": _EXTENSION,
        "default privileges": _DEFAULT_RIGHTS,
        "event trigger": _EVENT_TRIGGER,
        "publication": _PUBLICATION,
        "statistics": _STATISTICS,
        "comment": _COMMENT,
        "security label": _LABEL,
        "database": _DATABASE,
        "setting": _SETTING,
        "large object": _LARGE_OBJECTS,
        "object": " UNION ALL ".join(map(_names_of, _OTHERS)),
    }
)
