"""Laying one tree of settings over another: default < template < size < descriptor.

Mappings are merged field by field; lists and scalars are replaced whole. Each value keeps the place and the
layer it was written in, which is what `coopctl explain` shows.
"""

import operator
from collections.abc import Callable

from provisioner.descriptor.cooperative import OriginKind
from provisioner.descriptor.expressions import is_expression
from provisioner.descriptor.nodes import MappingNode, Node, ScalarNode, SequenceNode


def overlay(base: Node, over: Node) -> Node:
    """``base`` with all that ``over`` says."""
    if not (isinstance(base, MappingNode) and isinstance(over, MappingNode)):
        return over
    said = {
        name: overlay(base.fields[name], node) if name in base.fields else node for name, node in over.fields.items()
    }
    fields = {**said, **{name: node for name, node in base.fields.items() if name not in said}}
    return over._replace(fields=fields, keys={**base.keys, **over.keys})


def stamped(node: Node, layer: OriginKind) -> Node:
    """``node`` as written in ``layer``."""
    if isinstance(node, MappingNode):
        fields = {name: stamped(child, layer) for name, child in node.fields.items()}
        return node._replace(fields=fields, layer=layer)
    if isinstance(node, SequenceNode):
        return node._replace(items=tuple(stamped(item, layer) for item in node.items), layer=layer)
    return node._replace(layer=layer)


def mapped(node: Node, change: Callable[[ScalarNode, str], ScalarNode], *, path: str) -> Node:
    """``node`` with every expression that a template wrote changed by ``change(scalar, dotted path)``.

    What holds no expression stays the same object: most of a template does not, and 200 cooperatives share it.
    """
    if isinstance(node, ScalarNode):
        computed = node.layer is not OriginKind.DESCRIPTOR and is_expression(node.text)
        return change(node, path) if computed else node
    if isinstance(node, SequenceNode):
        items = tuple(mapped(item, change, path=path) for item in node.items)
        return node if all(map(operator.is_, items, node.items)) else node._replace(items=items)
    changed = {
        name: new
        for name, child in node.fields.items()
        if (new := mapped(child, change, path=f"{path}.{name}")) is not child
    }
    return node._replace(fields={**node.fields, **changed}) if changed else node
