"""default < template < size < descriptor; every value knows its origin; expressions follow the members."""

from pathlib import Path

import pytest
import yaml

from provisioner.catalogue import load_catalogue, shipped_charts
from provisioner.descriptor.cooperative import Cooperative, MemberLayout, OriginKind
from provisioner.descriptor.templates import TemplateShelf, shipped_templates
from tests.unit.descriptor.worlds import COOPERATIVE, PILOT, TEMPLATE, World, changed, world

OWN = COOPERATIVE.replace("template: manufacturing", "template: own")
SIZES = TEMPLATE.replace(
    "  sizes:\n",
    """\
  defaults:
    dataStore:
      postgres: {storage: "{{ 5 + members }}Gi", connectionLimit: 10, memberLayout: schema}
  sizes:
""",
)

SHIPPED = TemplateShelf(folders=(shipped_templates(),)).names()
ABOVE = """\
apiVersion: coopctl.dev/v1
kind: TenantTemplate
metadata: {name: above, displayName: 위, version: 1.0.0}
spec:
  description: stands above another
  extends: own
  defaults:
    dataStore:
      postgres: {storage: 3Gi, connectionLimit: 15}
  sizes:
    large:
      description: one more
      settings:
        dataStore: {postgres: {connectionLimit: 33}}
"""


def _cooperative(made: World) -> Cooperative:
    assert made.problems() == []
    (resolved,) = made.check().resolved
    assert resolved.cooperative is not None
    return resolved.cooperative


def _own(folder: Path, text: str = OWN, *, template: str = SIZES) -> World:
    made = world(folder, {"rice": text})
    made.write("tenant_templates/own/template.yaml", template)
    return made


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    text = f"{OWN}  dataStore: {{objects: {{quota: 7Gi}}}}\n"
    cooperative = _cooperative(_own(tmp_path, text))
    assert cooperative.objects.quota_bytes == 7 * 2**30
    assert cooperative.postgres.connection_limit == 20
    assert cooperative.postgres.storage_bytes == 6 * 2**30
    assert cooperative.objects.versioning is True
    kinds = {path.removeprefix("spec.dataStore."): origin.kind for path, origin in cooperative.origins.items()}
    assert kinds["objects.quota"] is OriginKind.DESCRIPTOR
    assert kinds["postgres.connectionLimit"] is OriginKind.SIZE
    assert kinds["postgres.storage"] is OriginKind.TEMPLATE
    assert kinds["objects.versioning"] is OriginKind.DEFAULT


def test_an_origin_tells_file_line_and_expression(tmp_path: Path) -> None:
    origin = _cooperative(_own(tmp_path)).origins["spec.dataStore.postgres.storage"]
    assert origin.expression == "{{ 5 + members }}Gi"
    assert str(origin.location).endswith("tenant_templates/own/template.yaml:8:27")


def _above(folder: Path, *, size: str = "small", template: str = ABOVE, own: str = SIZES) -> World:
    text = OWN.replace("template: own", "template: above").replace("size: small", f"size: {size}")
    made = _own(folder, text, template=own)
    made.write("tenant_templates/above/template.yaml", template)
    return made


def test_a_template_stands_above_the_one_that_it_extends_and_its_sizes_above_both(tmp_path: Path) -> None:
    small = _cooperative(_above(tmp_path / "small"))
    assert small.postgres.storage_bytes == 3 * 2**30
    assert small.postgres.connection_limit == 20
    assert small.postgres.member_layout is MemberLayout.SCHEMA
    assert small.template_version == "1.0.0"
    origin = small.origins["spec.dataStore.postgres.connectionLimit"]
    assert origin.kind is OriginKind.SIZE
    assert "tenant_templates/own/template.yaml" in str(origin.location)
    large = _cooperative(_above(tmp_path / "large", size="large"))
    assert (large.postgres.connection_limit, large.postgres.storage_bytes) == (33, 3 * 2**30)


@pytest.mark.parametrize(
    ("template", "own", "said"),
    [
        (ABOVE.replace("extends: own", "extends: owm"), SIZES, "'owm' is not a template (did you mean 'own'?)"),
        (ABOVE, SIZES.replace("description:", "descripton:"), "'own' has problems of its own"),
        (ABOVE, SIZES.replace("spec:", "spec:\n  extends: services"), "'own' extends another template itself"),
        (
            ABOVE,
            SIZES.replace("spec:", "spec:\n  extends: above"),
            "'own' has problems of its own, or extends this one",
        ),
        (
            ABOVE.replace("extends: own", "extends: above"),
            SIZES,
            "'above' has problems of its own, or extends this one",
        ),
        (ABOVE.partition("  extends")[0], SIZES, "spec.sizes: must hold at least one size"),
    ],
)
def test_a_template_that_cannot_stand_above_another_is_told_with_its_place(
    tmp_path: Path, template: str, own: str, said: str
) -> None:
    problems = _above(tmp_path, template=template, own=own).problems()
    assert [one for one in problems if one.startswith("tenant_templates/above/template.yaml:") and said in one]


def test_each_pilot_s_sector_has_a_template_that_proposes_solutions_for_it() -> None:
    shelf, catalogue = TemplateShelf(folders=(shipped_templates(),)), load_catalogue(shipped_charts())
    sectors = set(SHIPPED) - {"distribution", "manufacturing", "services"}
    assert sectors == {yaml.safe_load(file.read_text())["spec"]["sector"] for file in PILOT.glob("cooperatives/*.yaml")}
    for name in sectors:
        read = shelf.template(name)
        assert read is not None
        assert read.template is not None
        proposed = [catalogue.solution(one) for one in read.template.solutions]
        assert {other for one in proposed for other in one.depends} <= {one.name for one in proposed}
        assert all(one.sectors in {(), (name,)} for one in proposed)
        assert {one.name for one in catalogue.matching(category="specialised", sector=name)} <= {
            one.name for one in proposed
        }


