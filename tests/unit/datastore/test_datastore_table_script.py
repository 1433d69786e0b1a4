"""What of pg_dump's text goes into a script of tables, and what is refused."""

import pytest

from provisioner.datastore.table_script import table_statements
from provisioner.errors import CoopctlError

DUMP = """\
--
-- PostgreSQL database dump
--

\\restrict Rb0QxLhuvyjVnZh3JIoEdc
-- Dumped from database version 15.14 (Debian 15.14-0+deb12u1)
SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

CREATE TABLE public.a (
    id integer NOT NULL,
    name character varying
);
COMMENT ON TABLE public.a IS 'It''s a table;
-- and this is no comment;';
ALTER TABLE ONLY public.a
    ADD CONSTRAINT a_pkey PRIMARY KEY (id);
\\unrestrict Rb0QxLhuvyjVnZh3JIoEdc
"""


def test_only_what_makes_tables_is_kept() -> None:
    assert list(table_statements(DUMP)) == [
        "CREATE TABLE public.a (\n    id integer NOT NULL,\n    name character varying\n);\n",
        "COMMENT ON TABLE public.a IS 'It''s a table;\n-- and this is no comment;';\n",
        "ALTER TABLE ONLY public.a\n    ADD CONSTRAINT a_pkey PRIMARY KEY (id);\n",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE public.a OWNER TO postgres;",
        "GRANT ALL ON TABLE public.a TO public;",
        "CREATE EXTENSION unaccent;",
        "CREATE FUNCTION public.f() RETURNS integer\n    LANGUAGE sql AS 'SELECT 1;';",
        "\\connect other",
        "COMMENT ON TABLE public.a IS 'looks like\nCOPY public.a (id) FROM stdin;\n';",
    ],
)
def test_what_else_a_dump_may_hold_is_refused(statement: str) -> None:
    with pytest.raises(CoopctlError, match="cannot be prepared"):
        list(table_statements(f"{statement}\n"))
