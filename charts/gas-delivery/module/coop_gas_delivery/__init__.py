"""Cylinders of the gas trade, and when each of them is inspected next."""

from trytond.pool import Pool

from .cylinder import Cylinder, Goods
from .lot import Lot

__all__ = ["register"]

MODELS = (Cylinder, Goods, Lot)


def register():
    """Tell Tryton of the module's models."""
    Pool.register(*MODELS, module="coop_gas_delivery", type_="model")
