"""Quantities as the API server writes them back, so that comparing a plan with the world finds no false change.

Kubernetes API conventions and k8s.io/apimachinery ``resource.Quantity``: the canonical form has no fraction,
the largest suffix that fits, and keeps the family (binary Ki, decimal k) it was written in.
"""

BINARY_SUFFIXES = ("Ki", "Mi", "Gi", "Ti", "Pi")
DECIMAL_SUFFIXES = ("k", "M", "G", "T", "P")


def cpu(millicores: int) -> str:
    """Millicores as a canonical quantity: 1500 is ``1500m``, 2000 is ``2``."""
    return f"{millicores}m" if millicores % 1000 else _scaled(millicores // 1000, base=1000, suffixes=DECIMAL_SUFFIXES)


def size(count: int) -> str:
    """Bytes as a canonical quantity: whole kibibytes in binary suffixes, anything else in decimal ones."""
    if count and count % 1024 == 0:
        return _scaled(count, base=1024, suffixes=BINARY_SUFFIXES)
    return number(count)


def number(count: int) -> str:
    """A count of objects as a canonical quantity: 12 is ``12``, 3000 is ``3k``."""
    return _scaled(count, base=1000, suffixes=DECIMAL_SUFFIXES)


def _scaled(count: int, *, base: int, suffixes: tuple[str, ...]) -> str:
    suffix = ""
    for larger in suffixes:
        if not count or count % base:
            break
        count, suffix = count // base, larger
    return f"{count}{suffix}"
