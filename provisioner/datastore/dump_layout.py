"""Pure: how a final dump is named and laid out, wherever it is kept.

A dump is a few files below a name of its own, which holds the database's name and the time. The manifest is written
last: where it is, the dump is complete.
"""

import re
from datetime import datetime

DATABASE_FILE = "database.pgdump.age"
OBJECTS_FILE = "objects.tar.age"
MANIFEST_FILE = "manifest.json"
FORMAT = "coopctl.dev/final-dump/v1"
_TIME = r"\d{8}T\d{6}Z"


def dump_name(database: str, *, now: datetime) -> str:
    """The name of a dump that begins ``now`` (UTC)."""
    return f"{database}-{now:%Y%m%dT%H%M%SZ}"


def is_dump_of(database: str, name: str) -> bool:
    """Whether ``name`` is that of a dump of ``database``; no other database's name can look the same."""
    return re.fullmatch(f"{re.escape(database)}-{_TIME}", name) is not None
