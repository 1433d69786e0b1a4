"""Food types of the trade on products and lots."""

from trytond.pool import Pool

from . import food

__all__ = ["register"]


def register():
    """Tell Tryton of the module's models."""
    Pool.register(food.Type, food.Template, module="coop_lot_tracing", type_="model")
