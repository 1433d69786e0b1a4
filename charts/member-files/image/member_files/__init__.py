"""Each member firm's documents: certificates, test reports, contracts. A web page and a JSON API over PostgreSQL.

A member's documents, its password and its sessions lie in the member's own schema, which its own database role alone
may use. Every transaction takes that role first (`database`), so a mistake in this program shows one member's rows to
another as little as a hostile request does: PostgreSQL refuses it. The bytes lie beside the rows for the same reason:
the cooperative has one key for its whole bucket.
"""

import ctypes.util


def _find_library(name: str) -> str | None:
    """What psycopg looks for: an image without a shell has none of the programs by which Python finds a library."""
    return "libpq.so.5" if name == "pq" else _FIND(name)


_FIND = ctypes.util.find_library
ctypes.util.find_library = _find_library
try:
    import psycopg  # noqa: F401 - loads the library, which the system's loader knows by that name
finally:
    ctypes.util.find_library = _FIND
