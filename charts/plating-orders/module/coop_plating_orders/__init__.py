"""Orders for plating: which layer a customer wants, and what it is made of."""

from trytond.pool import Pool

from . import order, process

__all__ = ["register"]


def register():
    """Tell Tryton of the module's models."""
    layers = (process.Process, process.Step, order.Line)
    Pool.register(*layers, module="coop_plating_orders", type_="model")
