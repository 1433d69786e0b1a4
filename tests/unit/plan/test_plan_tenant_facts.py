"""What rules judge a tenant by follows from its descriptor and from the platform."""

from dataclasses import replace

from provisioner.descriptor.cooperative import Operator, SubjectKind
from provisioner.naming import ANNOTATION_EXCEPTIONS, ANNOTATION_OPERATORS
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.resources import KubernetesObject
from provisioner.plan.tenant import tenant_of
from provisioner.plan.tenant_facts import tenant_facts
from provisioner.rules.facts import as_annotations
from tests.unit.plan import builders


def test_both_namespaces_bear_exactly_the_facts_that_rules_judge_by() -> None:
    cooperative, platform = builders.cooperative(), builders.platform()
    plan = cooperative_plan(
        cooperative,
        platform=platform,
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
        exceptions=("image-pull",),
    )
    tenant = tenant_of(cooperative, cluster=platform.cluster.id)
    expected = as_annotations(tenant_facts(tenant, platform=platform, exceptions=("image-pull",)))
    namespaces = [
        resource.manifest
        for resource in plan.resources
        if isinstance(resource, KubernetesObject) and resource.manifest["kind"] == "Namespace"
    ]
    assert len(namespaces) == 2
    for namespace in namespaces:
        borne = namespace["metadata"]["annotations"]
        assert {key: borne.get(key) for key in expected} == expected
        assert borne[ANNOTATION_EXCEPTIONS] == "image-pull"


def test_an_operator_s_name_with_spaces_stays_one_item() -> None:
    cooperative = replace(
        builders.cooperative(),
        operators=(
            Operator(kind=SubjectKind.USER, name="kim@rice.example.kr"),
            Operator(kind=SubjectKind.GROUP, name="rice operators"),
        ),
    )
    platform = builders.platform()
    facts = tenant_facts(tenant_of(cooperative, cluster=platform.cluster.id), platform=platform)
    assert as_annotations(facts)[ANNOTATION_OPERATORS] == "Group:rice%20operators User:kim@rice.example.kr"
