"""Jinja2 expressions in the scalar leaves of templates, over the facts of a cooperative.

An expression can compute, compare and choose; it cannot loop, call, reach into objects or raise to powers, and
its numbers are bounded: so evaluating a stranger's template takes microseconds and touches nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import SandboxedEnvironment

EXPRESSION_MAX = 300
NUMBER_MAX = 10**18
FACTS = ("members", "employees", "sector")
FILTERS = ("abs", "float", "int", "lower", "max", "min", "round", "upper")

_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Const,
    nodes.Name,
    nodes.List,
    nodes.Tuple,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Neg,
    nodes.Pos,
    nodes.Concat,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.CondExpr,
    nodes.Filter,
)
_REMEDIES: Mapping[type[nodes.Node], str] = {
    nodes.Call: "calls are not allowed; there are the filters " + ", ".join(FILTERS),
    nodes.Getattr: "attributes are not allowed",
    nodes.Getitem: "indexing is not allowed",
    nodes.Pow: "powers are not allowed",
    nodes.For: "loops are not allowed",
}


class ExpressionError(Exception):
    """An expression cannot be read or evaluated; the text says why. Callers make it a Diagnostic."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What an expression may use: how many members, all their employees, and the sector."""

    members: int
    employees: int
    sector: str


class _Environment(SandboxedEnvironment, NativeEnvironment):
    """Native types, sandboxed, and arithmetic on bounded numbers alone."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse what is no number, and results that are out of bounds."""
        if not all(isinstance(side, int | float) for side in (left, right)):
            raise ExpressionError(f"{operator} works on numbers only; join text with ~")
        result = super().call_binop(context, operator, left, right)
        if abs(result) > NUMBER_MAX:
            raise ExpressionError("gives a number that is too large")
        return result


@dataclass(kw_only=True)
class Evaluator:
    """Evaluates expressions; each text is parsed once."""

    _environment: _Environment = field(
        default_factory=lambda: _Environment(undefined=StrictUndefined, autoescape=False, cache_size=0)
    )
    _compiled: dict[str, Any] = field(default_factory=dict)

    def evaluate(self, text: str, *, facts: Facts) -> str:
        """The text that ``text`` stands for; raises ExpressionError."""
        try:
            result = self._template(text).render(members=facts.members, employees=facts.employees, sector=facts.sector)
        except ZeroDivisionError as error:
            raise ExpressionError("divides by zero") from error
        except (TemplateError, TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
            raise ExpressionError(_reason(error)) from error
        return _as_text(result)

    def _template(self, text: str) -> Any:
        if text not in self._compiled:
            if len(text) > EXPRESSION_MAX:
                raise ExpressionError(f"is {len(text)} characters long; {EXPRESSION_MAX} are the most")
            tree = self._environment.parse(text)
            _refuse_what_is_not_allowed(tree)
            self._compiled[text] = self._environment.from_string(tree)
        return self._compiled[text]


def is_expression(text: str) -> bool:
    """Whether ``text`` holds anything of Jinja2."""
    return "{{" in text or "{%" in text or "{#" in text


def _refuse_what_is_not_allowed(tree: nodes.Node) -> None:
    for node in tree.iter_child_nodes():
        if not isinstance(node, _ALLOWED):
            raise ExpressionError(_REMEDIES.get(type(node), f"{type(node).__name__.lower()} is not allowed"))
        if isinstance(node, nodes.Name) and node.name not in FACTS:
            raise ExpressionError(f"{node.name!r} is not a fact; there are {', '.join(FACTS)}")
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            raise ExpressionError(f"the filter {node.name!r} is not allowed; there are {', '.join(FILTERS)}")
        if isinstance(node, nodes.Filter) and (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs):
            # `round(-10**9)` would compute 10 to that power.
            raise ExpressionError(f"the filter {node.name!r} takes no arguments here")
        if isinstance(node, nodes.Const) and isinstance(node.value, int) and abs(node.value) > NUMBER_MAX:
            raise ExpressionError("holds a number that is too large")
        _refuse_what_is_not_allowed(node)


def _as_text(result: object) -> str:
    if isinstance(result, bool):
        return "true" if result else "false"
    if isinstance(result, str | int):
        return str(result)
    if isinstance(result, float):
        return str(int(result)) if result.is_integer() else str(result)
    raise ExpressionError(f"gives {type(result).__name__}, not one value")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError | MemoryError):
        return "is nested too deeply"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
