"""The page of policies holds every rule exactly once."""

import re

from cli import policies_reference
from provisioner.rules.registry import EVERY_RULE


def test_every_rule_stands_in_one_group() -> None:
    grouped = [rule.id for group in policies_reference.GROUPS for rule in group.rules]
    assert grouped == [rule.id for rule in EVERY_RULE]


def test_the_page_has_a_row_for_every_rule_with_all_its_cells() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` (\|.*)$", policies_reference.text(), re.MULTILINE)
    assert [name for name, _ in rows] == [rule.id for rule in EVERY_RULE]
    assert all(len(re.findall(r"(?<!\\)\|", rest)) == 7 for _, rest in rows)


def test_every_source_of_a_standard_leads_back_to_its_rules() -> None:
    page = policies_reference.text()
    for rule in EVERY_RULE:
        for source in rule.sources:
            if source.startswith(("kubectl-mtb", "CIS ", "NSA/CISA", "CVE-")):
                assert re.search(rf"^- {re.escape(source)}: .*`{rule.id}`", page, re.MULTILINE), source
