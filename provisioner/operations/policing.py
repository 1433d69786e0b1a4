"""What the cooperatives of an estate are held to: the rules, less the exceptions that hold on the day.

The same rules judge twice: coopctl itself, before anything is begun, all that a plan would make; and the policy pack,
in Pulumi, every object that a program really declares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from provisioner import rules
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.platform import Platform
from provisioner.descriptor.policy_exception import PolicyException
from provisioner.engine.policies import PolicyPack
from provisioner.operations.policy_checking import RenderAll, Tenancy, Verdict, check_plan
from provisioner.plan.resources import CooperativePlan
from provisioner.plan.tenant import tenant_of
from provisioner.plan.tenant_facts import tenant_facts
from provisioner.rules.excepting import in_force, tenant_wide
from provisioner.rules.pack_settings import ExceptedObject, PackSettings, as_configuration


@dataclass(frozen=True, kw_only=True)
class Policing:
    """Holds ``cooperatives`` to the rules on the day ``today``; ``pack`` is the policy pack's folder."""

    platform: Platform
    cooperatives: Mapping[str, Cooperative]
    exceptions: tuple[PolicyException, ...]
    today: date
    render: RenderAll
    pack: Path

    def excepted(self, name: str) -> tuple[str, ...]:
        """The rules that hold for no object of the cooperative ``name`` today: the cluster is told of them."""
        return tenant_wide(in_force(self.exceptions, cooperative=name, today=self.today))

    def tenancy(self, name: str) -> Tenancy:
        """The cooperative ``name`` as objects are judged for it."""
        tenant = tenant_of(self.cooperatives[name], cluster=self.platform.cluster.id)
        facts = tenant_facts(tenant, platform=self.platform)
        return Tenancy(cooperative=name, facts=facts, exceptions=self.exceptions, today=self.today)

    def verdict(self, plan: CooperativePlan) -> Verdict:
        """Judge what ``plan`` would make; charts are rendered for it."""
        name = str(plan.cooperative)
        descriptor = self.cooperatives[name].source
        return check_plan(plan, by=self.tenancy(name), render=self.render, descriptor=descriptor)

    def policy_pack(self, stack: str) -> PolicyPack | None:
        """The policy pack that ``stack`` is held to; the platform's own stack holds nothing of a tenant."""
        if stack not in self.cooperatives:
            return None
        tenant = tenant_of(self.cooperatives[stack], cluster=self.platform.cluster.id)
        facts = tenant_facts(tenant, platform=self.platform, exceptions=self.excepted(stack))
        settings = PackSettings(facts=facts, excepted=self._single_objects(stack))
        return PolicyPack(folder=self.pack, configuration=as_configuration(settings), rules=Path(rules.__file__).parent)

    def _single_objects(self, name: str) -> tuple[ExceptedObject, ...]:
        held = in_force(self.exceptions, cooperative=name, today=self.today)
        return tuple(
            sorted(
                ExceptedObject(rule=one.rule, kind=one.object.kind, name=one.object.name)
                for one in held
                if one.object is not None
            )
        )
