"""What a customer orders: a layer, by its process and its thickness."""

from trytond.i18n import gettext
from trytond.model import fields
from trytond.model.exceptions import ValidationError
from trytond.pool import PoolMeta
from trytond.pyson import Bool, Eval

__all__ = ["Line"]


class Line(metaclass=PoolMeta):
    """The layer that a line of a sale asks for."""

    __name__ = "sale.line"
    plating = fields.Many2One("plating.process", "Plating Process", ondelete="RESTRICT")
    thickness = fields.Float(
        "Layer (µm)",
        states={"required": Bool(Eval("plating")), "invisible": ~Eval("plating")},
        depends=["plating"],
    )

    @classmethod
    def validate(cls, lines):
        """Refuse a layer that the process cannot make; one that is missing is refused by the field itself."""
        super().validate(lines)
        for line in lines:
            if line.plating and line.thickness is not None and not line.plating.makes(line.thickness):
                raise ValidationError(
                    gettext(
                        "coop_plating_orders.msg_layer",
                        process=line.plating.rec_name,
                        thinnest=line.plating.thinnest,
                        thickest=line.plating.thickest,
                    )
                )
