"""Expressions compute from facts, and nothing else: no reach, no loop, no unbounded work."""

import contextlib
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.descriptor.expressions import FACTS, Evaluator, ExpressionError, Facts

FACTS_OF_RICE = Facts(members=270, employees=3000, sector="food")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{{ 10 + members // 50 }}", "15"),
        ("{{ 10 + members // 50 }}Gi", "15Gi"),
        ("{{ [members // 10, 5] | max }}", "27"),
        ("{{ 3 if sector == 'food' else 4 }}", "3"),
        ("{{ (members * 1.5) | round | int }}", "405"),
        ("{{ members / 27 }}", "10"),
        ("{{ members > 100 }}", "true"),
        ("{{ sector ~ '-x' }}", "food-x"),
    ],
)
def test_an_expression_gives_text_for_its_field(text: str, meant: str) -> None:
    assert Evaluator().evaluate(text, facts=FACTS_OF_RICE) == meant


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ range(10**9) }}", "calls are not allowed"),
        ("{{ members.__class__ }}", "attributes are not allowed"),
        ("{{ sector[0] }}", "indexing is not allowed"),
        ("{{ 9 ** 9 ** 9 }}", "powers are not allowed"),
        ("{{ 'a' * 1000000000 }}", "works on numbers only"),
        ("{{ '%999999999d' % members }}", "works on numbers only"),
        ("{{ members | round(-999999999) }}", "takes no arguments"),
        ("{{ sector | center(99999999) }}", "the filter 'center' is not allowed"),
        ("{% for x in [1] %}{% endfor %}", "loops are not allowed"),
        ("{{ memebrs }}", "'memebrs' is not a fact; there are members, employees, sector"),
        ("{{ 1 // 0 }}", "divides by zero"),
        ("{{ 1e300 * 1e300 }}", "too large"),
        ("{{ [1] }}", "gives list, not one value"),
        ("{{ " + "(" * 140 + "1" + ")" * 140 + " }}", "nested too deeply"),
        ("{{ 1 +" + " 1" * 300, "300 are the most"),
        ("{{ members", "unexpected"),
    ],
)
def test_what_could_run_away_or_reach_out_is_refused(text: str, why: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ExpressionError, match=re.escape(why)):
        Evaluator().evaluate(text, facts=FACTS_OF_RICE)
    assert time.perf_counter() - start < 2


_WORDS = (
    "1 0 999999999999999999 1.5 'x' + - * / // % ** ~ | int round max min ( ) [ ] , if else not and == < . {{ }} {%"
)
_token = st.sampled_from([*FACTS, *_WORDS.split(), "__class__", "float", "abs"])


@settings(max_examples=300, deadline=2000)
@given(st.lists(_token, max_size=12))
def test_any_text_gives_a_value_or_an_explained_refusal(tokens: list[str]) -> None:
    with contextlib.suppress(ExpressionError):
        result = Evaluator().evaluate("{{ " + " ".join(tokens) + " }}", facts=FACTS_OF_RICE)
        assert len(result) < 1000
