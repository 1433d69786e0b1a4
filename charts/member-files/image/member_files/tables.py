"""The tables: those of the office, and those of each member.

A member's are made by ``member_files_place``, a function that belongs to the owner of the tables, as which it runs: the
migration calls it for every member, the application for one that came later. It makes the same tables in whatever
member's schema is named, only what is missing, and nothing else.
"""

OFFICE = """
CREATE TABLE IF NOT EXISTS member_files_account (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    password text NOT NULL,
    one_time boolean NOT NULL,
    expires_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    blocked_until timestamptz
);
CREATE TABLE IF NOT EXISTS member_files_session (
    digest bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
"""
MEMBER = """
CREATE TABLE IF NOT EXISTS %1$I.member_files_account (LIKE public.member_files_account INCLUDING ALL);
CREATE TABLE IF NOT EXISTS %1$I.member_files_session (LIKE public.member_files_session INCLUDING ALL);
CREATE TABLE IF NOT EXISTS %1$I.member_files_document (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    note text NOT NULL,
    bytes bigint NOT NULL,
    sha256 text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS %1$I.member_files_part (
    document bigint REFERENCES %1$I.member_files_document ON DELETE CASCADE,
    place integer,
    content bytea NOT NULL,
    PRIMARY KEY (document, place)
);
"""
# EXECUTE is everybody's who may connect; who is not allowed to become the member's role is refused.
FUNCTION = """
CREATE OR REPLACE FUNCTION public.member_files_place(place name) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $body$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
        WHERE n.nspname = place AND starts_with(n.nspname::text, 'member_') AND a.privilege_type = 'USAGE'
          AND a.grantee <> n.nspowner
          AND n.nspowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
          AND (pg_has_role(session_user, n.nspowner, 'MEMBER') OR pg_has_role(session_user, a.grantee, 'MEMBER'))
    ) THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s is no place of a member', place);
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('member-files'), hashtext(place::text));
    EXECUTE format($tables$-- tables of a member$tables$, place);
END $body$;
""".replace("-- tables of a member", MEMBER)
