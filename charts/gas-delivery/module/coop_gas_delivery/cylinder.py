"""Which cylinder a gas is delivered in, in the words of the trade."""

from trytond.model import Check, DeactivableMixin, ModelSQL, ModelView, Unique, fields
from trytond.pool import PoolMeta

__all__ = ["Cylinder", "Goods"]


class Cylinder(DeactivableMixin, ModelSQL, ModelView):
    "Gas Cylinder"

    __name__ = "gas.cylinder"
    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True)
    filling = fields.Numeric("Filling (kg)", digits=(6, 2), required=True)
    inspected_every = fields.Integer("Inspected Every (months)", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        kind = cls.__table__()
        cls._order.insert(0, ("filling", "ASC"))
        cls._sql_constraints += [
            ("code_unique", Unique(kind, kind.code), "coop_gas_delivery.msg_code_unique"),
            ("filling_positive", Check(kind, kind.filling > 0), "coop_gas_delivery.msg_filling_positive"),
            (
                "inspection_positive",
                Check(kind, kind.inspected_every > 0),
                "coop_gas_delivery.msg_inspection_positive",
            ),
        ]


class Goods(metaclass=PoolMeta):
    """A product says which cylinder it comes in; none for what comes by the tanker."""

    __name__ = "product.template"
    gas_cylinder = fields.Many2One("gas.cylinder", "Gas Cylinder", ondelete="RESTRICT")
