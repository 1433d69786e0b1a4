"""The page of guards holds every kind of guard that a plan has, once."""

import ast
import re
from collections import Counter
from pathlib import Path

from cli import guards_reference
from cli.guards_reference import CHECKS, PENDING
from provisioner.rules.registry import EVERY_RULE
from tests.proof_mutations import platform_guards, store_parts, tenant_guards


def test_every_kind_of_guard_has_a_row_and_no_other_has() -> None:
    objects = {kind for kind, _, _ in (*tenant_guards(), *platform_guards())}
    parts = {type(part).__name__ for part in store_parts().values()}
    listed = [guard.kind for guard in guards_reference.GUARDS]
    assert len(listed) == len(set(listed))
    assert set(listed) == objects | parts


def test_every_row_says_what_it_is_in_its_builder_s_words_and_where_it_comes_from() -> None:
    rows = [line for line in guards_reference.text().splitlines() if line.startswith("| `")]
    assert len(rows) == len(guards_reference.GUARDS)
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 5
        assert all(cells)


BENCHMARK = Path(__file__).parents[2] / "integration" / "admission" / "test_multi_tenancy_benchmark.py"


def test_every_check_of_the_benchmark_that_is_tried_has_a_row_and_no_other_has() -> None:
    tests = [node.name for node in ast.parse(BENCHMARK.read_text()).body if isinstance(node, ast.FunctionDef)]
    ids = [re.match(r"test_(pending|mtb_pl\d_[a-z]+_[a-z]+_\d)_", name) for name in tests]
    tried = Counter(found[1] for found in ids if found)
    assert Counter(check.id.lower().replace("-", "_") for check in CHECKS) == tried
    assert sum(tried.values()) - tried[PENDING] >= 19


def test_a_check_names_guards_and_rules_that_there_are_and_all_rules_that_name_it() -> None:
    guards, rules = {guard.kind for guard in guards_reference.GUARDS}, {rule.id: rule for rule in EVERY_RULE}
    for check in CHECKS:
        assert check.guards or check.rules
        assert set(check.guards) <= guards
        assert set(check.rules) <= set(rules)
    for rule in EVERY_RULE:
        for source in rule.sources:
            if source.startswith("kubectl-mtb MTB"):
                first = source.removeprefix("kubectl-mtb ").partition(",")[0]
                assert any(rule.id in check.rules for check in CHECKS if check.id == first), (rule.id, source)
