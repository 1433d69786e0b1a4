"""What kind of food a product is, in the words of the trade."""

from trytond.model import DeactivableMixin, ModelSQL, ModelView, Unique, fields
from trytond.pool import PoolMeta

__all__ = ["Template", "Type"]


class Type(DeactivableMixin, ModelSQL, ModelView):
    "Food Type"

    __name__ = "food.type"
    code = fields.Char("Code", required=True)
    name = fields.Char("Name", required=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints = [("code_unique", Unique(table, table.code), "coop_lot_tracing.msg_code_unique")]
        cls._order = [("code", "ASC")]


class Template(metaclass=PoolMeta):
    """A product says which kind of food it is."""

    __name__ = "product.template"
    food_type = fields.Many2One("food.type", "Food Type", ondelete="RESTRICT")
