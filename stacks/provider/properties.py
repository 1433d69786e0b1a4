"""Pulumi's property values as plain values and back."""

from collections.abc import Mapping, Sequence
from typing import Final, final

from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.runtime import rpc

from provisioner.datastore.credentials import Secret


@final
class Unknown:
    """A value that another resource has yet to give; there is one, and it equals nothing known."""


UNKNOWN: Final = Unknown()
Plain = None | bool | int | float | str | Unknown | list["Plain"] | dict[str, "Plain"]
Properties = Mapping[str, Plain]
State = Mapping[str, Plain | Secret]
_RESERVED = "__"


def plain_properties(properties: Mapping[str, PropertyValue]) -> dict[str, Plain]:
    """All properties of a resource but Pulumi's own (``__defaults`` and the like)."""
    return {name: plain(value) for name, value in properties.items() if not name.startswith(_RESERVED)}


def plain(property_value: PropertyValue) -> Plain:
    """The value without its wrapping; whole numbers become int, what is not data becomes None."""
    value = property_value.value
    if isinstance(value, Computed) or value == rpc.UNKNOWN:
        return UNKNOWN
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, Sequence):
        return [plain(one) for one in value if isinstance(one, PropertyValue)]
    return None


def wrapped_properties(state: State) -> dict[str, PropertyValue]:
    """A resource's state as Pulumi takes it; secrets are marked, so that Pulumi encrypts them."""
    return {name: wrapped(value) for name, value in state.items()}


def unknown(*, secret: bool = False) -> PropertyValue:
    """A value that is known only later, as the engine writes it: Pulumi 3.259's PropertyValue knows such values,
    but neither reads nor writes them.
    """
    return PropertyValue(rpc.UNKNOWN, is_secret=secret)


def wrapped(value: Plain | Secret) -> PropertyValue:
    """The value as Pulumi takes it."""
    if isinstance(value, Secret):
        return PropertyValue(value.reveal(), is_secret=True)
    if isinstance(value, Unknown):
        return unknown()
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    if isinstance(value, list):
        return PropertyValue([wrapped(one) for one in value])
    if isinstance(value, dict):
        return PropertyValue({name: wrapped(one) for name, one in value.items()})
    return PropertyValue(value)
