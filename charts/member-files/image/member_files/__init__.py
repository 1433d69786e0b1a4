"""Each member firm's documents: certificates, test reports, contracts. A web page and a JSON API over PostgreSQL.

A member's documents, its password and its sessions lie in the member's own schema, which its own database role alone
may use. Every transaction takes that role first (`database`), so a mistake in this program shows one member's rows to
another as little as a hostile request does: PostgreSQL refuses it. The bytes lie beside the rows for the same reason:
the cooperative has one key for its whole bucket.
"""

import ctypes.util

# What psycopg looks for, as the system's loader knows it: an image without a shell has none of the programs by which
# Python finds a library.
_LIBRARIES = {"c": "libc.so.6", "pq": "libpq.so.5"}
_FIND = ctypes.util.find_library


def _find_library(name: str) -> str | None:
    return _LIBRARIES.get(name) or _FIND(name)


ctypes.util.find_library = _find_library
try:
    import psycopg  # noqa: F401 - loads the libraries
finally:
    ctypes.util.find_library = _FIND