def test_the_estates_own_template_comes_before_a_shipped_one(tmp_path: Path) -> None:
    made = world(tmp_path, {"rice": COOPERATIVE})
    made.write("tenant_templates/manufacturing/template.yaml", TEMPLATE.replace("name: own", "name: manufacturing"))
    assert _cooperative(made).template_version == "1.2.3"


def test_a_descriptors_text_is_never_an_expression(tmp_path: Path) -> None:
    text = f'{OWN}  dataStore: {{postgres: {{connectionLimit: "{{{{ members }}}}"}}}}\n'
    (problem,) = _own(tmp_path, text).problems()
    assert problem.startswith("cooperatives/rice.yaml:12:43: spec.dataStore.postgres.connectionLimit: must be a whole")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("{{ 1 // (members - 1) }}", "divides by zero"),
        ("{{ memebrs }}", "'memebrs' is not a fact"),
        ("{{ range(9) }}", "calls are not allowed"),
        ("{{", "unexpected"),
    ],
)
def test_a_broken_expression_is_told_once_at_the_templates_line(tmp_path: Path, expression: str, said: str) -> None:
    made = _own(tmp_path, template=SIZES.replace("{{ 5 + members }}Gi", expression))
    (problem,) = made.problems()
    assert problem.startswith(
        "tenant_templates/own/template.yaml:8:27: spec.dataStore.postgres.storage: the expression"
    )
    assert said in problem


def test_an_expression_that_fails_for_want_of_members_is_not_blamed(tmp_path: Path) -> None:
    template = SIZES.replace("{{ 5 + members }}Gi", "{{ 100 // members }}Gi")
    text = OWN.replace("members: [{id: m-1, name: 회원사 001, employees: 8}]", "members: {file: none.csv}")
    (problem,) = _own(tmp_path, text, template=template).problems()
    assert "does not exist" in problem


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (TEMPLATE.replace("name: own", "name: other"), "3:18: metadata.name: is 'other', but its folder is 'own'"),
        (TEMPLATE.replace("version: 1.2.3", "version: one"), "version: 'one' is not a version such as 1.0.0"),
        (
            TEMPLATE.replace("settings:", "settngs:"),
            "9:7: spec.sizes.small.settngs: is not a known field (did you mean 'settings'?)",
        ),
        (TEMPLATE.replace("dataStore:", "network:"), "10:9: spec.sizes.small.settings.network: is not a known field"),
        (
            TEMPLATE.replace("connectionLimit: 20", "conectionLimit: 20"),
            "11:22: spec.dataStore.postgres.conectionLimit: is not a known field (did you mean 'connectionLimit'?)",
        ),
        ("a: [", "is not YAML"),
        (b"\xff\xfe", "is UTF-16"),
    ],
)
def test_a_broken_template_is_told_with_its_place(tmp_path: Path, template: str | bytes, said: str) -> None:
    made = world(tmp_path, {"rice": OWN})
    made.write("tenant_templates/own/template.yaml", template)
    assert any(
        problem.startswith("tenant_templates/own/template.yaml:") and said in problem for problem in made.problems()
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_template_offers_three_sizes_with_a_readme(name: str) -> None:
    read = TemplateShelf(folders=(shipped_templates(),)).template(name)
    assert read is not None
    assert read.problems == ()
    assert read.template is not None
    assert list(read.template.sizes) == ["small", "medium", "large"]
    assert (shipped_templates() / name / "README.md").is_file()


@pytest.mark.parametrize("members", [0, 1, 49, 200, 5000])
@pytest.mark.parametrize("size", ["small", "medium", "large"])
@pytest.mark.parametrize("template", SHIPPED)
def test_a_shipped_size_is_sane_for_any_number_of_members(
    tmp_path: Path, template: str, size: str, members: int
) -> None:
    text = changed("template: manufacturing", f"template: {template}").replace("size: small", f"size: {size}")
    made = world(tmp_path, {"rice": text.replace("[{id: m-1, name: 회원사 001, employees: 8}]", "{file: ../rice.csv}")})
    made.write("rice.csv", "id,name,employees\n" + "".join(f"m-{i},회원사,13\n" for i in range(members)))
    assert made.check().errors == ()


def _with_members(folder: Path, members: int) -> Cooperative:
    text = changed("[{id: m-1, name: 회원사 001, employees: 8}]", "{file: ../rice.csv}").replace("small", "medium")
    made = world(folder, {"rice": text})
    made.write("rice.csv", "id,name,employees\n" + "".join(f"m-{i},회원사,13\n" for i in range(members)))
    return _cooperative(made)


def test_quotas_follow_members_and_employees(tmp_path: Path) -> None:
    few, many = _with_members(tmp_path / "few", 20), _with_members(tmp_path / "many", 500)
    assert many.apps_budget.pods > few.apps_budget.pods
    assert many.apps_budget.requests_memory_bytes > few.apps_budget.requests_memory_bytes
    assert many.postgres.storage_bytes > few.postgres.storage_bytes
    assert many.postgres.connection_limit > few.postgres.connection_limit
