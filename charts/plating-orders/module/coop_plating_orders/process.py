"""How a layer is plated, and in which work step."""

from trytond.model import ModelSQL, ModelView, Unique, fields, sequence_ordered
from trytond.pool import PoolMeta

__all__ = ["Process", "Step"]


class Process(sequence_ordered(), ModelSQL, ModelView):
    "Plating Process"

    __name__ = "plating.process"
    _rec_name = "label"
    symbol = fields.Char("Symbol", required=True, help="What stands for it on a work sheet.")
    label = fields.Char("Label", required=True)
    thinnest = fields.Float("Thinnest Layer (µm)", required=True)
    thickest = fields.Float("Thickest Layer (µm)", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        plating = cls.__table__()
        once = Unique(plating, plating.symbol)
        cls._sql_constraints.append(("symbol_unique", once, "coop_plating_orders.msg_symbol_unique"))

    def makes(self, thickness):
        """Whether a layer of so many micrometres can be made with it."""
        return self.thinnest <= thickness <= self.thickest


class Step(metaclass=PoolMeta):
    """A step of a routing says which process it is, if it is one."""

    __name__ = "production.routing.step"
    plating = fields.Many2One("plating.process", "Plating Process", ondelete="RESTRICT")
