"""Kubernetes quantities as numbers (k8s.io/apimachinery, resource.Quantity): "500m", "2Gi", "1e3"."""

import re
from decimal import Decimal

# Bounded: no quantity of Kubernetes has more digits than these, and Decimal would work on any number of them.
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?)(?P<suffix>[a-zA-Z]{0,2})"
)
_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}


def parse_quantity(text: str) -> Decimal:
    """The number that ``text`` means. Raises ValueError for what is not a quantity."""
    found = _QUANTITY.fullmatch(text)
    if not found or found["suffix"] not in _SUFFIXES:
        raise ValueError(f"{text!r} is not a quantity")
    return Decimal(found["number"]) * _SUFFIXES[found["suffix"]]
