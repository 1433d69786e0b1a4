"""A lot is one cylinder, by its number: when it was inspected, and when it is to be inspected again."""

from dateutil.relativedelta import relativedelta
from trytond.model import fields
from trytond.pool import PoolMeta

__all__ = ["Lot"]


class Lot(metaclass=PoolMeta):
    """The inspection of a cylinder."""

    __name__ = "stock.lot"
    inspected_on = fields.Date("Inspected On")
    inspect_by = fields.Function(fields.Date("Inspect By"), "on_change_with_inspect_by")

    @fields.depends("product", "inspected_on")
    def on_change_with_inspect_by(self, name=None):  # noqa: ARG002 - Tryton asks a getter with it
        """The last day on which it may be filled; None if nobody knows when it was inspected."""
        kind = self.product.template.gas_cylinder if self.product else None
        if kind is None or self.inspected_on is None:
            return None
        return self.inspected_on + relativedelta(months=kind.inspected_every)
