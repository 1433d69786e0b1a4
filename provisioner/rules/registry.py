"""All rules, in the order in which people read them; an id is never used for another rule."""

from provisioner.descriptor.suggestions import did_you_mean
from provisioner.errors import NotFound
from provisioner.rules import (
    access_rules,
    catalogue_rules,
    chart_file_rules,
    chart_rules,
    claim_rules,
    cluster_only,
    image_rules,
    network_rules,
    pod_rules,
    pod_security,
    template_rules,
)
from provisioner.rules.rule import ClusterOnlyRule, PlanRule, Rule

AnyRule = Rule | ClusterOnlyRule | PlanRule

RULES: tuple[Rule, ...] = (
    *pod_security.RESTRICTED,
    *image_rules.RULES,
    *pod_rules.RULES,
    *template_rules.RULES,
    *claim_rules.RULES,
    *network_rules.RULES,
    *access_rules.RULES,
)
RULES_FOR_CHARTS: tuple[Rule, ...] = (
    *(one for one in RULES if one is not pod_rules.SOLUTION_LABEL),
    *chart_rules.CHART_RULES,
)
"""What a solution's chart is judged by, object by object."""
EVERY_RULE: tuple[AnyRule, ...] = (
    *RULES,
    *cluster_only.CLUSTER_ONLY_RULES,
    *chart_rules.CHART_RULES,
    *chart_rules.PLAN_RULES,
    *catalogue_rules.CATALOGUE_RULES,
    *chart_file_rules.CHART_FILE_RULES,
)
"""All that there are, also those that no manifest alone can be judged by."""


def find_rule(name: str) -> AnyRule:
    """The rule with the id ``name``, of all that there are; raises NotFound with the nearest one."""
    known = {one.id: one for one in EVERY_RULE}
    if name not in known:
        hint = did_you_mean(name, known) or "`coopctl policy list` shows all rules"
        raise NotFound(f"there is no rule {name!r}", hint=hint)
    return known[name]


def rule(name: str) -> Rule:
    """The rule with the id ``name``; raises KeyError if there is none."""
    return {rule.id: rule for rule in RULES}[name]
